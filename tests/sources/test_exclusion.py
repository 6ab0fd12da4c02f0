"""Patterns of files to leave out mean what they mean in a .gitignore file."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakscan.errors import UsageError
from leakscan.sources.exclusion import Exclusion

FILES = ("a.png", "b/a.png", "b/c.jpg", "b/d/c.jpg", "#x/a.png", "a/b/c.jpg", "d/b/a.png")
# Not "a**/b": git's manual calls such asterisks regular ones, as pathspec does, but git itself does not.
LETTERS = st.lists(st.sampled_from(["a", "b", "c", "d", "?", "[ab]", ".png", ".jpg"]), min_size=1, max_size=2)
NAMES = st.tuples(st.sampled_from(["", "*"]), LETTERS.map("".join), st.sampled_from(["", "*"])).map("".join)
FOLDERS = st.lists(st.one_of(NAMES, st.sampled_from(["*", "**"])), max_size=2)
LAST = st.one_of(NAMES, st.just("*"))
PATTERNS = st.tuples(st.sampled_from(["", "/"]), FOLDERS, LAST, st.sampled_from(["", "/"])).map(
    lambda parts: parts[0] + "/".join([*parts[1], parts[2]]) + parts[3]
)


def left_out(patterns: Sequence[str]) -> set[str]:
    exclusion = Exclusion(patterns)
    return {name for name in FILES if exclusion.covers(name)}


@pytest.mark.parametrize(
    ("patterns", "gone"),
    [
        ([], set()),
        (["", "  "], set()),
        (["#x"], {"#x/a.png"}),
        (["./a.png"], {"a.png"}),
        (["*", "!a.png"], set(FILES) - {"a.png"}),
        (["*.png", "!/b/a.png"], {"a.png", "#x/a.png", "d/b/a.png"}),
        (["b", "!b/a.png"], {"b/a.png", "b/c.jpg", "b/d/c.jpg", "a/b/c.jpg", "d/b/a.png"}),
        (["b/**", "!b/a.png"], {"b/c.jpg", "b/d/c.jpg"}),
        (["!b/a.png", "b/*"], {"b/a.png", "b/c.jpg", "b/d/c.jpg"}),
    ],
)
def test_patterns_and_what_they_leave_out(patterns: list[str], gone: set[str]) -> None:
    assert left_out(patterns) == gone


def test_the_unicode_form_of_a_pattern_does_not_matter() -> None:

    assert Exclusion(["Ro\N{COMBINING DIAERESIS}/"]).covers("R\N{LATIN SMALL LETTER O WITH DIAERESIS}/a.png")


@pytest.mark.parametrize("pattern", ["/", "!", "a\\", "[z-a]", "[a"])
def test_a_pattern_that_can_match_nothing_is_an_error(pattern: str) -> None:
    with pytest.raises(UsageError, match="not understood") as caught:
        Exclusion(["*.png", pattern])
    assert repr(pattern) in caught.value.message


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@settings(max_examples=40, deadline=None)
@given(st.lists(PATTERNS, min_size=1, max_size=3))
def test_git_agrees(tmp_path_factory: pytest.TempPathFactory, patterns: list[str]) -> None:
    try:
        gone = left_out(patterns)
    except UsageError:
        return
    folder = tmp_path_factory.mktemp("repository")
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    (folder / ".git" / "info" / "exclude").write_text("\n".join(patterns) + "\n")
    ran = subprocess.run(
        ["git", "check-ignore", *FILES], cwd=folder, check=False, capture_output=True, text=True
    )
    assert gone == set(ran.stdout.splitlines())
