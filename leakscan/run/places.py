"""What sources are called, and where their caches and reports lie."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from blake3 import blake3

from leakscan.errors import OutputError, UsageError
from leakscan.settings import Settings, user_cache
from leakscan.sources.spec import SourceSpec


def dataset_names(specs: Sequence[SourceSpec], hide_paths: bool = False) -> list[str]:
    """Short names for sources, told apart by as much of their paths as it takes, else by a number.

    Args:
        specs: What the user typed.
        hide_paths: Whether a source of one image gets a number for a name, because its name is a path.

    Raises:
        UsageError: The same source is given twice.

    Example:
        >>> specs = [SourceSpec.parse(text) for text in ("/data/trial/test", "/data/ward/test")]
        >>> dataset_names(specs)
        ['trial/test', 'ward/test']
    """
    resolved = [spec.resolved for spec in specs]
    for i, one in enumerate(resolved):
        if one in resolved[:i]:
            raise UsageError(
                "{path} is given twice; comparing a dataset with itself finds every image.",
                "For leaks inside one dataset, call leakscan.audit.",
                code="source_twice",
                path=specs[i].raw,
            )
    names: list[str] = []
    parts = [
        [f"image {i}"] if hide_paths and spec.form == "file" else spec.parts
        for i, spec in enumerate(specs, 1)
    ]
    for depth in range(1, max(map(len, parts)) + 1):
        # A name that is no Unicode is shown by its bytes, as in the tables' paths.
        names = [os.fsencode("/".join(p[-depth:])).decode("utf-8", "backslashreplace") for p in parts]
        if len(set(names)) == len(names):
            return names
    # Bytes that are shown so, and a name that really is what they are shown as.
    return [f"{name} ({names[:i].count(name) + 1})" for i, name in enumerate(names)]


def check_apart(specs: Sequence[SourceSpec], exclude: Sequence[str]) -> None:
    """Refuses a folder inside another, unless something is left out: its images would be found in both.

    Raises:
        UsageError: One lies inside another.

    Example:
        >>> Path("films/test").mkdir(parents=True)
        >>> specs = [SourceSpec.parse("films"), SourceSpec.parse("films/test")]
        >>> check_apart(specs, exclude=["test/**"])  # no image is found in both
        >>> check_apart(specs, exclude=[])
        Traceback (most recent call last):
        ...
        leakscan.errors.UsageError: ...films/test lies inside ...films: every image of it would be ...
    """
    folders = [spec.path.resolve() for spec in specs if spec.form == "folder" and spec.path.is_dir()]
    files = [spec.path.resolve() for spec in specs if spec.form == "file"]
    for inner in (*folders, *files):
        outer = next((folder for folder in folders if folder in inner.parents), None)
        if outer is not None and not exclude:
            raise UsageError(
                "{path} lies inside {outer}: every image of it would be found in both.",
                "Leave it out of the other with the setting exclude='{inner}/**'.",
                code="source_inside_source",
                path=inner,
                outer=outer,
                inner=inner.relative_to(outer),
            )


def cache_name(spec: SourceSpec, key_id: str) -> str:
    """The folder of a source's cached store: readable, and distinct by full path and key.

    Example:
        >>> cache_name(SourceSpec.parse("/data/chest films"), key_id="5f0c")
        'chest-films-304c5bfc83d2.fps'
    """
    stem = "".join(c if c.isalnum() else "-" for c in spec.stem)[:40]
    return f"{stem}-{blake3(os.fsencode(f'{key_id}|{spec.resolved}')).hexdigest()[:12]}.fps"


def key_place(settings: Settings) -> Path:
    """Where the identity key lies: where the user says, else in the cache that the user names.

    In the user's own cache folder it would not be safe from tools that empty caches, and no hash of an
    identifier could be joined with earlier ones. So it lies in the user's data folder then.

    Example:
        >>> key_place(Settings.of(cache="project/cache")).as_posix()
        'project/cache/identity.key'
    """
    if settings.privacy.key is not None:
        return settings.privacy.key
    if is_own_cache(settings.limits.cache):
        data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        return Path(data) / "leakscan" / "identity.key"
    return settings.limits.cache / "identity.key"


def is_own_cache(cache: Path) -> bool:
    """Whether a cache is that of the user, which nobody has to name.

    Example:
        >>> is_own_cache(Path(".leakscan"))
        False
    """
    return cache == user_cache() and not os.environ.get("LEAKSCAN_CACHE")


def earlier_cache(settings: Settings) -> list[str]:
    """What to say where the cache of an earlier version lies in the current folder, and is used no more.

    Example:
        >>> earlier_cache(Settings())
        []
    """
    old = Path(".leakscan")
    if not is_own_cache(settings.limits.cache) or not (old / "stores").is_dir():
        return []
    return [
        "The folder .leakscan is the cache of an earlier version and is used no more: images are read once "
        "into the cache of the user. Delete it, unless stores were made with the identity key in it."
    ]


def make_cache(folder: Path) -> None:
    """Makes the cache folder, readable by its owner only and ignored by git.

    Raises:
        OutputError: It cannot be made.

    Example:
        >>> make_cache(Path("cache"))
        >>> oct(Path("cache").stat().st_mode & 0o777)  # nobody else reads it
        '0o700'
    """
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, mode=0o700)
            (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as e:
        raise OutputError(
            f"The cache folder {{path}} cannot be made: {e.strerror or e}.",
            "Choose another with the setting cache.",
            code="cache_unwritable",
            path=folder,
        ) from e
