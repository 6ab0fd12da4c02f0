"""Options that several commands share, and how they become ``RunOptions``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

if TYPE_CHECKING:
    from leakscan.run.compare import RunOptions

S = TypeVar("S", bound=str)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only; the exit code tells.")]
OutputDir = Annotated[
    Path | None, typer.Option("--output", "-o", help="Run folder to write: tables, summary, report.html.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a run folder that exists.")]
Cache = Annotated[
    Path,
    typer.Option(
        "--cache", envvar="LEAKSCAN_CACHE", help="Folder for fingerprint stores and the identity key."
    ),
]
Key = Annotated[Path | None, typer.Option("--key", help="Identity key file; default: CACHE/identity.key.")]
KindOption = Annotated[
    str | None,
    typer.Option("--kind", help="What images are where tags leave it open, e.g. chest_radiograph."),
]
EncoderName = Annotated[
    str | None, typer.Option("--encoder", help="Name of the encoder to use (leakscan models list).")
]
CalibrationFile = Annotated[
    Path | None,
    typer.Option("--calibration", help="File of leakscan calibrate, in place of the encoder's own."),
]
Subjects = Annotated[
    str | None,
    typer.Option("--subjects", help="How paths name subjects: bids, chestxray14, chexpert or regex:PATTERN."),
]
Exclude = Annotated[
    list[str] | None, typer.Option("--exclude", help="Glob on relative paths to leave out; may be repeated.")
]
Frames = Annotated[str, typer.Option("--frames", help="Frames of 4D and multi-frame files: first or all.")]
Labels = Annotated[
    bool, typer.Option("--labels", help="Treat label maps as images instead of leaving them out.")
]
MaxPixels = Annotated[
    int, typer.Option("--max-pixels", help="Refuse images with more pixels or voxels than this.", min=1)
]
SameIds = Annotated[
    bool, typer.Option("--same-ids", help="Identifiers mean the same in all sources: count as proof.")
]
ShowSubjects = Annotated[bool, typer.Option("--show-subjects", help="Write declared subjects in clear.")]
HidePaths = Annotated[bool, typer.Option("--hide-paths", help="Write no paths (they can identify people).")]
MaxPairs = Annotated[int, typer.Option("--max-pairs", help="Most candidate pairs for two sources.", min=1)]
VerifySeconds = Annotated[
    float, typer.Option("--verify-seconds", help="Time for looking at the pixels of all pairs.", min=0)
]
FailOn = Annotated[
    str,
    typer.Option(
        "--fail-on",
        help="Exit 1 from this relation on: same_file, same_pixels, same_image, same_subject, review, none.",
    ),
]
MaxUnread = Annotated[
    float, typer.Option("--max-unread", help="Exit 3 above this share of unreadable files.", min=0, max=1)
]
Workers = Annotated[int | None, typer.Option("--workers", help="Processes; default: one per core.", min=0)]


def run_options(
    *,
    cache: Cache = Path(".leakscan"),
    key: Key = None,
    kind: KindOption = None,
    encoder: EncoderName = None,
    calibration: CalibrationFile = None,
    subjects: Subjects = None,
    exclude: Exclude = None,
    frames: Frames = "all",
    labels: Labels = False,
    max_pixels: MaxPixels = 512_000_000,
    same_ids: SameIds = False,
    show_subjects: ShowSubjects = False,
    hide_paths: HidePaths = False,
    max_pairs: MaxPairs = 1_000_000,
    verify_seconds: VerifySeconds = 600.0,
    fail_on: FailOn = "same_subject",
    max_unread: MaxUnread = 0.01,
    workers: Workers = None,
) -> RunOptions:
    """Checks what the user gave and makes ``RunOptions`` of it.

    Raises:
        UsageError: a value is none of those allowed.
    """
    from leakscan.report.summary import FAIL_ON
    from leakscan.run.compare import RunOptions
    from leakscan.sources.subject_rules import parse_subject_rule
    from leakscan.types import KINDS, DecodeOptions

    return RunOptions(
        cache=cache,
        key=key,
        kind=None if kind is None else one_of("--kind", kind, KINDS),
        encoder=encoder,
        calibration=calibration,
        subjects=parse_subject_rule(subjects) if subjects else None,
        exclude=tuple(exclude or ()),
        decode=DecodeOptions(max_pixels, one_of("--frames", frames, ("first", "all")), labels),
        same_ids=same_ids,
        show_subjects=show_subjects,
        hide_paths=hide_paths,
        max_pairs=max_pairs,
        verify_seconds=verify_seconds,
        fail_on=one_of("--fail-on", fail_on, FAIL_ON),
        max_unread=max_unread,
        workers=workers,
    )


def with_run_options(
    *left_out: str,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of :func:`run_options`; it receives ``run: RunOptions``.

    Args:
        left_out: options that mean nothing to this command.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        shared = {n: p for n, p in _parameters(run_options).items() if n not in left_out}
        own = {n: p for n, p in _parameters(command).items() if n != "run"}

        @functools.wraps(command)
        def wrapper(**given: Any) -> None:
            chosen = {name: given.pop(name) for name in shared}
            command(**given, run=run_options(**chosen))

        merged = {**own, **shared}
        # Typer reads both the signature and the annotations of a command.
        wrapper.__signature__ = inspect.Signature(list(merged.values()))  # type: ignore[attr-defined]
        wrapper.__annotations__ = {name: p.annotation for name, p in merged.items()}
        return wrapper

    return decorate


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Keyword parameters of a function with their annotations resolved."""
    types = get_type_hints(function, function.__globals__ | {"RunOptions": object}, include_extras=True)
    return {
        name: p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=types[name])
        for name, p in inspect.signature(function).parameters.items()
    }


def one_of(option: str, value: str, allowed: tuple[S, ...]) -> S:
    from leakscan.errors import UsageError

    for known in allowed:
        if value == known:
            return known
    raise UsageError(f"{option} {value} is none of: {', '.join(allowed)}.")
