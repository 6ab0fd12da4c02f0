"""The one place that prints: results for people, for machines, or not at all."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

from leakscan.cli.first_screen import first_screen
from leakscan.cli.hints import worded
from leakscan.cli.line_progress import LineProgress
from leakscan.cli.narrow import cell, fitted, shortened, wrapped
from leakscan.counted import chance, counted
from leakscan.errors import LeakscanError, OutputError
from leakscan.harmless import json_safe, one_line
from leakscan.report.altered_words import altered_words

if TYPE_CHECKING:
    import pyarrow as pa

_COLOURS = {0: "green", 1: "red", 3: "yellow"}
_WIDEST = 60  # characters of a path in a table
_DATASET = 11  # characters of a dataset's name before it
STRONGEST_SHOWN = 10


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # Rich would exit with 1, which here means a leak.
        raise BrokenPipeError

    def _write_buffer(self) -> None:
        if self.stderr:
            with contextlib.suppress(OSError):  # nobody is left to be told
                super()._write_buffer()
            return
        with printed():
            super()._write_buffer()


@contextlib.contextmanager
def printed() -> Iterator[None]:
    """Makes a sentence of a standard output that takes nothing more.

    Raises:
        OutputError: The disk that it goes to is full, or the like. A reader that has left stays what it is.

    Example:
        >>> with printed():
        ...     print("3 leaks.")
        3 leaks.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as e:
        raise OutputError(
            f"The answer cannot be written to standard output: {e.strerror or e}.",
            "Send it to a place with room; what was written to the run folder is whole.",
        ) from e


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

    def progress(self) -> RichProgress | LineProgress:
        """A progress display on standard error: bars on a terminal, else a line now and then."""
        if self.quiet or (self.as_json and self._err.is_terminal):
            return RichProgress(self._err, visible=False)
        if self._err.is_terminal:
            return RichProgress(self._err, visible=True)
        return LineProgress(lambda line: self._err.print(one_line(line), markup=False))

    def say(self, text: str, markup: bool = False) -> None:
        """A line for people; brackets in it are shown as they are unless ``markup`` says otherwise."""
        if not self.as_json and not self.quiet:
            self._out.print(one_line(text), markup=markup)

    def data(self, value: Any) -> None:
        """A document for machines."""
        if self.as_json:
            with printed():
                sys.stdout.write(json_safe(json.dumps(value, indent=1, ensure_ascii=False)) + "\n")

    def error(self, error: LeakscanError) -> None:
        """An error, with what to try next."""
        message, hint = worded(error)
        if self.as_json:
            self.data({"error": message, "hint": hint, "exit_code": error.exit_code})
        self._err.print(f"[bold red]Error:[/] {escape(one_line(message))}")
        if hint:
            self._err.print(f"[dim]{escape(one_line(hint))}[/]")

    def table(self, title: str, columns: list[str], rows: list[list[str]], whole: str = "") -> None:
        """A table for people; the cells of the column ``whole`` stay on one line."""
        if self.as_json or self.quiet:
            return
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        used = [at for at, column in enumerate(columns) if not rows or any(row[at] for row in rows)]
        columns = [columns[at] for at in used]
        cells = [[one_line(row[at]) for at in used] for row in rows]
        widths = fitted(columns, cells, self._out.width)
        for at, column in enumerate(columns):
            if whole and column == whole:
                widths[at] = max(len(text) for text in (column, *(row[at] for row in cells)))
            table.add_column(column, overflow="fold", no_wrap=column == whole != "", width=widths[at])
        for row in cells:
            table.add_row(*(escape(cell(text, width)) for text, width in zip(row, widths, strict=True)))
        self._out.print(table)

    def run(
        self, summary: Mapping[str, Any], pairs: pa.Table, output: Path | None, show_pairs: bool = False
    ) -> None:
        """What a comparison found: the answer, and the strongest pairs only where they are asked for."""
        self._found(summary, pairs, output, show_pairs, first_screen(summary, output))

    def again(self, summary: Mapping[str, Any], pairs: pa.Table, output: Path, show_pairs: bool) -> None:
        """The same of a run of before, whose details follow."""
        self._found(summary, pairs, output, show_pairs, first_screen(summary, output, details=False))

    def sentences(self, texts: Iterable[str]) -> None:
        """Sentences for people, each begun on a line of its own and broken between words."""
        for text in texts:
            for line in wrapped(one_line(text), max(self._out.width, 40), "  "):
                self.say(line)

    def _found(
        self,
        summary: Mapping[str, Any],
        pairs: pa.Table,
        output: Path | None,
        show_pairs: bool,
        screen: list[str],
    ) -> None:
        shown = pairs.slice(0, STRONGEST_SHOWN).to_pylist() if show_pairs else []
        if self.as_json:
            listed = pairs if show_pairs else pairs.slice(0, STRONGEST_SHOWN)
            more = {"n_pairs": len(pairs), "pairs": [_plain(p) for p in listed.to_pylist()]}
            self.data({**summary, **more, "report": str(output) if output else None})
        if self.as_json or self.quiet:
            return
        first, *rest = screen
        self.say(f"[bold {_COLOURS[summary['exit_code']]}]{escape(first)}[/]", markup=True)
        for line in rest:
            self.say(line)
        if audit := summary.get("audit"):
            self.say(
                f"{audit['shared_subjects']} declared subjects stand in more than one split; "
                f"{audit['contradictions']} leaks join two different declared subjects."
            )
            listed = [[c["relation"], c["a"], c["b"]] for c in audit["contradicting_pairs"][:STRONGEST_SHOWN]]
            if listed and show_pairs:
                self.table("Different declared subjects, same person", ["relation", "A", "B"], listed)
        if shown:
            names = len({p[f"dataset_{side}"] for p in pairs.to_pylist() for side in ("a", "b")}) > 2
            cells = [
                [
                    p["decision"],
                    p["relation"],
                    *(_name(p, side, names) for side in ("a", "b")),
                    "" if p["probability"] is None else chance(p["probability"]),
                    ", ".join(altered_words(p["transform"])),
                ]
                for p in shown
            ]
            title = f"Strongest {len(shown)} of {counted(len(pairs), 'pair')}"
            self.table(title, ["", "relation", "A", "B", "prob.", "altered"], cells)


def _plain(pair: Mapping[str, Any]) -> dict[str, Any]:
    """A pair as JSON can say it."""
    return {name: str(value) if name == "verdict_at" and value else value for name, value in pair.items()}


def _name(pair: Mapping[str, Any], side: str, with_dataset: bool) -> str:
    """An image by its path; a long one loses its middle."""
    name = str(pair[f"path_{side}"] or pair[f"image_{side}"][:16])
    if with_dataset:
        name = f"{shortened(pair[f'dataset_{side}'], _DATASET)}/{name}"
    return shortened(name, _WIDEST)


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
        self._task = self._bars.add_task(escape(one_line(stage)), total=total)

    def advance(self, n: int = 1) -> None:
        """See :class:`leakscan.types.Progress`."""
        if self._task is not None:
            self._bars.advance(self._task, n)

    def note(self, text: str) -> None:
        """See :class:`leakscan.types.Progress`."""
        if self._task is not None:
            self._bars.update(self._task, description=escape(one_line(f"{self._stage} {text}")))

    def tell(self, text: str) -> None:
        """See :class:`leakscan.types.Progress`."""
        if not self._bars.disable:
            self._bars.console.print(text, markup=False)

    def finish(self) -> None:
        """See :class:`leakscan.types.Progress`."""
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
