"""What a run was made with, so that it can be made again, and what then differs."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from leakscan.errors import StoreError, UsageError
from leakscan.report.run_folder import RunFolder
from leakscan.settings import Settings

_PACKAGES = (
    "leakscan",
    "numpy",
    "opencv-python-headless",
    "onnxruntime",
    "torch",
    "faiss-cpu",
    "pillow",
    "pydicom",
)
_OWN = (
    "cache",
    "key",
    "project_key",
    "workers",
    "pictures_mb",
    "engine",
    "address",
    "max_memory_mb",
    "profile",
)
"""Settings of a machine: they change no answer, and a later run has its own."""
_MAY_NAME = (
    "subjects",
    "exclude",
    "exclude_list",
    "columns",
    "calibration",
    "baseline",
    "verdicts",
    "encoder",
    "against",
)
"""Settings whose values may be paths, or may name people."""


def made_with(settings: Settings) -> dict[str, Any]:
    """Settings and versions, as the summary of a run holds them; without paths where they are hidden.

    ``machine_settings`` changes no answer. It is there for the commands that are printed next.

    Args:
        settings: What the user chose.

    Example:
        >>> made_with(Settings.of(fdr=0.02))["settings"]["deciding"]["fdr"]
        0.02
    """
    kept: dict[str, Any] = {}
    for section, values in settings.model_dump(mode="json").items():
        left_out = {*_OWN, *(_MAY_NAME if settings.privacy.hide_paths else ())}
        kept[section] = {name: value for name, value in values.items() if name not in left_out}
    machine = {} if settings.privacy.hide_paths else _of_machine(settings)
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "settings": kept,
        "machine_settings": machine,
        "versions": versions,
        "machine": f"{platform.system()} {platform.machine()}",
    }


def _of_machine(settings: Settings) -> dict[str, Any]:
    """What was chosen for the machine beside the defaults, so that a further command finds the same cache.

    The timeline is left out: it is a file that one run wrote.
    """
    usual = Settings().model_dump(mode="json")
    return {
        name: value
        for section, values in settings.model_dump(mode="json").items()
        for name, value in values.items()
        if name in _OWN and name != "profile" and value != usual[section][name]
    }


def as_before(run: Path, settings: Settings) -> tuple[list[str], Settings]:
    """The sources of an earlier run, and its settings with what belongs to this machine.

    Args:
        run: The folder of the earlier run.
        settings: The settings of now: those of the machine are taken from it, others must be defaults.

    Raises:
        StoreError: It is no run folder, or its summary does not say what it was made with.
        UsageError: It hides its paths, or other settings are given.

    Example::

        sources, settings = as_before(Path("run"), Settings())
        leakscan.compare(*sources, settings=settings)
    """
    with _damage_is_said(run):
        return _as_before(run, settings)


def _as_before(run: Path, settings: Settings) -> tuple[list[str], Settings]:
    summary = RunFolder.open(run).read_summary()
    made, places = summary["made_with"], summary["sources"]
    if summary.get("audit") or made["settings"]["privacy"]["hide_paths"] or None in places.values():
        raise UsageError(
            "{path} cannot be run again from its summary: it hides its paths, or it is an audit.",
            "Give the command with its sources.",
            path=run,
        )
    now = settings.model_dump()
    own = {name: value for values in now.values() for name, value in values.items() if name in _OWN}
    before = Settings(**made["settings"]).with_choices(own)
    if settings not in (before, Settings().with_choices(own)):
        raise UsageError(
            "Another run is to be made again as it was, and other settings are given.",
            "Leave out all settings but those of the machine, also in leakscan.toml.",
        )
    return list(places.values()), before


def differences(before: Path, after: Mapping[str, Any]) -> list[str]:
    r"""How what a run was made with differs from an earlier one, in sentences.

    Args:
        before: The folder of the earlier run.
        after: The summary of the later run.

    Example::

        print(*differences(Path("run"), result.summary), sep="\n")
    """
    with _damage_is_said(before):
        return _differences(RunFolder.open(before).read_summary(), after)


@contextlib.contextmanager
def _damage_is_said(run: Path) -> Iterator[None]:
    """Names a summary that somebody has edited, whose parts are not what they should be."""
    try:
        yield
    except (TypeError, AttributeError, ValueError, LookupError) as error:
        words = "The summary of {path} is damaged, or another version made it."
        raise StoreError(words, "Give the command with its sources.", path=run) from error


def _differences(old: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    out = []
    for name in ("versions", "machine"):
        one, other = old["made_with"][name], after["made_with"][name]
        if isinstance(one, str):
            one, other = {name: one}, {name: other}
        for key in sorted({*one, *other}):
            if one.get(key) != other.get(key):
                out.append(f"{key}: {one.get(key, 'none')} before, {other.get(key, 'none')} now.")
    gone, new = set(old["encoders"]) - set(after["encoders"]), set(after["encoders"]) - set(old["encoders"])
    if gone or new:
        out.append(
            f"Encoders: {', '.join(sorted(gone)) or 'none'} before, {', '.join(sorted(new)) or 'none'} now."
        )
    now = {one["name"]: one for one in after["datasets"]}
    for then in old["datasets"]:
        images = now.get(then["name"], {}).get("status", {}).get("ok", 0)
        if images != then["status"]["ok"]:
            out.append(f"{then['name']}: {then['status']['ok']} images before, {images} now.")
    return out
