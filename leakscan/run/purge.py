"""The job that removes what leakscan derived from images: of a cache, a store or a run folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from leakscan.errors import OutputError, UsageError, reason
from leakscan.report.run_folder import RunFolder
from leakscan.sources.spec import STORE_FILE

_OF_A_CACHE = ("stores", "sent", "pairs.sqlite3*", "review", "verdicts.parquet", "looks.parquet", "*.part")
"""Of older versions, too: their memory of pairs lay in files of the last two names."""
_OF_A_STORE = (STORE_FILE, "shards", "*.part")
_IRREPLACEABLE = ("identity.key", "verdicts.parquet", "verdicts.parquet.lock")
"""What cannot be made again, and is removed only where the user says so."""


@dataclass(frozen=True)
class Purge:
    """What is to go and what stays.

    Attributes:
        folder: The cache, store or run folder.
        kind: Which of these it is.
        gone: What was derived from images: files, and folders with all that is in them.
        kept: What stays in the folder.
    """

    folder: Path
    kind: str
    gone: tuple[Path, ...]
    kept: tuple[Path, ...]

    @classmethod
    def of(cls, folder: Path, everything: bool = False) -> Purge:
        """Looks what a folder holds; removes nothing.

        Args:
            folder: A cache, a store, or a run folder.
            everything: Whether verdicts and the identity key go as well, which nothing can make again.

        Raises:
            UsageError: The folder is none of these.

        Example:
            >>> from leakscan.run.places import make_cache
            >>> make_cache(Path("cache"))
            >>> Path("cache/pairs.sqlite3").touch()
            >>> [path.name for path in Purge.of(Path("cache")).gone]
            ['pairs.sqlite3']
        """
        kind, patterns = _known(folder)
        own = () if kind == "cache" else _IRREPLACEABLE
        found = sorted({path for pattern in patterns for path in folder.glob(pattern)})
        if not everything:
            found = [path for path in found if path.name not in own]
        else:
            found = sorted({*found, *(folder / n for n in _IRREPLACEABLE if (folder / n).exists())})
        beside = [folder.with_name(f"{folder.name}{end}") for end in (".part", ".names.csv")]
        found += [path for path in beside if path.exists()]
        kept = tuple(path for path in sorted(folder.iterdir()) if path not in found)
        return cls(folder, kind, tuple(found), kept)

    @property
    def files(self) -> list[Path]:
        """Every file that is to go."""
        return [file for path in self.gone for file in _files(path)]

    def carry_out(self) -> list[Path]:
        """Removes what is to go, and the folder itself where nothing is left. Links are not followed.

        Returns:
            The files that were removed.

        Raises:
            OutputError: Something cannot be removed; what was removed before is gone.

        Example:
            >>> Path("run").mkdir()
            >>> Path("run/summary.json").touch()
            >>> [path.name for path in Purge.of(Path("run")).carry_out()], Path("run").exists()
            (['summary.json'], False)
        """
        files = self.files
        for path in self.gone:
            try:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(
                    f"{{path}} cannot be removed: {reason(error)}. What was removed before it is gone.",
                    "Remove it by hand.",
                    path=path,
                ) from error
        if not any(self.folder.iterdir()):
            self.folder.rmdir()
        return files


def _known(folder: Path) -> tuple[str, tuple[str, ...]]:
    """What a folder is, and the names of what was derived from images in it."""
    if folder.is_dir():
        if (folder / STORE_FILE).is_file():
            return "store", _OF_A_STORE
        run = RunFolder(folder)
        if run.is_complete or run.table("pairs").is_file():
            return "run folder", RunFolder.MADE
        if (folder / "stores").is_dir() or (folder / "identity.key").is_file() or _is_memory(folder):
            return "cache", _OF_A_CACHE
    raise UsageError(
        "{path} is no cache, store or run folder of leakscan, so nothing was removed.",
        "Name such a folder, for example .leakscan.",
        path=folder,
    )


def _is_memory(folder: Path) -> bool:
    return (folder / "pairs.sqlite3").is_file()


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir() and not path.is_symlink():
        yield from sorted(p for p in path.rglob("*") if p.is_symlink() or not p.is_dir())
    else:
        yield path
