"""``leakscan split``: splits that no person crosses."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.next_steps import audit_command, not_applied
from leakscan.cli.output import Output
from leakscan.counted import counted
from leakscan.settings import Settings


@o.with_settings("same_ids", "show_subjects", "hide_paths", "fail_on", "max_unread", "pictures_mb")
def split_command(
    source: Annotated[
        str, typer.Argument(help="Run folder, or a folder or manifest, which is searched for copies first.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Stem of the files to write.")] = Path(
        "split"
    ),
    ratios: Annotated[
        str, typer.Option("--ratios", help="Shares: 80/10/10, or with names train=70/test=30.")
    ] = "80/10/10",
    stratify: Annotated[
        str | None,
        typer.Option("--stratify", help="Manifest column to balance, or folder for the folder of an image."),
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help="With a run folder: the manifest that has the column.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed; the same one gives the same split.", min=0)] = 0,
    keep_test: Annotated[
        bool, typer.Option("--keep-test", help="Mend the split there is; nothing leaves test.")
    ] = False,
    hashed: Annotated[
        bool, typer.Option("--hashed", help="Write no paths, only image ids, so that it can be published.")
    ] = False,
    with_review: Annotated[
        bool, typer.Option("--with-review", help="Keep pairs for review together as well.")
    ] = False,
    *,
    settings: Settings,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Split a dataset so that nobody stands in two splits.

    Example: leakscan split films.csv --ratios 80/10/10 --stratify diagnosis -o split

    Together stay the images of a declared subject, of a study, and those that leaks link. split.csv is
    a manifest: put it beside the images, and leakscan audit split.csv finds no shared subject.
    """
    from leakscan.run.split import SplitWishes, split

    out = Output(as_json, quiet)
    wishes = SplitWishes(
        ratios=ratios,
        stratify=stratify,
        manifest=manifest,
        seed=seed,
        keep_test=keep_test,
        hashed=hashed,
        with_review=with_review,
    )
    with out.progress() as progress:
        found, files = split(source, output, wishes=wishes, settings=settings, progress=progress)
    out.data(
        {
            "splits": found.reached,
            "largest_difference": found.off,
            "farthest": found.farthest,
            "moved": found.moved,
            "notes": found.notes,
            "files": [str(path) for path in files],
        }
    )
    rows = [
        [
            name,
            f"{told['asked']:.1%}",
            f"{told['images']:,} ({told['share_of_images']:.1%})",
            f"{told['people']:,} ({told['share_of_people']:.1%})",
            _farthest(told),
        ]
        for name, told in found.reached.items()
    ]
    if words := not_applied(Path(source)):
        out.say(words)
    out.table("", ["split", "asked", "images", "people", "label farthest off"], rows)
    where = f" {found.farthest}." if found.farthest else ""
    out.say(f"The largest difference from what was asked is {found.off:.1%}.{where}")
    if found.moved:
        out.say(f"{counted(found.moved, 'image')} moved to another split.")
    for words in found.notes:
        out.say(words)
    out.say(f"Written: {files[0]} and {files[1]}")
    if not hashed and (words := _check_words(source, files[0], settings)):
        out.say(words)


def _check_words(source: str, manifest: Path, settings: Settings) -> str:
    """How to see that the split is sound: a manifest finds images below its own folder."""
    from leakscan.report.run_folder import RunFolder
    from leakscan.run.split import belongs_in

    folder = belongs_in(source, manifest.parent)
    if folder is None:
        return ""
    there = folder / manifest.name
    run = RunFolder(Path(source))
    made = run.read_summary() if run.summary.is_file() else settings
    if folder.absolute() == manifest.parent.absolute():
        return f"Check it: {audit_command(manifest, made)}"
    copied = f"cp {shlex.quote(str(manifest))} {shlex.quote(str(there))}"
    return f"Check it: {copied} && {audit_command(there, made)}"


def _farthest(told: dict[str, object]) -> str:
    labels: dict[str, float] = dict(told["labels"])  # type: ignore[call-overload]
    if not labels:
        return ""
    asked = float(str(told["asked"]))
    label = max(labels, key=lambda name: abs(labels[name] - asked))
    return f"{label} {labels[label]:.1%}"
