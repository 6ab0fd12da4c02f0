"""The one place that prints: results for people, for machines, or not at all."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as RichTask
from rich.table import Table
from rich.text import Text

from leakscan.cli.hints import worded
from leakscan.counted import counted
from leakscan.errors import LeakscanError
from leakscan.report.alike import words_by_comparison
from leakscan.report.run_folder import RunFolder

_HEADLINES = {
    0: "[bold green]No leak found.[/]",
    1: "[bold red]Leak found.[/]",
    3: "[bold yellow]Could not vouch for these datasets.[/]",
}
STRONGEST_SHOWN = 10
DATASETS_SHOWN = 20


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # Rich would exit with 1, which here means a leak.
        raise BrokenPipeError


class Output:
    """Where a command puts its results.

    Args:
        as_json: Whether to print one JSON document on standard output and nothing else.
        quiet: Whether to print errors only.

    Example:
        >>> for out in (Output(), Output(as_json=True)):
        ...     out.say("2 leaks.")
        ...     out.data({"leaks": 2})
        2 leaks.
        {
         "leaks": 2
        }
    """

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self._out = _Console(highlight=False, soft_wrap=True, emoji=False)
        self._err = _Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

    def progress(self) -> RichProgress:
        """A progress display on standard error; shows nothing where that is no terminal."""
        visible = not self.quiet and not self.as_json and self._err.is_terminal
        return RichProgress(self._err, visible)

    def say(self, text: str, markup: bool = False) -> None:
        """A line for people; names in it are shown as they are unless ``markup`` says otherwise."""
        if not self.as_json and not self.quiet:
            self._out.print(text, markup=markup)

    def data(self, value: Any) -> None:
        """A document for machines."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")

    def error(self, error: LeakscanError) -> None:
        """An error, with what to try next."""
        message, hint = worded(error)
        if self.as_json:
            self.data({"error": message, "hint": hint, "exit_code": error.exit_code})
        self._err.print(f"[bold red]Error:[/] {escape(message)}")
        if hint:
            self._err.print(f"[dim]{escape(hint)}[/]")

    def table(self, title: str, columns: list[str], rows: list[list[str]], whole: str = "") -> None:
        """A table for people; the cells of the column ``whole`` stay on one line."""
        if self.as_json or self.quiet:
            return
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold", no_wrap=bool(whole) and column == whole)
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        self._out.print(table)

    def run(self, summary: Mapping[str, Any], pairs: pa.Table, output: Path | None) -> None:
        """What a comparison found."""
        self.data({**summary, "report": str(output) if output else None})
        if self.as_json or self.quiet:
            return
        headline = "Reported only." if summary["fail_on"] == "none" else _HEADLINES[summary["exit_code"]]
        self.say(headline + " " + escape(" ".join(summary["reasons"])), markup=True)
        for warning in summary.get("warnings", []):
            self.say(f"Warning: {warning}")
        datasets = summary["datasets"]
        for dataset in datasets[:DATASETS_SHOWN]:
            self.say(_dataset_words(dataset))
        if len(datasets) > DATASETS_SHOWN:
            self.say(f"... and {len(datasets) - DATASETS_SHOWN:,} more datasets; all are in summary.json.")
        counts = summary["decisions"].items()
        rows = [[r, str(c["leak"]), str(c["review"])] for r, c in counts]
        self.table("", ["relation", "leaks", "to review"], rows)
        for name, sentences in words_by_comparison(summary["comparisons"]):
            for words in sentences:
                if words not in summary["reasons"]:  # it was said at the top
                    self.say(f"{name}: {words}")
        if audit := summary.get("audit"):
            self.say(
                f"{audit['shared_subjects']} declared subjects stand in more than one split; "
                f"{audit['contradictions']} leaks join two different declared subjects."
            )
            listed = [[c["relation"], c["a"], c["b"]] for c in audit["contradicting_pairs"][:STRONGEST_SHOWN]]
            if listed:
                self.table("Different declared subjects, same person", ["relation", "A", "B"], listed)
        shown = pairs.slice(0, STRONGEST_SHOWN).to_pylist()
        if shown:
            cells = [
                [
                    p["decision"],
                    p["relation"],
                    _name(p, "a"),
                    _name(p, "b"),
                    "" if p["probability"] is None else f"{p['probability']:.2f}",
                    p["transform"] or "",
                ]
                for p in shown
            ]
            title = f"Strongest {len(shown)} of {counted(len(pairs), 'pair')}"
            self.table(title, ["", "relation", "A", "B", "probability", "altered"], cells)
        if output is not None:
            self.say(f"Report: {RunFolder(output).report}")


def _name(pair: Mapping[str, Any], side: str) -> str:
    return str(pair[f"path_{side}"] or pair[f"image_{side}"][:16])


def _dataset_words(dataset: Mapping[str, Any]) -> str:
    status = dataset["status"]
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in dataset["kinds"].items())
    words = f"{dataset['name']}: {counted(status['ok'], 'image')}"
    words += f" ({kinds})" if kinds else ""
    left = [f"{status[s]:,} {s}" for s in ("blank", "unreadable", "unsupported", "ignored") if status[s]]
    words += "; " + ", ".join(left) if left else ""
    first = next(iter(dataset["unread"]), None)
    return words + (f". First: {first['path'] or '(path hidden)'}: {first['error']}" if first else "")


class _RateColumn(ProgressColumn):
    def render(self, task: RichTask) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="dim")


class RichProgress:
    """A :class:`leakscan.types.Progress` with bars, rate and time left.

    Args:
        console: The terminal to draw on.
        visible: Whether to draw at all.
    """

    def __init__(self, console: Console, visible: bool) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not visible,
        )
        self._task: TaskID | None = None
        self._stage = ""

    def __enter__(self) -> RichProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def start(self, stage: str, total: int | None) -> None:
        """See :class:`leakscan.types.Progress`."""
        self.finish()
        self._stage = stage
        self._task = self._bars.add_task(escape(stage), total=total)

    def advance(self, n: int = 1) -> None:
        """See :class:`leakscan.types.Progress`."""
        if self._task is not None:
            self._bars.advance(self._task, n)

    def note(self, text: str) -> None:
        """See :class:`leakscan.types.Progress`."""
        if self._task is not None:
            self._bars.update(self._task, description=escape(f"{self._stage} {text}"))

    def finish(self) -> None:
        """See :class:`leakscan.types.Progress`."""
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
