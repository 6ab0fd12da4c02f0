"""The options that several commands share, and how they become :class:`~leakscan.settings.Settings`.

An option that is not given is ``None`` here: its value then comes from ``leakscan.toml`` in the current
folder, else from the defaults of the settings, which the help texts show.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from leakscan.engines.local import ready_workers
from leakscan.errors import LeakscanError, UsageError
from leakscan.settings import FAIL_ON, FILE, Settings, section_of
from leakscan.sources.there import check_there
from leakscan.types import KINDS

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only; the exit code tells.")]
OutputDir = Annotated[Path | None, typer.Option("--output", "-o", help="Run folder to write.")]
Pairs = Annotated[bool, typer.Option("--pairs", help="Also print the ten strongest pairs; with --json all.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a run folder that exists.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what the run would take, and stop.")]
Workers = Annotated[int | None, typer.Option("--workers", help="Processes; default: one per core.", min=0)]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", help="Pattern of relative paths to leave out, as in .gitignore; repeatable."),
]
MaxPixels = Annotated[
    int, typer.Option("--max-pixels", help="Refuse images with more pixels or voxels than this.", min=1)
]

if TYPE_CHECKING:
    from leakscan.cli.output import Output

S = TypeVar("S", bound=str)


@dataclass(frozen=True)
class SettingOption:
    """How the command line asks for one setting.

    Attributes:
        flags: The spellings of the option, the documented one first.
        kind: The type of its value.
        help: What it does, in a phrase.
        envvar: An environment variable that may hold it, or empty.
    """

    flags: tuple[str, ...]
    kind: Any
    help: str
    envvar: str = ""


SETTING_OPTIONS: dict[str, SettingOption] = {
    "cache": SettingOption(
        ("--cache",), Path, "Folder for fingerprints and the memory of pairs.", "LEAKSCAN_CACHE"
    ),
    "key": SettingOption(("--key",), Path, "Identity key file; without it that of --cache, or your own."),
    "project_key": SettingOption(
        ("--project-key",),
        Path,
        "Secret file: fingerprints and hashes stand under it, and only its stores join.",
    ),
    "kind": SettingOption(("--kind",), str, f"What images are where tags leave it open: {', '.join(KINDS)}."),
    "encoder": SettingOption(("--encoder",), str, "Name of the encoder to use (leakscan models list)."),
    "calibration": SettingOption(
        ("--calibration",), Path, "File of leakscan calibrate, in place of the encoder's own."
    ),
    "subjects": SettingOption(
        ("--subjects",), str, "How paths name subjects: bids, chestxray14, chexpert or regex:PATTERN."
    ),
    "columns": SettingOption(
        ("--columns",), str, "What a manifest calls its columns: path=filename,subject_id=patient_id."
    ),
    "exclude": SettingOption(
        ("--exclude",),
        list[str],
        "Pattern of relative paths to leave out, as in .gitignore; repeatable.",
    ),
    "exclude_list": SettingOption(
        ("--exclude-list",), list[Path], "List of images to leave out, from leakscan exclude; repeatable."
    ),
    "frames": SettingOption(("--frames",), str, "Frames of 4D and multi-frame files: first or all."),
    "labels": SettingOption(
        ("--labels/--no-labels",), bool, "Treat label maps as images instead of leaving them out."
    ),
    "arrays": SettingOption(
        ("--arrays",), str, "What the arrays of .npy and .npz files are: pictures, volumes or no."
    ),
    "max_pixels": SettingOption(
        ("--max-pixels",), int, "Refuse images with more pixels or voxels than this."
    ),
    "max_frames": SettingOption(
        ("--max-frames",), int, "Refuse files with more frames than this (and than 1 for every 128 bytes)."
    ),
    "max_file_pixels": SettingOption(
        ("--max-file-pixels",),
        int,
        "Refuse files whose frames have more pixels together than this (and than 50 for every byte).",
    ),
    "max_seconds": SettingOption(
        ("--max-seconds",),
        float,
        "Give up files that take more processor seconds than this, or 10 times that by the clock.",
    ),
    "max_file_mb": SettingOption(
        ("--max-file-mb",), int, "Give up files that take more MB in a worker (and 150 times their size)."
    ),
    "same_ids": SettingOption(
        ("--same-ids/--no-same-ids",), bool, "Identifiers mean the same in all sources: count as proof."
    ),
    "show_subjects": SettingOption(
        ("--show-subjects/--no-show-subjects",), bool, "Write declared subjects in clear."
    ),
    "hide_paths": SettingOption(
        ("--hide-paths/--no-hide-paths",), bool, "Write no paths (they can identify people)."
    ),
    "mask": SettingOption(
        ("--mask/--no-mask",), bool, "Cover burnt-in text in the pictures of reports and previews."
    ),
    "dates": SettingOption(
        ("--dates",), str, "Acquisition dates: no, shifted by secret days per subject, or clear."
    ),
    "max_pairs": SettingOption(("--max-pairs",), int, "Most candidate pairs for two sources."),
    "slices": SettingOption(
        ("--slices/--no-slices",), bool, "Seek pictures among the slices of the other source's volumes."
    ),
    "check_seconds": SettingOption(
        ("--check-seconds", "--verify-seconds"),
        float,
        "Seconds for the copy checks and detail matches of all pairs.",
    ),
    "fail_on": SettingOption(("--fail-on",), str, f"Exit 1 from this relation on: {', '.join(FAIL_ON)}."),
    "max_unread": SettingOption(("--max-unread",), float, "Exit 3 above this share of images not compared."),
    "fdr": SettingOption(("--fdr",), float, "Share of false ones allowed among persons called leaks."),
    "verdicts": SettingOption(
        ("--verdicts",), Path, "File of verdicts: what people cleared, accepted, or called leaks."
    ),
    "baseline": SettingOption(
        ("--baseline",), Path, "Run folder of an earlier run: only leaks that it has not fail this one."
    ),
    "workers": SettingOption(("--workers",), int, "Processes; without it one per core."),
    "pictures_mb": SettingOption(
        ("--pictures-mb",), int, "Most megabytes of rendered pictures that reviews keep in the cache."
    ),
    "max_memory_mb": SettingOption(
        ("--max-memory",), int, "Most MB of all processes together: fewer workers, else an end in time."
    ),
    "profile": SettingOption(
        ("--profile",), Path, "File for a timeline of the run, such as run.trace.json, for ui.perfetto.dev."
    ),
    "engine": SettingOption(("--engine",), str, "What runs the workers: local or ray, a Ray cluster."),
    "address": SettingOption(
        ("--address",),
        str,
        "Ray cluster, such as head-node:6379; without it that of RAY_ADDRESS, or one here.",
    ),
}
"""By the name of the setting."""


MOST_USED = ("subjects", "exclude", "fail_on", "verdicts")
"""Settings that ``--help`` lists first, with what a command has of its own; the others stand by section."""

_PANELS = {
    "reading": "Reading images",
    "search": "Searching",
    "deciding": "Deciding",
    "privacy": "Privacy",
    "limits": "Limits and places",
}


def with_settings(*left_out: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of the settings; it receives them as ``settings: Settings``.

    Args:
        left_out: Settings that mean nothing to this command.

    Example:
        >>> @with_settings("key")
        ... def show(source: str, settings: Settings) -> None:
        ...     print(source, settings.limits.workers)
        >>> list(inspect.signature(show).parameters)[:3]
        ['source', 'subjects', 'exclude']
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        shared = {
            n: _parameter(n, SETTING_OPTIONS[n])
            for n in sorted(SETTING_OPTIONS, key=_place)
            if n not in left_out
        }
        own = {n: p for n, p in _parameters(command).items() if n != "settings"}

        @functools.wraps(command)
        def wrapper(**given: Any) -> None:
            settings = _settings({name: given.pop(name) for name in shared})
            try:
                check_there(_sources(given))  # before the command loads what it needs
                if settings.limits.workers != 0 and settings.limits.engine == "local":
                    ready_workers()
                command(**given, settings=settings)
            except LeakscanError as e:
                # Whether the option or the settings file says so.
                raise (e.without_path() if settings.privacy.hide_paths else e) from None

        merged = {**own, **shared}
        # Typer reads both the signature and the annotations of a command.
        wrapper.__signature__ = inspect.Signature(list(merged.values()))  # type: ignore[attr-defined]
        wrapper.__annotations__ = {name: p.annotation for name, p in merged.items()}
        return wrapper

    return decorate


def _settings(chosen: dict[str, Any]) -> Settings:
    """What the options say, over what ``leakscan.toml`` says, over the defaults.

    Raises:
        UsageError: A name or value does not fit.
    """
    given = {name: value for name, value in chosen.items() if value is not None and value != []}
    given |= {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    return settings_here().with_choices(given)


def settings_here() -> Settings:
    """What ``leakscan.toml`` in the current folder says, over the defaults.

    Raises:
        UsageError: The file has a name or value that does not fit.

    Example:
        >>> settings_here().deciding.fail_on
        'same_subject'
    """
    return Settings.read(Path(FILE)) if Path(FILE).is_file() else Settings()


def hides_paths(arguments: Sequence[str]) -> bool:
    """Whether an error may show paths is known before a command has its settings.

    Args:
        arguments: The words of the command line.

    Example:
        >>> hides_paths(["compare", "A", "B", "--hide-paths"]), hides_paths(["compare", "A", "B"])
        (True, False)
    """
    if "--hide-paths" in arguments or "--no-hide-paths" in arguments:
        return "--hide-paths" in arguments
    try:
        return Path(FILE).is_file() and Settings.read(Path(FILE)).privacy.hide_paths
    except LeakscanError:
        return False


def _place(name: str) -> tuple[bool, int]:
    """Where ``--help`` lists a setting: panels stand in the order of their first options."""
    return name not in MOST_USED, [*_PANELS].index(section_of()[name])


def _sources(given: dict[str, Any]) -> list[str]:
    """The sources among the arguments of a command."""
    return [
        *(given.get("sources") or ()),
        *([source] if isinstance(source := given.get("source"), str) else []),
    ]


def _parameter(name: str, option: SettingOption) -> inspect.Parameter:
    default = _default(name)
    shown = typer.Option(
        *option.flags,
        help=option.help,
        envvar=option.envvar or None,
        show_default=default or False,
        rich_help_panel=None if name in MOST_USED else _PANELS[section_of()[name]],
    )
    # Typer reads the type at run time, so the annotation is made there as well.
    kind = Annotated.__class_getitem__((option.kind | None, shown))  # type: ignore[attr-defined]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)


def _default(name: str) -> str:
    """The default of a setting as the help text shows it; nothing where none needs to be shown."""
    value = getattr(getattr(Settings(), section_of()[name]), name)
    if value is None or value is False or value in ((), {}):
        return ""
    if isinstance(value, Path) and value.is_relative_to(Path.home()):
        return f"~/{value.relative_to(Path.home())}"
    if value is True:
        return "yes"
    return f"{value:,}" if isinstance(value, int) else str(value)


def one_of(option: str, value: str, allowed: tuple[S, ...]) -> S:
    """The value of an option, if it is an allowed one.

    Raises:
        UsageError: It is not.

    Example:
        >>> one_of("--kind", "brain_mri", KINDS)
        'brain_mri'
        >>> one_of("--kind", "brain", KINDS)
        Traceback (most recent call last):
        leakscan.errors.UsageError: --kind brain is none of: chest_radiograph, brain_mri, other_2d, other_3d.
    """
    for known in allowed:
        if value == known:
            return known
    raise UsageError(f"{option} {value} is none of: {', '.join(allowed)}.")


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Keyword parameters of a function with their annotations resolved."""
    types = get_type_hints(function, function.__globals__, include_extras=True)
    return {
        name: p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=types[name])
        for name, p in inspect.signature(function).parameters.items()
    }


def told_beforehand(out: Output, sources: Sequence[str], settings: Settings) -> None:
    """What ``--dry-run`` does: prints an estimate in place of the run.

    Args:
        out: Where to print.
        sources: The sources of the run.
        settings: Its settings.

    Raises:
        LeakscanError: What the run itself would raise before its first image.

    Example::

        if dry_run:
            told_beforehand(out, sources, settings)
            raise typer.Exit
    """
    from leakscan.run.estimate import estimate

    with out.progress() as progress:
        found = estimate(*sources, settings=settings, progress=progress)
    out.data(found.as_data())
    out.say(found.sentence)
