"""The next command after a verdict or before a list, with the sources of the run in it."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leakscan.counted import counted

if TYPE_CHECKING:
    from leakscan.settings import Settings

_OF_SOURCES = ("subjects", "exclude", "exclude_list", "columns", "against", "baseline", "profile", "same_ids")
"""Settings that are about the sources that a split was made of, and not about the split."""
_OF_SPLITS = ("cache", "key", "project_key", "workers", "engine", "address", "max_memory_mb")


def apply_command(run: Path, summary: Mapping[str, Any], verdicts: Path) -> str:
    """The command that makes the run anew with a file of verdicts.

    Args:
        run: The run folder.
        summary: Its ``summary.json``.
        verdicts: The file of verdicts.

    Example:
        >>> summary = {"sources": {"a": "/data/a", "films": "/data/films.csv?site=x"}}
        >>> apply_command(Path("run"), summary, Path("v.parquet"))
        "leakscan compare /data/a '/data/films.csv?site=x' --verdicts v.parquet -o run --overwrite"
    """
    given = _quoted("--verdicts", str(verdicts), "-o", str(run), "--overwrite")
    return f"{_again(summary, leave_out=('verdicts',))} {given}"


def check_command(run: Path, summary: Mapping[str, Any], lists: Sequence[Path]) -> str:
    """The command that makes the run anew without what lists of images to drop name.

    Args:
        run: The run folder.
        summary: Its ``summary.json``.
        lists: The lists, as ``leakscan exclude`` writes them.

    Example:
        >>> summary = {"sources": {"a": "/data/a", "b": "/data/b"},
        ...            "made_with": {"settings": {"reading": {"kind": "other_2d"}}}}
        >>> check_command(Path("run"), summary, [Path("drop.csv")])
        'leakscan compare /data/a /data/b --kind other_2d --exclude-list drop.csv -o run-checked'
    """
    words = [word for path in lists for word in ("--exclude-list", str(path))]
    said = [path for path in _verdict_files(run) if path.is_file()]
    if said and not _setting(summary, "deciding", "verdicts"):
        words = ["--verdicts", str(said[0]), *words]
    return f"{_again(summary)} {_quoted(*words, '-o', f'{run}-checked')}"


def audit_command(manifest: Path, made: Settings | Mapping[str, Any]) -> str:
    """The command that audits a split, with what its images were read and decided by.

    Args:
        manifest: The manifest of the split.
        made: The settings that it was made with, or the summary of the run that it was made of.

    Example:
        >>> from leakscan.settings import Settings
        >>> audit_command(Path("split.csv"), Settings.of(kind="other_2d", exclude=("masks/",)))
        'leakscan audit split.csv --kind other_2d'
    """
    from leakscan.run.like import made_with  # loads pyarrow, and errors should not wait for it

    told = made if isinstance(made, Mapping) else {"made_with": made_with(made)}
    return _quoted("leakscan", "audit", str(manifest), *_options(told, leave_out=_OF_SOURCES))


def same_places(summary: Mapping[str, Any], command: str) -> str:
    """The options by which a further command on a run finds the cache of the run, with a space before them.

    Args:
        summary: The ``summary.json`` of the run.
        command: ``review`` or ``split``; others keep nothing in the cache.

    Example:
        >>> summary = {"made_with": {"machine_settings": {"cache": "/tmp/kept", "workers": 0}}}
        >>> same_places(summary, "split"), same_places(summary, "review"), same_places(summary, "exclude")
        (' --cache /tmp/kept --workers 0', ' --cache /tmp/kept', '')
    """
    used = {"review": ("cache", "pictures_mb"), "split": _OF_SPLITS}.get(command, ())
    own = {name: value for name, value in _machine(summary).items() if name in used}
    words = _words({"limits": own}, ())
    return f" {_quoted(*words)}" if words else ""


def _again(summary: Mapping[str, Any], leave_out: Sequence[str] = ()) -> str:
    """The command that made a run, with its sources and settings, but for where it was written."""
    audit = summary.get("audit")
    if audit is not None:
        given = [audit.get("source")]
        column = audit.get("split_column", "split")
        told = [] if column == "split" else ["--split-column", column]
    else:
        places = dict(summary.get("sources") or {})
        before = _setting(summary, "deciding", "against")
        told = [] if before is None else ["--against", _near(str(before))]
        given = [place for name, place in places.items() if name not in _names_of(before)]
    command = "compare" if audit is None else "audit"
    if not given or None in given:
        return f"leakscan {command} ..."  # paths are hidden
    return _quoted("leakscan", command, *map(_near, given), *told, *_options(summary, leave_out))


def _names_of(run: Any) -> set[str]:
    """The datasets of an earlier run, which ``--against`` names by its folder."""
    if run is None:
        return set()
    from leakscan.report.run_folder import RunFolder

    return set(RunFolder.open(Path(str(run))).read_summary().get("sources") or {})


def _options(summary: Mapping[str, Any], leave_out: Sequence[str]) -> list[str]:
    """The options of a run that are not what the settings of this folder say, as on the command line."""
    made = (summary.get("made_with") or {}).get("settings") or {}
    implied = ("same_ids",) if "audit" in summary else ()  # an audit compares one dataset with itself
    return _words({**made, "machine": _machine(summary)}, (*leave_out, *implied))


def _machine(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    return (summary.get("made_with") or {}).get("machine_settings") or {}


def _words(sections: Mapping[str, Mapping[str, Any]], leave_out: Sequence[str]) -> list[str]:
    from leakscan.cli.options import SETTING_OPTIONS, settings_here

    here = settings_here().model_dump(mode="json")
    usual = {name: value for values in here.values() for name, value in values.items()}
    words: list[str] = []
    for values in sections.values():
        for name, value in values.items():
            if name in leave_out or name not in SETTING_OPTIONS or value == usual.get(name):
                continue
            yes, _, no = SETTING_OPTIONS[name].flags[0].partition("/")
            if isinstance(value, bool):
                words.append(yes if value else no)
            elif isinstance(value, Mapping):
                words += [yes, ",".join(f"{key}={text}" for key, text in value.items())]
            else:
                several = value if isinstance(value, list) else [value]
                words += [word for one in several if one is not None for word in (yes, _near(str(one)))]
    return words


def _setting(summary: Mapping[str, Any], section: str, name: str) -> Any:
    return ((summary.get("made_with") or {}).get("settings") or {}).get(section, {}).get(name)


def _verdict_files(run: Path) -> tuple[Path, Path]:
    """Where a review and ``leakscan verdicts add`` keep what people say, unless they are told otherwise."""
    return run / "verdicts.parquet", Path("verdicts.parquet")


def _quoted(*words: str) -> str:
    return " ".join(map(shlex.quote, words))


def not_applied(run: Path, named: Path | None = None) -> str:
    """What to say where people gave verdicts on a run that the run does not count yet; empty otherwise.

    Args:
        run: The run folder.
        named: Another file where verdicts were kept.

    Example:
        >>> not_applied(Path("no-run"))
        ''
    """
    from leakscan.errors import LeakscanError
    from leakscan.review.judged_run import JudgedRun
    from leakscan.review.verdicts import VerdictFile

    try:
        judged = JudgedRun.open(run)
        made = dt.datetime.fromtimestamp(judged.folder.summary.stat().st_mtime, dt.UTC)
        pictures = {row["pixel_hash"] for row in judged.images.values()}
        for file in (*((named,) if named else ()), *_verdict_files(run)):
            if not file.is_file():
                continue
            said = VerdictFile.open(file).read()
            new = [
                v
                for v in said
                if v.gold is None and v.at > made and {*v.pictures_a, *v.pictures_b} & pictures
            ]
            if new:
                return (
                    f"{file} has {counted(len(new), 'verdict')} that this run does not count yet. "
                    f"Apply them: {apply_command(run, judged.summary, file)}"
                )
    except (LeakscanError, OSError):
        pass  # whoever reads the run says what is wrong with it
    return ""


def _near(place: str) -> str:
    """A path as seen from the current folder, where it lies below it."""
    path, mark, selection = place.partition("?")
    here = Path.cwd()
    near = Path(path)
    if near == here or not near.is_absolute() or not near.is_relative_to(here):
        return place
    return str(near.relative_to(here)) + mark + selection
