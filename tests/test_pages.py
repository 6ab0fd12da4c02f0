"""The pages for newcomers: every command on them is run, on drawn pictures, and does what the page says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from support.makers import Leakscan, fill

DOCS = Path(__file__).parents[1] / "docs"


def _nothing(folder: Path) -> None:
    """The page makes its data itself."""


def _reference(folder: Path) -> None:
    fill(folder / "reference", range(6))
    fill(folder / "new", (9, 5))
    (folder / "new" / "5.png").replace(folder / "new" / "9.png")


def _hospitals(folder: Path) -> None:
    fill(folder / "hospital_a", range(4))
    fill(folder / "hospital_b", range(3, 6))
    (folder / "project.key").write_bytes(bytes(range(32)))


PAGES: dict[str, Callable[[Path], None]] = {
    "ten-minutes.md": _nothing,
    "in-ci.md": _reference,
    "two-hospitals.md": _hospitals,
}


def commands(page: str) -> list[tuple[list[str], int]]:
    """Every command of the ``sh`` blocks of a page, with the exit code that it says, 0 where it says none."""
    found = []
    for block in re.findall(r"^ *```sh\n(.*?)^ *```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            command, _, said = line.partition("#")
            code = re.search(r"exit (\d)", said)
            found.append((shlex.split(command), int(code[1]) if code else 0))
    return found


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] * (page == "ten-minutes.md")) for page in PAGES]
)
def test_every_command_of_a_page_does_what_it_says(
    page: str, leakscan: Leakscan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakscan.synthetic.demo_data._volumes", lambda *_: [])
    monkeypatch.setenv("LEAKSCAN_CACHE", str(tmp_path / "cache"))
    PAGES[page](tmp_path)
    for words, code in commands(page):
        if words[0] == "cd":
            monkeypatch.chdir(words[1])
            continue
        ran = leakscan(*words[1:])
        assert ran.code == code, f"{shlex.join(words)}: {ran.err}{ran.out}"
    assert len(commands(page)) >= 4


def test_the_site_has_a_page_for_every_reader() -> None:
    class Loose(yaml.SafeLoader):
        """Reads the tags of MkDocs as text."""

    nav = yaml.load((DOCS.parent / "mkdocs.yml").read_text(), Loose)["nav"]
    titles = [title for entry in nav for title in entry]
    wanted = ["In ten minutes", "In CI", "For two hospitals", "How sure is it?", "Formats", "Scale",
              "Privacy and intended use", "Python"]  # fmt: skip
    assert set(wanted) <= set(titles)
