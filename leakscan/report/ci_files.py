"""What a build server reads of a run: JUnit XML, a Markdown page, and annotations."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from leakscan.counted import counted
from leakscan.harmless import one_line
from leakscan.report.none_found import further_reasons
from leakscan.report.verdict_words import verdict_counts
from leakscan.types import RELATIONS

_LISTED = 20
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(summary: Mapping[str, Any]) -> str:
    """A JUnit file: one test for every relation of every two datasets, and one for what can be vouched for.

    Args:
        summary: What ``summary.json`` holds.

    Example:
        >>> counts = {r: {"leak": 0, "review": 0, "cleared": 0} for r in RELATIONS}
        >>> counts["same_file"]["leak"] = 2
        >>> told = {"exit_code": 1, "reasons": ["2 pairs."], "fail_on": "same_subject",
        ...         "comparisons": [{"a": "A", "b": "B", "decisions": counts}]}
        >>> ET.fromstring(junit(told)).get("failures")
        '1'
    """
    suite = ET.Element("testsuite", name="leakscan")
    failures = errors = tests = 0
    fails = summary["exit_code"] == 1
    new = (summary.get("baseline") or {}).get("new_by_relation")
    fresh = {(n["a"], n["b"], n["relation"]): n["leaks"] for n in new or ()}
    for c in summary["comparisons"]:
        for relation in RELATIONS:
            tests += 1
            case = ET.SubElement(suite, "testcase", classname=_clean(f"{c['a']} and {c['b']}"), name=relation)
            found = c["decisions"][relation]["leak"]
            leaks = found if new is None else fresh.get((c["a"], c["b"], relation), 0)
            if leaks and fails:
                failures += 1
                words = f"{counted(leaks, 'pair')} of images of {c['a']} and {c['b']}: {relation}."
                ET.SubElement(case, "failure", message=counted(leaks, "leak")).text = _clean(words)
    tests += 1
    case = ET.SubElement(suite, "testcase", classname="leakscan", name="vouched for")
    if summary["exit_code"] == 3 or (fails and not failures):
        errors += 1
        ET.SubElement(case, "error", message=_clean(" ".join(summary["reasons"])))
    if failures:
        ET.SubElement(suite, "system-out").text = _clean(" ".join(summary["reasons"]))
    suite.attrib |= {"tests": str(tests), "failures": str(failures), "errors": str(errors)}
    ET.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"


def markdown(summary: Mapping[str, Any]) -> str:
    """A page for the summary of a job.

    Args:
        summary: What ``summary.json`` holds, with its ``answer``.

    Example::

        Path(os.environ["GITHUB_STEP_SUMMARY"]).write_text(markdown(summary))
    """
    told = summary["answer"]
    lines = [f"## leakscan: {_cell(told['headline'])}", "", f"Exit code {summary['exit_code']}.", ""]
    lines += [f"- {_cell(words)}" for words in [*further_reasons(summary), *summary.get("warnings", [])]]
    lines += [
        "",
        "| datasets | copies | other pictures of a person | possible | accepted | cleared as different |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {_cell(p['a'])} and {_cell(p['b'])} | {p['copies']} | {p['other_pictures']} | {p['possible']} | "
        f"{p['accepted']} | {p.get('different', 0)} |"
        for p in told["pairs_of_datasets"][:_LISTED]
    ]
    if said := summary.get("verdicts"):
        lines += ["", verdict_counts(said)]
    return "\n".join(lines) + "\n"


def workflow_lines(
    pairs: Sequence[Mapping[str, Any]],
    sources: Mapping[str, str | None] | None = None,
    here: Path | None = None,
) -> list[str]:
    """Lines by which GitHub marks files: leaks as errors, pairs for review as warnings.

    Args:
        pairs: Rows of ``pairs.parquet``, leaks first, each by probability.
        sources: Where each dataset was, as ``summary.json`` holds it. A path in a table is relative to that
            place, and GitHub needs one that is relative to the repository.
        here: The folder of the repository; without it the folder that this runs in.

    Example:
        >>> pair = {"decision": "leak", "relation": "same_file", "dataset_a": "A", "dataset_b": "B",
        ...         "path_a": "a.png", "path_b": "b,c.png", "image_a": "1", "image_b": "2"}
        >>> workflow_lines([pair], {"B": "/repo/data/new"}, Path("/repo"))
        ['::error file=data/new/b%2Cc.png,title=leakscan::same_file: B/b,c.png with A/a.png']
    """
    out = []
    for pair in pairs:
        level = {"leak": "error", "review": "warning"}.get(pair["decision"])
        if level is None:
            continue
        path = _in_repository(pair["path_b"], (sources or {}).get(pair["dataset_b"]), here or Path.cwd())
        file = f" file={_escaped(path)}," if path else " "
        one, other = (
            f"{pair[f'dataset_{side}']}/{pair[f'path_{side}'] or 'image ' + pair[f'image_{side}'][:12]}"
            for side in ("b", "a")
        )
        message = f"{pair['relation']}: {one} with {other}"
        out.append(f"::{level}{file}title=leakscan::{_escaped(message, message=True)}")
        if len(out) == _LISTED:
            break
    return out


def _in_repository(path: str | None, place: str | None, here: Path) -> str | None:
    """A path of a dataset as seen from the repository; as the table has it where that is not known."""
    if not path or not place:
        return path
    source = Path(place.partition("?")[0])
    folder = source.parent if source.is_file() else source  # a manifest names files beside it
    full = Path(os.path.normpath(here / folder / path))
    return full.relative_to(here).as_posix() if full.is_relative_to(here) else path


def _escaped(text: str, message: bool = False) -> str:
    """Text as workflow commands take it."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text if message else text.replace(":", "%3A").replace(",", "%2C")


def _cell(text: str) -> str:
    """Text that neither breaks a table nor is taken for markup."""
    return "".join(f"\\{c}" if c in "|<>`*_[]" else c for c in _clean(text))


def _clean(text: str) -> str:
    """Text in one line, without what XML does not allow (XML 1.0, 2.2) and a terminal obeys."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", one_line(" ".join(text.split())))
