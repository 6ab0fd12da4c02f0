"""What a run says first: the answer in at most 25 lines of 80 columns, and the next commands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leakscan.counted import counted
from leakscan.report.unlisted import on_no_list

WIDTH = 80
LINES = 25
_PAIRS_OF_DATASETS = 6
_WORDS = {0: "NO LEAK FOUND", 1: "LEAK", 3: "COULD NOT VOUCH"}
_NAME = 24


def first_screen(summary: Mapping[str, Any], output: Path | None) -> list[str]:
    """Lines of the first screen.

    Args:
        summary: What ``summary.json`` holds.
        output: The run folder, or ``None`` where none was written.

    Example::

        for line in first_screen(result.summary, Path("run")):
            print(line)
    """
    told = summary["answer"]
    code = summary["exit_code"]
    word = "REPORTED ONLY" if summary["fail_on"] == "none" else _WORDS[code]
    headline = "" if told["headline"] == "No leak was found" and code == 0 else f": {told['headline']}"
    lines = _wrapped(word + headline, f"exit {code}")
    pairs = told["pairs_of_datasets"]
    lines += ["", *(_of_two(pairs[0]) if len(pairs) == 1 else _of_many(pairs))]
    not_judged = [_doubtful(name, images) for name, images in told["not_judged"].items()]
    if not_judged:
        lines += [_cut("Not judged as persons: " + "; ".join(not_judged))]
    lines += _why(summary)
    end = ["", *_next(summary, output)]
    room = LINES - len(end)
    if len(lines) > room:
        lines = [*lines[: room - 1], "... more in summary.json"]
    return [line.rstrip() for line in lines + end]


def _of_two(pair: Mapping[str, Any]) -> list[str]:
    """The table of two datasets."""
    false = pair["expected_false"]
    rows = [
        ("same picture, proven", f"{pair['copies']:,}", "drop or move"),
        (
            "other picture of the same person",
            f"{pair['other_pictures']:,}",
            "drop or move"
            + (f" (~{false:.2g} false)" if false is not None and pair["other_pictures"] else ""),
        ),
        ("possible, please look", f"{pair['possible']:,}", _of_possible(pair)),
    ]
    if pair["accepted"]:
        rows.append(("wanted overlap, accepted", f"{pair['accepted']:,}", "nothing"))
    rows.append(("not on any list", "?", on_no_list(pair)))
    lines = [f"{'':34}{'people':>8}   what to do"]
    lines += [_cut(f"  {name:32}{number:>8}   {words}") for name, number, words in rows]
    for side in ("a", "b"):
        people, images = pair["people"][side], pair["images"][side]
        if people["shared"]:
            lines.append(
                _cut(
                    f"{_short(pair[side])}: {people['shared']:,} of {people['of']:,} {pair['unit'][side]}"
                    f" ({_share(people)}), {images['shared']:,} of {images['of']:,} images ({_share(images)})"
                )
            )
    if any(pair["drop"][side]["people"] for side in ("a", "b")):
        drops = [
            f"{_short(pair[side])}: {counted(pair['drop'][side]['images'], 'image')}" for side in ("a", "b")
        ]
        lines.append(_cut(f"Drop whole people from {drops[0]}, or from {drops[1]}"))
    return lines


def _of_possible(pair: Mapping[str, Any]) -> str:
    """How many of the possible people to expect to be shared."""
    if not pair["possible"]:
        return ""
    if pair["expected_true"] is None:
        return "nobody knows how many are shared"
    if pair["expected_true"] < pair["possible"] / 20:
        return "expect mostly strangers"
    return f"expect about {max(1, round(pair['expected_true']))} of them to be shared"


def _of_many(pairs: list[Mapping[str, Any]]) -> list[str]:
    """One line for every two datasets, worst first."""
    lines = [f"{'':46}{'copies':>8}{'persons':>9}{'possible':>9}"]
    for pair in pairs[:_PAIRS_OF_DATASETS]:
        name = f"{_short(pair['a'], 21)} x {_short(pair['b'], 21)}"
        lines.append(f"{name:46}{pair['copies']:>8,}{pair['other_pictures']:>9,}{pair['possible']:>9,}")
    if len(pairs) > _PAIRS_OF_DATASETS:
        lines.append(f"and {len(pairs) - _PAIRS_OF_DATASETS:,} more pairs of datasets, with fewer each")
    return lines


def _share(told: Mapping[str, int]) -> str:
    return f"{told['shared'] / max(told['of'], 1):.0%}"


def _doubtful(name: str, images: list[str]) -> str:
    shown = ", ".join(_short(image.rpartition("/")[2]) for image in images[:2])
    more = f" and {len(images) - 2:,} more" if len(images) > 2 else ""
    return f"{_short(name)} {shown}{more}"


def _why(summary: Mapping[str, Any]) -> list[str]:
    """Reasons that the headline does not give, what was not done, and warnings."""
    sentences: list[str] = []
    if summary["exit_code"] not in (0, 1) or "baseline" in summary:
        sentences = list(summary["reasons"])
    said = " ".join(sentences)
    told: list[str] = summary["answer"]["not_done"]
    not_done = [words for words in told if words.partition(":")[0] not in said]
    sentences += not_done + list(summary["warnings"])
    for dataset in summary["datasets"]:
        if unread := dataset["status"]["unreadable"] + dataset["status"]["unsupported"]:
            first = dataset["unread"][0]
            sentences.append(
                f"{_short(dataset['name'])}: {counted(unread, 'file')} not read. First: "
                f"{first['path'] or '(path hidden)'}: {first['error']}"
            )
    if verdicts := summary.get("verdicts"):  # how many count, and how many do not any more
        sentences.append(
            f"Verdicts: {verdicts['cleared']:,} pairs cleared, {verdicts['accepted']:,} accepted, "
            f"{verdicts['reopened']:,} open again, {verdicts['stale']:,} stale."
        )
    return [line for sentence in sentences for line in _wrapped(sentence)[:3]]


def _next(summary: Mapping[str, Any], output: Path | None) -> list[str]:
    if output is None:
        return ["Next   add -o run to keep the tables and the page"]
    run = shlex.quote(str(output))
    lines = []
    pairs = summary["answer"]["pairs_of_datasets"]
    worst = pairs[0] if pairs else None
    if worst and worst["copies"] + worst["other_pictures"] + worst["possible"]:
        lines.append(f"Next   leakscan review {run}")
        if worst["copies"] + worst["other_pictures"]:
            lines.append(f"       leakscan exclude {run} --from {shlex.quote(worst['b'])}")
    from leakscan.report.run_folder import RunFolder  # loads pyarrow, and errors should not wait for it

    page, details = f"Page   {RunFolder(output).report}", f"Details   leakscan show {run}"
    # Of two lines the second begins where the commands above do.
    return [*lines, *([one] if len(one := f"{page}   {details}") <= WIDTH else [page, details])]


def _short(name: str, width: int = _NAME) -> str:
    """A name whose middle is left out where it is long."""
    if len(name) <= width:
        return name
    half = (width - 3) // 2
    return f"{name[: width - 3 - half]}...{name[-half:]}"


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."


def _wrapped(text: str, right: str = "") -> list[str]:
    """Lines of at most the width; the first leaves room for a word at its right."""
    import textwrap

    lines = textwrap.wrap(text, WIDTH - len(right) - 1 if right else WIDTH, break_long_words=True) or [""]
    if right:
        lines[0] = f"{lines[0]:{WIDTH - len(right)}}{right}"
    return lines
