"""``leakscan exclude``: the list of images to drop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.next_steps import check_command, not_applied
from leakscan.cli.output import Output
from leakscan.counted import counted


def exclude_command(
    run: Annotated[Path, typer.Argument(help="Run folder written by compare -o or audit -o.")],
    dataset: Annotated[
        str | None, typer.Option("--from", help="Dataset to drop images from, by its name in the run.")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option("--keep", help="best: for every person, drop from the dataset that loses least."),
    ] = None,
    unit: Annotated[
        str, typer.Option("--by", help="What goes with a leaking image: its subject, study, or image alone.")
    ] = "subject",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Stem of the two files; default: RUN/exclude-DATASET."),
    ] = None,
    with_review: Annotated[
        bool, typer.Option("--with-review", help="Also drop images only marked for review.")
    ] = False,
    protect: Annotated[
        list[str] | None, typer.Option("--protect", help="Dataset to drop nothing from; repeatable.")
    ] = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Name nothing of the other datasets, so that it can be shared.")
    ] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """List the images to drop from one dataset, as CSV and Parquet; nothing is deleted.

    Example: leakscan exclude run --from hospital_b

    Whole people are dropped: with a leaking image go all images of its subject and studies. Give the list
    back with: leakscan compare A B --exclude-list run/exclude-hospital_b.csv
    """
    from leakscan.errors import UsageError
    from leakscan.report.run_folder import RunFolder
    from leakscan.review.lists import Policy, by_dataset, exclusions, list_name, write_list
    from leakscan.review.people import UNITS

    out = Output(as_json, quiet)
    if (dataset is None) == (keep is None):
        raise UsageError("Say either --from DATASET or --keep best.")
    if keep not in (None, "best"):
        raise UsageError(f"--keep {keep} is unknown; it can be best.")
    policy = Policy(
        dataset=dataset,
        unit=o.one_of("--by", unit, UNITS),
        with_review=with_review,
        protect=tuple(protect or ()),
        publish=publish,
    )
    found = exclusions(run, policy)
    stem = output or run / f"exclude-{list_name(dataset) if dataset is not None else 'best'}"
    if publish and dataset is None:  # one list for each, which names only its own side
        parts = by_dataset(found.drop)
        paths = [p for name, rows in parts.items() for p in write_list(rows, _beside(stem, list_name(name)))]
    else:
        paths = write_list(found.drop, stem)
    if len(found.look_first):
        paths += write_list(found.look_first, paths[0].with_name(f"{paths[0].stem}-look-first"))
    out.data(
        {
            "images": len(found.drop),
            "people": found.people,
            "left_in_two": found.left,
            "look_first": len(found.look_first),
            "files": [str(p) for p in paths],
        }
    )
    if words := not_applied(run):
        out.say(words)
    whom = f"from {dataset}" if dataset is not None else "in all"
    people = counted(found.people, "person", "people")
    if not paths:
        out.say("Nothing is to be dropped, so no list was written.")
        return
    files = f"{paths[0]} and {paths[1]}" if dataset is not None or not publish else ", ".join(map(str, paths))
    out.say(f"Drop {whom}: {people}, {counted(len(found.drop), 'image')}: {files}")
    if found.left:
        out.say(
            f"{counted(found.left, 'person', 'people')} stay in two datasets, because both are protected."
        )
    if len(found.look_first):
        rows = counted(len(found.look_first), "pair of people", "pairs of people")
        out.say(f"Look first at {rows}: {paths[2]}")
    given = [p for p in paths if p.suffix == ".csv" and not p.stem.endswith("-look-first")]
    out.say(f"Check it: {check_command(run, RunFolder.open(run).read_summary(), given)}")


def _beside(stem: Path, name: str) -> Path:
    """The stem of the list of one dataset."""
    plain = stem.with_suffix("") if stem.suffix in (".csv", ".parquet") else stem
    return plain.with_name(f"{plain.name}-{name}")
