"""Everything a user can choose about a run, as one frozen tree. Every default stands here, once.

The command line, ``leakscan.toml`` and Python callers all make the same :class:`Settings`. A name or a
value that does not fit raises a :class:`~leakscan.errors.UsageError` that says which, and what is near.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from leakscan.errors import UsageError
from leakscan.setting_words import named_columns, nearest, no_setting, wanted
from leakscan.types import Kind


def _as_path(value: Any) -> Any:
    return Path(os.fspath(value)) if isinstance(value, os.PathLike) else value


AnyPath = Annotated[Path, BeforeValidator(_as_path)]
"""A path as text, or as anything that stands for one."""


def _as_paths(value: object) -> object:
    return (value,) if isinstance(value, str | os.PathLike) else value


AnyPaths = Annotated[tuple[AnyPath, ...], BeforeValidator(_as_paths)]
"""Paths, or one path alone."""

FILE = "leakscan.toml"
"""The name of the file that holds the settings of a project."""


def user_cache() -> Path:
    """The cache of this user: ``$LEAKSCAN_CACHE``, else the XDG cache folder, the same from everywhere.

    Example:
        >>> user_cache() == Path(os.environ["LEAKSCAN_CACHE"])
        True
    """
    if given := os.environ.get("LEAKSCAN_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "leakscan"


FailOn = Literal["same_file", "same_pixels", "same_image", "same_subject", "review", "none"]
FAIL_ON: tuple[FailOn, ...] = get_args(FailOn)
"""The weakest relation that fails a run; ``review`` is stricter than all, ``none`` only reports."""


UNMASKED = "Text that is burnt into pictures is not covered in them; it may name people."
"""What is said where a user wants pictures as they are."""


class Section(BaseModel):
    """A part of the settings: frozen, and strict about names.

    Raises:
        UsageError: A name is unknown or a value is not allowed; the message says which.

    Example:
        >>> LimitSettings(workers=-1)
        Traceback (most recent call last):
        leakscan.errors.UsageError: The setting workers is -1; it must be at least 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise _usage_error(error.errors()[0], type(self)) from None


class DecodeOptions(Section):
    """The limits and choices for reading files.

    Attributes:
        max_pixels: Images with more pixels or voxels than this are refused unread.
        max_frames: A file that holds more frames than this, and than one for every 128 of its bytes, is
            refused unread.
        max_file_pixels: A file whose frames have more pixels together than this, and than 50 for every one of
            its bytes, is refused unread.
        max_seconds: A file that takes more seconds of a processor to be read than this is given up, and one
            that takes ten times as long by the clock. All images in one file on disk may take as much
            together, or a second for every 10 kB of it.
        max_file_mb: A file that takes more megabytes to be read in a worker than this, and than 150 times its
            size, is given up; on Linux.
        frames: Whether the first or all frames of 4D and multi-frame files are images.
        labels: Whether label maps are images; otherwise they are ``ignored``.
        arrays: What the arrays of NumPy files are: ``pictures``, ``volumes``, or ``no`` images.
    """

    max_pixels: int = Field(default=512_000_000, ge=1, strict=True)
    max_frames: int = Field(default=10_000, ge=1, strict=True)
    max_file_pixels: int = Field(default=2_000_000_000, ge=1, strict=True)
    max_seconds: float = Field(default=30.0, gt=0, strict=True, allow_inf_nan=False)
    max_file_mb: int = Field(default=1_000, ge=1, strict=True)
    frames: Literal["first", "all"] = "all"
    labels: bool = Field(default=False, strict=True)
    arrays: Literal["no", "pictures", "volumes"] = "no"


class ReadingSettings(DecodeOptions):
    """How sources are read and fingerprinted.

    Attributes:
        kind: What images are, where their tags leave it open.
        encoder: The name of an encoder that goes before others of its kind.
        subjects: How paths name subjects: ``bids``, ``chestxray14``, ``chexpert`` or ``regex:PATTERN``.
        columns: What a manifest calls its columns ``path``, ``subject_id``, ``split`` and ``kind``, where it
            calls them otherwise: a mapping, or ``path=filename,subject_id=patient_id``.
        exclude: Patterns of relative paths to leave out.
        exclude_list: Lists of images to leave out, as ``exclude`` writes them.
    """

    kind: Kind | None = None
    encoder: str | None = None
    subjects: str | None = None
    columns: Annotated[dict[str, str], BeforeValidator(named_columns)] = {}
    exclude: tuple[str, ...] = ()
    exclude_list: AnyPaths = ()


class SearchSettings(Section):
    """How pairs are sought.

    Attributes:
        max_pairs: The most candidate pairs, and the most rows written, for two datasets.
        slices: Whether pictures of one dataset are sought among the slices of another's volumes.
    """

    max_pairs: int = Field(default=1_000_000, ge=1, strict=True)
    slices: bool = Field(default=True, strict=True)


class DecidingSettings(Section):
    """What pairs are called, and what fails a run.

    Attributes:
        same_ids: Whether identifiers mean the same in every source, and so count as proof.
        calibration: A file made by ``calibrate``, in place of the encoder's own.
        fail_on: The weakest relation that makes exit code 1.
        max_unread: The share of files that look like images and were not compared, 0..1, above which
            nothing is vouched for.
        baseline: The folder of an earlier run, whose leaks do not fail this one again.
        verdicts: A file of verdicts that clear pairs, accept overlaps, and make leaks.
        against: The folder of an earlier run, whose datasets are compared with new ones, and not once more
            with each other.
        fdr: The share of false ones that is allowed among the pairs of persons called leaks.
    """

    same_ids: bool = Field(default=False, strict=True)
    calibration: AnyPath | None = None
    fail_on: FailOn = "same_subject"
    max_unread: float = Field(default=0.01, ge=0, le=1, strict=True)
    baseline: AnyPath | None = None
    against: AnyPath | None = None
    verdicts: AnyPath | None = None
    fdr: float = Field(default=0.01, gt=0, lt=1, strict=True)


class PrivacySettings(Section):
    """What identifies people in the outputs.

    Attributes:
        show_subjects: Whether declared subjects are written in clear.
        hide_paths: Whether paths are left out of every output.
        dates: Whether acquisition dates are kept: ``no``; ``shifted`` by a secret number of days, the same
            for all images of a subject; or in ``clear``.
        mask: Whether text that is burnt into pictures is covered in reports and previews.
        project_key: The file of a secret under which fingerprints and hashes are put, so that only stores of
            the same project can be joined.
        key: The file of the identity key; by default it lies inside the cache that ``cache`` names, else in
            the user's data folder, where no tool that empties caches finds it.
    """

    show_subjects: bool = Field(default=False, strict=True)
    hide_paths: bool = Field(default=False, strict=True)
    dates: Literal["no", "shifted", "clear"] = "no"
    mask: bool = Field(default=True, strict=True)
    project_key: AnyPath | None = None
    key: AnyPath | None = None


class LimitSettings(Section):
    """What a run may use.

    Attributes:
        cache: The folder for fingerprint stores and the memory of pairs; by default the user's cache folder.
        check_seconds: The wall time for copy checks and detail matches, of all datasets together.
        workers: Worker processes; ``None`` for one per core, 0 to work in the calling process.
        pictures_mb: The most megabytes of rendered pictures that reviews keep in the cache; 0 keeps none.
        engine: What runs the workers: ``local``, this machine, or ``ray``, a cluster.
        address: Where the Ray cluster is; ``None`` for that of the environment, or one on this machine.
        max_memory_mb: The most megabytes that all processes together may hold; ``None`` for no limit.
        profile: A file for the timeline of the run, which Perfetto opens.
    """

    cache: AnyPath = Field(default_factory=user_cache)
    check_seconds: float = Field(default=600.0, ge=0, strict=True, allow_inf_nan=False)
    workers: int | None = Field(default=None, ge=0, strict=True)
    pictures_mb: int = Field(default=512, ge=0, strict=True)
    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    max_memory_mb: int | None = Field(default=None, ge=1, strict=True)
    profile: AnyPath | None = None


class Settings(Section):
    """All sections together.

    Example:
        >>> settings = Settings.of(same_ids=True, workers=0)
        >>> settings.deciding.same_ids, settings.limits.workers
        (True, 0)
    """

    reading: ReadingSettings = ReadingSettings()
    search: SearchSettings = SearchSettings()
    deciding: DecidingSettings = DecidingSettings()
    privacy: PrivacySettings = PrivacySettings()
    limits: LimitSettings = Field(default_factory=LimitSettings)

    @classmethod
    def of(cls, **choices: Any) -> Self:
        """Settings from plain names, whichever section each belongs to.

        Args:
            choices: Names and values, such as ``same_ids=True``; what is left out has its default.

        Raises:
            UsageError: A name is unknown or a value is not allowed.
        """
        return cls().with_choices(choices)

    @classmethod
    def given(cls, settings: Any, choices: Mapping[str, Any], also: tuple[str, ...] = ()) -> Self:
        """The settings that a Python caller gave, in one of the ways in which people give them.

        Args:
            settings: Settings, names and values of some, or ``None`` for the defaults.
            choices: Single settings by name, over them.
            also: Arguments of the called function, which a misspelt name may be meant for.

        Raises:
            UsageError: It is something else, a name is unknown or a value is not allowed.

        Example:
            >>> Settings.given({"workers": 2}, {"same_ids": True}).limits.workers
            2
        """
        if settings is not None and not isinstance(settings, cls | Mapping):
            raise UsageError(
                f"Settings cannot be {type(settings).__name__}.",
                "Give leakscan.Settings.of(...), or single settings by name.",
            )
        base = settings if isinstance(settings, cls) else cls().with_choices(dict(settings or {}))
        if unknown := next((name for name in choices if name not in section_of()), None):
            raise UsageError(
                f"There is no setting or argument {unknown!r}.",
                nearest(unknown, [*also, *section_of()], "Arguments and settings"),
                code="no_setting",
            )
        return base.with_choices(choices)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """The settings of a TOML file with the sections of this class.

        Args:
            path: The file, such as ``leakscan.toml``. Paths in it are relative to its folder.

        Raises:
            UsageError: The file cannot be read, or a key or value in it does not fit.

        Example:
            >>> _ = Path("leakscan.toml").write_text("limits.workers = 2")
            >>> Settings.read(Path("leakscan.toml")).limits.workers
            2
        """
        path = Path(path)
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as e:
            reason = e.strerror or str(e)
            raise UsageError(f"{{path}} cannot be read: {reason}.", path=path) from e
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as e:
            raise UsageError(f"{{path}} is no TOML file: {e}.", path=path) from None
        if _holds_nul(raw):
            raise UsageError("{path} holds a NUL character, which no setting takes.", path=path)
        try:
            found = cls(**raw)
        except UsageError as e:
            raise UsageError(f"{{path}}: {e.message}", e.hint, path=path) from None
        return found.with_choices(_resolved(found, raw, path.parent))

    def with_choices(self, choices: Mapping[str, Any]) -> Self:
        """These settings with some of them replaced, by plain names as in :meth:`of`.

        Raises:
            UsageError: A name is unknown or a value is not allowed.
        """
        homes = section_of()
        sections: dict[str, dict[str, Any]] = {}
        for name, value in choices.items():
            if name not in homes:
                raise UsageError(f"There is no setting {name!r}.", nearest(name, homes), code="no_setting")
            sections.setdefault(homes[name], {})[name] = value
        changed = {
            section: type(old := getattr(self, section))(**{**dict(old), **values})
            for section, values in sections.items()
        }
        return self.model_copy(update=changed)


def section_of() -> dict[str, str]:
    """Every setting's plain name, and the section it stands in.

    Example:
        >>> section_of()["workers"], section_of()["same_ids"]
        ('limits', 'deciding')
    """
    return {
        name: section
        for section, field in Settings.model_fields.items()
        for name in getattr(field.annotation, "model_fields", {})
    }


def _holds_nul(value: Any) -> bool:
    """Whether a text in what a file gave has the one character that no path may have."""
    if isinstance(value, dict):
        return any(_holds_nul(one) for pair in value.items() for one in pair)
    if isinstance(value, list):
        return any(map(_holds_nul, value))
    return isinstance(value, str) and "\0" in value


def _resolved(settings: Settings, raw: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The paths that a file names, as seen from anywhere."""
    found: dict[str, Any] = {}
    for section, values in raw.items():
        for name in values:
            value = getattr(getattr(settings, section), name)
            if isinstance(value, Path):
                found[name] = folder / value.expanduser()
            elif isinstance(value, tuple) and value and all(isinstance(v, Path) for v in value):
                found[name] = tuple(folder / v.expanduser() for v in value)
    return found


def _usage_error(error: ErrorDetails, model: type[BaseModel]) -> UsageError:
    """What pydantic found wrong, as a sentence that names the setting."""
    *parents, name = [str(part) for part in error["loc"] if not isinstance(part, int)] or [""]
    for parent in parents:
        model = getattr(model.model_fields[parent], "annotation", model) or model
    if error["type"] == "extra_forbidden":
        if model is Settings and name in section_of():
            return UsageError(
                f"The setting {name} does not stand alone.",
                f"Write it below [{section_of()[name]}].",
                code="no_setting",
            )
        return no_setting(name, model)
    return UsageError(
        "The setting {setting} is {value}; it must be {wanted}.",
        code="bad_setting",
        setting=".".join([*parents, name]),
        value=str(error["input"]),
        wanted=wanted(error, model.model_fields[name]),
    )
