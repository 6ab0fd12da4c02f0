"""What a run says first: the answer in at most 25 lines of 80 columns, and the next commands."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leakscan.cli.narrow import shortened, wrapped
from leakscan.cli.next_steps import same_places
from leakscan.counted import counted, rounded
from leakscan.report.none_found import NONE, further_reasons
from leakscan.report.unlisted import on_no_list
from leakscan.report.verdict_words import verdict_counts

WIDTH = 80
LINES = 25
_PAIRS_OF_DATASETS = 6
_WORDS = {0: "NO LEAK FOUND", 1: "LEAK", 3: "COULD NOT VOUCH"}
_NAME = 24
_SHORTEST = 12


def first_screen(summary: Mapping[str, Any], output: Path | None, details: bool = True) -> list[str]:
    """Lines of the first screen.

    Args:
        summary: What ``summary.json`` holds.
        output: The run folder, or ``None`` where none was written.
        details: Whether to name the command that says the details.

    Example::

        for line in first_screen(result.summary, Path("run")):
            print(line)
    """
    told = summary["answer"]
    code = summary["exit_code"]
    word = "REPORTED ONLY" if summary["fail_on"] == "none" else _WORDS[code]
    green = code == 0 and told["headline"].startswith(NONE)
    headline = told["headline"].removeprefix(NONE) if green else f": {told['headline']}"
    lines = _headed(word + headline, f"exit {code}")
    pairs = told["pairs_of_datasets"]
    lines += ["", *(_of_two(pairs[0]) if len(pairs) == 1 else _of_many(pairs))]
    lines += _not_judged(told["not_judged"])
    lines += _why(summary)
    end = ["", *_next(summary, output, details)]
    room = LINES - len(end)
    if len(lines) > room:
        lines = [*lines[: room - 1], "... more in summary.json"]
    return [line.rstrip() for line in lines + end]


def _of_two(pair: Mapping[str, Any]) -> list[str]:
    """The table of two datasets."""
    false = pair["expected_false"]
    rows = [
        ("same picture, proven", f"{pair['copies']:,}", "drop or move" if pair["copies"] else ""),
        (
            "other picture of the same person",
            f"{pair['other_pictures']:,}",
            ("drop or move" + ("" if false is None else f" (~{rounded(false)} false)"))
            if pair["other_pictures"]
            else "",
        ),
        ("possible, please look", f"{pair['possible']:,}", _of_possible(pair)),
    ]
    if not pair["estimate"] and pair["possible"] and pair.get("listed"):
        rows.append(("shared, of all these", *_of_listed(pair["listed"])))
    if pair["accepted"]:
        rows.append(("wanted overlap, accepted", f"{pair['accepted']:,}", "nothing"))
    if pair.get("different"):  # an earlier version did not count them
        rows.append(("cleared as different people", f"{pair['different']:,}", "nothing"))
    rows.append(("not on any list", "?", on_no_list(pair)))
    lines = [f"{'':34}{'people':>8}   what to do"]
    lines += [_cut(f"  {name:32}{number:>8}   {words}") for name, number, words in rows]
    for side in ("a", "b"):
        people, images = pair["people"][side], pair["images"][side]
        if people["shared"]:
            words = (
                f": {people['shared']:,} of {people['of']:,} {pair['unit'][side]} ({_share(people)}), "
                f"{images['shared']:,} of {images['of']:,} images ({_share(images)})"
            )
            lines += wrapped(shortened(pair[side], max(_SHORTEST, WIDTH - len(words))) + words, WIDTH)
    if any(pair["drop"][side]["people"] for side in ("a", "b")):
        images = {side: counted(pair["drop"][side]["images"], "image") for side in ("a", "b")}
        room = (WIDTH - len(f"Drop whole people from : {images['a']}, or from : {images['b']}")) // 2
        drops = [f"{shortened(pair[side], max(_SHORTEST, room))}: {images[side]}" for side in ("a", "b")]
        lines += wrapped(f"Drop whole people from {drops[0]}, or from {drops[1]}", WIDTH)
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


def _of_listed(listed: Mapping[str, float]) -> tuple[str, str]:
    """About how many people on the lists are shared, and between which numbers."""
    return f"{listed['value']:,.0f}", f"{listed['low']:,} to {listed['high']:,}, by their probabilities"


def _interval(pair: Mapping[str, Any]) -> str:
    """Between which numbers the people lie whom two datasets share; empty where nobody was found."""
    told = pair["estimate"] or pair.get("listed") or {"low": 0, "high": 0}
    low, high = math.floor(told["low"]), math.ceil(told["high"])
    return f"{low:,} to {high:,}" if high else ""


def _of_many(pairs: list[Mapping[str, Any]]) -> list[str]:
    """One line for every two datasets, worst first, and how many people of each side are shared."""
    heads = [("copies", "copies"), ("persons", "other_pictures"), ("possible", "possible")]
    if any(pair["accepted"] for pair in pairs):
        heads.append(("accepted", "accepted"))
    if any(pair.get("different") for pair in pairs):
        heads.append(("cleared", "different"))
    shared = ["shared", *(_interval(pair) for pair in pairs[:_PAIRS_OF_DATASETS])]
    last = max(map(len, shared)) + 2
    width = WIDTH - 10 * len(heads) - last
    names = "".join(f"{head:>10}" for head, _ in heads)
    lines = [f"{'people in both:':{width}}{names}{shared[0]:>{last}}"]
    for pair, interval in zip(pairs, shared[1:], strict=False):
        name = f"{shortened(pair['a'], width // 2 - 2)} x {shortened(pair['b'], width // 2 - 2)}"
        numbers = "".join(f"{pair.get(key, 0):>10,}" for _, key in heads)
        lines.append(f"{name:{width}}{numbers}{interval:>{last}}")
    if more := pairs[_PAIRS_OF_DATASETS:]:
        sums = [sum(pair.get(key, 0) for pair in more) for _, key in heads]
        name = f"{counted(len(more), 'more pair')} of datasets"
        lines.append(f"{name:{width}}" + "".join(f"{n:>10,}" for n in sums))
    return lines


def _share(told: Mapping[str, int]) -> str:
    share = told["shared"] / max(told["of"], 1)
    return "under 1%" if 0 < share < 0.005 else f"{share:.0%}"


def _not_judged(images: Mapping[str, list[str]]) -> list[str]:
    """Images that no encoder could judge as persons: the first of each dataset, as many as one line holds."""
    total = sum(map(len, images.values()))
    if not total:
        return []
    best = f"Not judged as persons: {counted(total, 'image')} (named in summary.json)"
    for shown in range(1, 3):
        parts = []
        for name, paths in images.items():
            named = list(dict.fromkeys(path.rpartition("/")[2] for path in paths))[:shown]
            names = ", ".join(shortened(each, _NAME) for each in named)
            others = len(paths) - len(named)
            more = f" and {others:,} more" if others else ""
            parts.append(f"{shortened(name, _NAME)} {names}{more}")
        line = "Not judged as persons: " + "; ".join(parts)
        best = line if len(line) <= WIDTH else best
    return [best]


def _why(summary: Mapping[str, Any]) -> list[str]:
    """Reasons that the headline does not give, what was not done, and warnings."""
    sentences: list[str] = []
    if summary["exit_code"] not in (0, 1) or "baseline" in summary:
        sentences = further_reasons(summary)
    said = " ".join(sentences)
    told: list[str] = summary["answer"]["not_done"]
    not_done = [words for words in told if words.partition(":")[0] not in said]
    sentences += not_done + list(summary["warnings"])
    for dataset in summary["datasets"]:
        if unread := dataset["status"]["unreadable"] + dataset["status"]["unsupported"]:
            first = dataset["unread"][0]
            sentences.append(
                f"{shortened(dataset['name'], _NAME)}: {counted(unread, 'file')} not read. First: "
                f"{first['path'] or '(path hidden)'}: {first['error']}"
            )
    if verdicts := summary.get("verdicts"):  # how many count, and how many do not any more
        sentences.append(verdict_counts(verdicts))
    # What holds of many datasets is said once.
    return [line for sentence in dict.fromkeys(sentences) for line in wrapped(sentence, WIDTH)[:3]]


def _next(summary: Mapping[str, Any], output: Path | None, details: bool) -> list[str]:
    if output is None:
        return ["Next   add -o run to keep the tables and the page"]
    run = shlex.quote(str(output))
    pairs = summary["answer"]["pairs_of_datasets"]
    leaks = bool(pairs) and pairs[0]["copies"] + pairs[0]["other_pictures"] > 0
    commands = []
    if any(pair["possible"] for pair in pairs) or (leaks and "verdicts" not in summary):
        commands.append(f"leakscan review {run}{same_places(summary, 'review')}")
    if leaks:
        commands.append(f"leakscan exclude {run} --from {shlex.quote(pairs[0]['b'])}")
    compared = any(pair["images"]["a"]["of"] and pair["images"]["b"]["of"] for pair in pairs)
    if not commands and compared and "audit" not in summary:
        commands.append(f"leakscan split {run} --ratios 80/10/10{same_places(summary, 'split')}")
    lines = [f"{'' if at else 'Next':7}{command}" for at, command in enumerate(commands)]
    from leakscan.report.run_folder import RunFolder  # loads pyarrow, and errors should not wait for it

    page, more = f"Page   {RunFolder(output).report}", f"Details   leakscan show {run}" if details else ""
    # Of two lines the second begins where the commands above do.
    return [*lines, *([one] if len(one := f"{page}   {more}") <= WIDTH else [page, more])]


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."


def _headed(text: str, right: str) -> list[str]:
    """Lines of a headline, the first of which ends with a word at its right; broken between clauses first."""
    room = WIDTH - len(right) - 1
    clauses = text.split("; ") if len(text) > room else [text]
    ended = [clause + ";" for clause in clauses[:-1]] + clauses[-1:]
    first, *rest = (line for clause in ended for line in wrapped(clause, room))
    return [f"{first:{WIDTH - len(right)}}{right}", *rest]
