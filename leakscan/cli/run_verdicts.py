"""``leakscan verdicts``: what people said of pairs, beside the review page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.next_steps import apply_command
from leakscan.cli.output import Output
from leakscan.counted import counted

if TYPE_CHECKING:
    from leakscan.review.verdicts import Verdict

verdicts_app = typer.Typer(help="Keep, merge and edit what people said of pairs.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="File of verdicts, such as verdicts.parquet.")]


@verdicts_app.command("show")
def show_command(file: File, as_json: o.Json = False) -> None:
    """Count what stands, and say how far people agree.

    Example: leakscan verdicts show verdicts.parquet
    """
    from collections import Counter

    from leakscan.review.agreement import agreement
    from leakscan.review.opinions import newest_of_each, opinions
    from leakscan.review.verdicts import VerdictFile

    out = Output(as_json)
    said = VerdictFile.open(file).read()
    ended = _ended(newest_of_each(said).values())
    counts = Counter(opinion.word for opinion in opinions(said).values())
    agreed = agreement(said)
    out.data(
        {
            "verdicts": len(said),
            "standing": dict(counts),
            "ended": ended,
            "agreement": [{**vars(a), "by": list(a.by)} for a in agreed],
        }
    )
    out.say(
        f"{counted(len(said), 'verdict')}; standing: "
        + (_listed(counts) or "none")
        + f".{_ended_words(ended)}"
    )
    for a in agreed:
        kappa = "unknown, because both always said the same" if a.kappa is None else f"{a.kappa:.2f}"
        out.say(f"{' and '.join(a.by)}: {a.equal} of {a.things} equal; Cohen's kappa {kappa}.")


@verdicts_app.command("add")
def add_command(
    run: Annotated[Path, typer.Argument(help="Run folder written by compare -o or audit -o.")],
    verdict: Annotated[str, typer.Argument(help="same, different, unsure, wanted or withdrawn.")],
    image: Annotated[
        list[str] | None,
        typer.Option(
            "--image",
            help="Image as DATASET/PATH. Once: its subject wherever it is found. Twice: the two subjects.",
        ),
    ] = None,
    datasets: Annotated[
        tuple[str, str] | None,
        typer.Option("--datasets", help="Two datasets, all of whose overlap is meant."),
    ] = None,
    pair: Annotated[
        bool, typer.Option("--pair", help="With two images: these two, not all of their subjects.")
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option(
            "--verdicts",
            "--file",
            help="File to add to; default: that of the run's review, or verdicts.parquet.",
        ),
    ] = None,
    by: Annotated[str, typer.Option("--by", help="Your name; default: the login name.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why the overlap is wanted.")] = "",
    note: Annotated[str, typer.Option("--note", help="A remark.")] = "",
    until: Annotated[
        str | None, typer.Option("--until", help="Last day on which it holds: 2027-01-31.")
    ] = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Say something of a pair, of a subject, or of two datasets.

    Example: leakscan verdicts add run wanted --image hospital_b/0007.png --reason baseline
    """
    from leakscan.review.account import account_name
    from leakscan.review.judged_run import JudgedRun, Said
    from leakscan.review.verdicts import WORDS, VerdictFile

    out = Output(as_json, quiet)
    word = o.one_of("A verdict", verdict, WORDS)
    said = Said(by=by.strip() or account_name(), verdict=word, note=note, reason=reason, until=_day(until))
    judged = JudgedRun.open(run)
    given = judged.named(said, image or [], datasets, pair)
    if file is None:
        reviewed = run / "verdicts.parquet"
        file = reviewed if reviewed.is_file() else Path("verdicts.parquet")
    VerdictFile(file).append([given])
    out.data({"id": given.id, "scope": given.scope, "file": str(file)})
    out.say(f"{given.by}: {given.verdict}, scope {given.scope}. It is in {file}; with it:")
    out.say(apply_command(run, judged.summary, file))


@verdicts_app.command("merge")
def merge_command(
    file: File,
    others: Annotated[list[Path], typer.Argument(help="Files whose verdicts are added to it.")],
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Add the verdicts of other files; what is there already is not doubled.

    Example: leakscan verdicts merge verdicts.parquet from-ann.parquet from-bob.parquet
    """
    from leakscan.review.verdicts import VerdictFile

    out = Output(as_json, quiet)
    read = [verdict for other in others for verdict in VerdictFile.open(other).read()]
    new = VerdictFile(file).append(read)
    out.data({"read": len(read), "new": new, "file": str(file)})
    out.say(f"{counted(new, 'new verdict')} of {len(read):,} read are now in {file}.")


@verdicts_app.command("export")
def export_command(
    file: File,
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV file to write.")],
    run: Annotated[
        Path | None, typer.Option("--run", help="Run folder whose paths are shown beside each verdict.")
    ] = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Write the verdicts as CSV, to be read or edited.

    Example: leakscan verdicts export verdicts.parquet -o verdicts.csv --run run
    """
    from leakscan.report.run_folder import write_text
    from leakscan.review.judged_run import JudgedRun
    from leakscan.review.verdict_csv import to_csv
    from leakscan.review.verdicts import VerdictFile

    out = Output(as_json, quiet)
    said = VerdictFile.open(file).read()
    more = None
    if run is not None:
        paths = JudgedRun.open(run).paths_of_pictures
        more = [{"path_a": _paths(v.pictures_a, paths), "path_b": _paths(v.pictures_b, paths)} for v in said]
    write_text(output, to_csv(said, more))
    out.data({"verdicts": len(said), "file": str(output)})
    out.say(f"{counted(len(said), 'verdict')} written to {output}.")


@verdicts_app.command("import")
def import_command(
    file: File,
    edited_file: Annotated[Path, typer.Argument(metavar="CSV", help="Exported file, edited.")],
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Read an edited CSV back: changed and new lines become new verdicts.

    Example: leakscan verdicts import verdicts.parquet verdicts.csv

    Semicolons, tabs and a byte order mark, as spreadsheet programs write them, are understood. A line
    that is gone says nothing; write withdrawn to take a verdict back.
    """
    from leakscan.review.verdict_csv import edited, read_csv
    from leakscan.review.verdicts import VerdictFile

    out = Output(as_json, quiet)
    if _is_parquet(edited_file):  # named the other way round
        file, edited_file = edited_file, file
    lines = read_csv(edited_file)
    target = VerdictFile(file)
    added = edited(target.read(), lines)
    new, ended = target.append(added), _ended(added)
    out.data({"lines": len(lines), "new": new, "ended": ended, "file": str(file)})
    out.say(
        f"{counted(len(lines), 'line')} read; {counted(new, 'new verdict')} in {file}.{_ended_words(ended)}"
    )


def _ended(verdicts: Iterable[Verdict]) -> int:
    """How many verdicts hold no more, because their last day is over."""
    from leakscan.review.opinions import is_over

    today = dt.datetime.now(dt.UTC).date()
    return sum(is_over(verdict, today) for verdict in verdicts if verdict.verdict != "withdrawn")


def _ended_words(ended: int) -> str:
    """A sentence on verdicts that hold no more; empty where there are none."""
    if not ended:
        return ""
    return f" {counted(ended, 'verdict')} {'is past its' if ended == 1 else 'are past their'} last day."


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:
        return False  # whoever reads it says what is wrong


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {word}" for word, n in sorted(counts.items()))


def _paths(pictures: tuple[str, ...], paths: dict[str, list[str]]) -> str:
    return " | ".join(path for picture in pictures for path in paths.get(picture, ()))


def _day(text: str | None) -> dt.date | None:
    from leakscan.errors import UsageError

    if text is None:
        return None
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--until is {text}; write the day as 2027-01-31.") from None
    if day < dt.datetime.now().astimezone().date():
        raise UsageError(f"--until is {text}, which is over already.", "Name a day to come.")
    return day
