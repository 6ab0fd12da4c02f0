"""What ``duplicates`` finds of published repeats: ``python -m leakscan.research.listed_duplicates DATA``.

The sets are ``busi`` (breast ultrasound) and ``slices`` (brain slices), each with ``truth_pairs.csv``. The
lists know only pairs that correlate at 32 x 32. What is found beyond them is counted, and is not false by
itself. With ``--peers`` two other tools search the same pictures at their defaults, in an environment of
their own.
"""

from __future__ import annotations

import csv
import json
import subprocess
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import networkx as nx
import typer

from leakscan.cli.output import Output
from leakscan.errors import UsageError
from leakscan.research.command import run_command
from leakscan.run.duplicates import DuplicateChoices, duplicates
from leakscan.settings import Settings

_LISTS = {"busi": ("a", "b"), "slices": ("test", "train")}
_PEERS = {
    "imagededup, perceptual hash": """
from imagededup.methods import PHash
p = PHash(verbose=False)
codes = p.encode_images(image_dir=folder, recursive=True, num_enc_workers=0)
found = p.find_duplicates(encoding_map=codes, num_dist_workers=0)
pairs = [(a, b) for a, others in found.items() for b in others]
""",
    "fastdup": """
import fastdup
fd = fastdup.create(work_dir=work, input_dir=folder)
fd.run(overwrite=True)
found = fd.connected_components()
found = found[0] if isinstance(found, tuple) else found
groups = found.groupby("component_id")["filename"].apply(list)
pairs = [(names[0], other) for names in groups for other in names[1:]]
""",
}
"""What finds pairs in ``folder`` with other tools at their defaults; ``work`` is for its own files."""

Pairs = set[frozenset[str]]


def listed_duplicates(
    data: Annotated[Path, typer.Argument(help="Folder that holds busi/ and slices/.")],
    check_seconds: Annotated[
        float, typer.Option("--check-seconds", help="Seconds for copy checks.")
    ] = 3000.0,
    peers: Annotated[
        Path | None,
        typer.Option("--peers", help="Python interpreter that has imagededup and fastdup."),
    ] = None,
    beyond: Annotated[
        Path | None,
        typer.Option("--beyond", help="Folder for a CSV file of every tool with the pairs beyond the list."),
    ] = None,
) -> None:
    """Compare the groups of duplicates with published lists, and print what was found as JSON.

    Example: python -m leakscan.research.listed_duplicates DATA --peers venv/bin/python
    """
    out = Output()
    for name, columns in _LISTS.items():
        folder = data / name
        with (folder / "truth_pairs.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        listed = {frozenset(_short(row[c]) for c in columns) for row in rows}
        tools: dict[str, Callable[[], tuple[Pairs, dict[str, Any]]]] = {
            "leakscan": partial(_own, folder, check_seconds)
        }
        if peers is not None:
            for tool, script in _PEERS.items():
                tools[tool] = partial(_peer, peers, script, folder)
        for tool, find in tools.items():
            began = time.monotonic()
            pairs, facts = find()
            spent = round(time.monotonic() - began, 1)
            out.say(
                json.dumps({"set": name, "tool": tool, **_held(pairs, listed), "seconds": spent, **facts})
            )
            if beyond is not None:
                _write(beyond / f"{name} {tool}.csv", pairs - listed)


def _short(path: str) -> str:
    """The name of a file; the names of both sets are their own without the folder."""
    return path.rpartition("/")[2]


def _held(pairs: Pairs, listed: Pairs) -> dict[str, int]:
    """How many listed pairs hang together by what was found, and how many pairs are beyond the list."""
    graph: nx.Graph[str] = nx.Graph(tuple(pair) for pair in pairs)
    part = {name: n for n, names in enumerate(nx.connected_components(graph)) for name in names}
    together = sum(len({part.get(name, name) for name in pair}) == 1 for pair in listed)
    return {"listed": len(listed), "listed_in_one_group": together, "beyond_the_list": len(pairs - listed)}


def _own(folder: Path, seconds: float) -> tuple[Pairs, dict[str, Any]]:
    """What this program finds, by copies alone: neither set has an encoder of persons."""
    with TemporaryDirectory() as cache:
        settings = Settings.of(workers=0, kind="other_2d", cache=Path(cache), check_seconds=seconds)
        choices = DuplicateChoices(labels="label")
        found = duplicates(folder / "manifest.csv", settings=settings, choices=choices)
    leaks = (row for row in found.result.pairs.to_pylist() if row["decision"] == "leak")
    return _pairs((row["path_a"], row["path_b"]) for row in leaks), found.result.summary["duplicates"]


def _peer(python: Path, script: str, folder: Path) -> tuple[Pairs, dict[str, Any]]:
    """What another tool finds of the same pictures.

    Raises:
        UsageError: It cannot be run, or fails.
    """
    with TemporaryDirectory() as work:
        answer = Path(work) / "pairs.json"
        code = f"import json\nfolder, work = {str(folder)!r}, {work!r}\n{script}"
        code += f"json.dump([list(map(str, p)) for p in pairs], open({str(answer)!r}, 'w'))\n"
        try:
            ran = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
        except OSError as error:
            raise UsageError("{path} cannot be run.", path=python) from error
        if not answer.is_file():
            last = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise UsageError(
                f"{{path}} failed: {last}", "Install imagededup and fastdup for it.", path=python
            )
        return _pairs(json.loads(answer.read_text(encoding="utf-8"))), {}


def _pairs(found: Iterable[tuple[str, str]]) -> Pairs:
    return {frozenset((_short(a), _short(b))) for a, b in found if _short(a) != _short(b)}


def _write(path: Path, pairs: Pairs) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("a", "b"))
        rows.writerows(sorted(tuple(sorted(pair)) for pair in pairs))


if __name__ == "__main__":
    run_command(listed_duplicates)
