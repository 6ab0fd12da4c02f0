"""Decisions held against the truth: ``python -m leakscan.research.simulated_merges DATA``.

Films of known people are dealt to two sides (``merge_deals.py``), the run's own code decides
(``merge_decisions.py``), and what it says is counted in subjects (``merge_sums.py``). Whatever was decided
is kept, so that a stopped command goes on where it was; another state of the code, another model or other
films start anew. Prints JSON, and writes it beside a table for ``docs/benchmarks.md``.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from blake3 import blake3

import leakscan
from leakscan.cli.output import Output
from leakscan.engines import start_engine
from leakscan.errors import UsageError
from leakscan.research.command import DataArgument, EncoderOption, WorkersOption, run_command
from leakscan.research.labelled_films import LabelledFilms
from leakscan.research.merge_deals import MergeKind, reach
from leakscan.research.merge_decisions import MergeLab, Outcome
from leakscan.research.merge_sums import as_markdown, reliability_as_markdown, summed_up
from leakscan.settings import Settings
from leakscan.types import Progress

SIZES = (100, 315, 1000)
"""Subjects a side, as far as the people reach."""
SHARES = (0.0, 0.01, 0.05, 0.3)
"""Shares of the subjects of a side who stand on both."""
CHILDREN = 1 / 3
"""The share of children in a mixed merge."""
COPIES = 100
"""Copies planted in a merge with copies."""
_ASKED = (315, 30)  # subjects a side and shared ones of the merge that the promises are about
_ADULTS, _CHILDREN = "nih/manifest.csv", "kermany/manifest.csv"
_GROUPS: dict[str, list[list[str]]] = {
    "develop": [[f"{_ADULTS}?split=val", f"{_ADULTS}?split=calibration"], [f"{_CHILDREN}?split=train"]],
    "test": [[f"{_ADULTS}?split=test"], [f"{_CHILDREN}?split=test"]],
    "children": [[f"{_CHILDREN}?split=test"]],
}
_JUDGED = ("decide", "match", "report")  # rooms whose code decides what a merge comes to
_CACHE = Path("~/.cache/leakscan-measure")


def kinds_of(films: LabelledFilms) -> list[MergeKind]:
    """Every kind of merge that some people allow, those that the promises are about first.

    Args:
        films: The films; a second group of people allows mixed merges.

    Example::

        [kind.name for kind in kinds_of(lab.films)][:2]  # ['315-shared30-undeclared', ...]
    """
    counts, groups = films.counts, films.groups

    def sized(size: int, shared: float | int, mixed: float = 0.0) -> tuple[int, int]:
        most = min(size, reach(counts, groups, mixed, shared))
        return most, shared if isinstance(shared, int) else round(shared * most)

    asked = [sized(_ASKED[0], _ASKED[1]), sized(_ASKED[0], 0)]
    plain = [sized(size, share) for size in (_ASKED[0], *SIZES) for share in SHARES]
    found = [
        MergeKind(subjects=n, shared=shared, declared=declared)
        for n, shared in [*asked, *plain]
        for declared in (False, True)
    ]
    rest = [(shared, 0.0, COPIES) for shared in (0, _ASKED[1])]
    if (groups == 1).any():
        rest += [(shared, CHILDREN, 0) for shared in (0, _ASKED[1], round(0.3 * _ASKED[0]))]
    for shared, mixed, copies in rest:
        n, _ = sized(_ASKED[0], shared, mixed)
        found += [
            MergeKind(subjects=n, shared=shared, declared=declared, mixed=mixed, copies=copies)
            for declared in (False, True)
        ]
    return [kind for kind in dict.fromkeys(found) if kind.subjects > 0]


@dataclass(frozen=True)
class _Laboratory:
    """What a process needs to open a lab."""

    people: str
    data: Path
    encoder: str | None


_LABS: dict[_Laboratory, MergeLab] = {}  # a process opens its lab once


def _opened(laboratory: _Laboratory, progress: Progress | None = None) -> MergeLab:
    if laboratory not in _LABS:
        groups = [
            [str(laboratory.data / "cxr" / one) for one in group] for group in _GROUPS[laboratory.people]
        ]
        settings = Settings.of(cache=_CACHE.expanduser(), encoder=laboratory.encoder, workers=0)
        _LABS[laboratory] = MergeLab.open(groups, settings, progress)
    return _LABS[laboratory]


@dataclass(frozen=True)
class _Task:
    """One merge to be decided."""

    laboratory: _Laboratory
    kind: MergeKind
    seed: int


def _decided(task: _Task) -> Outcome:
    return _opened(task.laboratory).decide(task.kind, task.seed)


class KeptOutcomes:
    """Outcomes in files, one line a merge, by kind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, kind: MergeKind) -> list[Outcome]:
        """What was decided of a kind; a line that a kill cut short is left out."""
        path = self._path(kind)
        lines = path.read_text().splitlines() if path.is_file() else []
        return [Outcome.from_row(row) for row in map(_row, lines) if row is not None]

    def keep(self, kind: MergeKind, outcome: Outcome) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._path(kind).open("a") as file:
            file.write("\n" + json.dumps(outcome.as_row()))

    def _path(self, kind: MergeKind) -> Path:
        return self._folder / f"{kind.name}.jsonl"


def _row(line: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] | None = json.loads(line) if line else None
    except ValueError:
        return None
    return found


def _state(lab: MergeLab) -> str:
    """Changes with everything that a decision hangs on."""
    package = Path(leakscan.__file__).parent
    own = [Path(__file__).with_name(f"merge_{name}.py") for name in ("deals", "decisions")]
    files = [path for room in _JUDGED for path in sorted((package / room).rglob("*.py"))]
    models = lab.context.models
    known = [f for e in models.encoders.values() for f in sorted(e.folder.glob("*.safetensors"))]
    digests = (blake3(path.read_bytes()).hexdigest() for path in (*own, *files, *known))
    people = lab.films.rows["pixel_hash"].to_pylist()
    return blake3("|".join((*digests, *people)).encode()).hexdigest()[:12]


def _tasks(
    kept: Mapping[MergeKind, Sequence[Outcome]], laboratory: _Laboratory, merges: int
) -> Iterator[_Task]:
    """The merges that are still to be decided, one of each kind in turn."""
    done = {kind: {outcome.seed for outcome in outcomes} for kind, outcomes in kept.items()}
    for seed in range(merges):
        yield from (_Task(laboratory, kind, seed) for kind in kept if seed not in done[kind])


def simulate(
    data: DataArgument,
    people: Annotated[
        str, typer.Option("--people", help="Whose films: develop, test or children (those of test alone).")
    ] = "develop",
    merges: Annotated[int, typer.Option("--merges", help="Merges of each kind.", min=1)] = 20,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Part of the names of the kinds to simulate; repeat.")
    ] = None,
    before: Annotated[
        list[Path] | None, typer.Option("--before", help="JSON of an earlier call to stand beside; repeat.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Where to write the JSON, and a .md.")
    ] = None,
    encoder: EncoderOption = None,
    workers: WorkersOption = 0,
) -> None:
    """Simulate merges, hold the decisions against the truth, and print JSON.

    Example: python -m leakscan.research.simulated_merges DATA --merges 20 --only 315-shared30
    """
    if people not in _GROUPS:
        raise UsageError(f"There are no people called {people}; there are {', '.join(_GROUPS)}.")
    out = Output(as_json=True)
    bar = Output().progress()
    laboratory = _Laboratory(people, data, encoder)
    with bar:
        lab = _opened(laboratory, bar)
        wanted = [k for k in kinds_of(lab.films) if not only or any(part in k.name for part in only)]
        if not wanted:
            raise UsageError("No kind of merge has such a name.")
        folder = _CACHE.expanduser() / "merges" / _state(lab)
        kept = {kind: KeptOutcomes(folder).of(kind) for kind in wanted}
        tasks = list(_tasks(kept, laboratory, merges))
        bar.start("Deciding merges", len(tasks))
        for task, outcome in zip(tasks, start_engine(workers).map(_decided, tasks, 1), strict=True):
            KeptOutcomes(folder).keep(task.kind, outcome)
            kept[task.kind].append(outcome)
            bar.advance()
    figures = {
        kind.name: summed_up([o for o in outcomes if o.seed < merges], lab.films.people)
        for kind, outcomes in kept.items()
    }
    found = {"people": people, "encoder": encoder or "shipped", "state": folder.name, "kinds": figures}
    if output is not None:
        output.write_text(json.dumps(found, indent=1) + "\n")
        output.with_suffix(".md").write_text(_page(found, [json.loads(b.read_text()) for b in before or []]))
    out.data(found)


def _page(found: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> str:
    """The tables, with the figures of earlier calls below each kind."""
    rows: dict[str, Any] = defaultdict(dict)
    for name, figures in found["kinds"].items():
        rows[name] = figures
        for old in before:
            if name in old["kinds"]:
                rows[f"{name}, before ({old['state']})"] = old["kinds"][name]
    return as_markdown(rows) + "\n\n" + reliability_as_markdown(rows) + "\n"


if __name__ == "__main__":
    run_command(simulate)
