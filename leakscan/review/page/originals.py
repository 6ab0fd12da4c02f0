"""Where the pixels of a run's images are: found from the tables and from what the run was made of.

Nothing here comes from a browser. Paths come from the run's own tables, which may be a stranger's: what
leaves the folder of its source is refused.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from leakscan import tables
from leakscan.decide.copies.describing import Pixels, load_pixels
from leakscan.errors import ImageError, LeakscanError, UsageError, reason
from leakscan.fingerprint.hashing import PIXEL_HASH_VERSION, pixel_hash
from leakscan.report.run_folder import RunFolder
from leakscan.review.page.deck import RunImage
from leakscan.settings import ReadingSettings
from leakscan.sources.formats import nifti
from leakscan.sources.open import open_source
from leakscan.sources.spec import SourceSpec
from leakscan.sources.subject_rules import parse_subject_rule
from leakscan.types import DecodedImage, ImageRef, Silent


class Missing(Exception):
    """Why there is no picture of an image, in a sentence for whoever reviews.

    Args:
        sentence: The sentence; it names no path.
    """

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence)


class Originals:
    """The images of a run as they are now.

    Args:
        sources: What each dataset was made from, by the name of the dataset; ``None`` where the run does not
            say.
        reading: How the run read them.

    Example::

        originals = Originals.of(RunFolder.open(Path("run")), summary, moved={"ward": "/new/ward"})
        originals.pixels(image).values.shape
    """

    def __init__(self, sources: Mapping[str, SourceSpec | None], reading: ReadingSettings) -> None:
        self._reading = reading
        self._places = {name: _Place(name, spec, reading) for name, spec in sources.items()}

    @classmethod
    def of(
        cls, folder: RunFolder, summary: Mapping[str, Any], moved: Mapping[str, str] | None = None
    ) -> Originals:
        """The images of a run folder.

        Args:
            folder: The run folder.
            summary: What its ``summary.json`` holds.
            moved: Where datasets are now, by name, as a user types sources.

        Raises:
            UsageError: ``moved`` names a dataset that the run does not have.
        """
        names = [str(dataset["name"]) for dataset in summary.get("datasets", [])]
        given = dict(moved or {})
        if strange := [name for name in given if name not in names]:
            raise UsageError(f"The run has no dataset {strange[0]!r}; it has: {', '.join(names)}.")
        recorded = summary.get("sources") or {}
        sources: dict[str, SourceSpec | None] = {}
        for name in names:
            typed = given.get(name) or recorded.get(name)
            sources[name] = _nearest(folder, str(typed), name in given) if typed else None
        return cls(sources, _reading(summary))

    @property
    def troubles(self) -> list[str]:
        """What keeps whole datasets from being seen, in sentences."""
        return [place.trouble for place in self._places.values() if place.trouble]

    def pixels(self, image: RunImage) -> DecodedImage:
        """The pixels of one image, if they are still what the run saw.

        Raises:
            Missing: They are gone, cannot be read, or have changed.
        """
        place = self._places.get(image.dataset)
        if place is None or place.trouble:
            raise Missing(place.trouble if place else "The run does not know this dataset.")
        found = place.find(image)
        try:
            decoded = load_pixels(found, self._reading)
        except (ImageError, OSError, ValueError) as error:
            # What lies inside another file (compressed, or in an archive) only a scan knows how to reach.
            inner = place.scanned(image)
            if inner is None:
                raise Missing(f"It can no longer be read: {_plain(error)}.") from error
            found = inner
            try:
                decoded = load_pixels(found, self._reading)
            except (ImageError, OSError, ValueError) as again:
                raise Missing(f"It can no longer be read: {_plain(again)}.") from again
        known = image.row["pixel_hash"]
        if (
            isinstance(found, ImageRef)
            and (known or "").startswith(PIXEL_HASH_VERSION)  # under a project key it is no hash of pixels
            and pixel_hash(decoded.stored) != known
        ):
            raise Missing("The file has changed since the run, so this is another picture. Compare again.")
        return decoded


def _plain(error: Exception) -> str:
    """Why something failed, without paths and without a full stop."""
    if isinstance(error, ImageError):
        return error.sentence.replace("{path}", "another file").rstrip(".")
    return reason(error).rstrip(".") if isinstance(error, OSError) else "it is damaged"


def _reading(summary: Mapping[str, Any]) -> ReadingSettings:
    raw = summary.get("reading") or {}
    known = {name: raw[name] for name in ReadingSettings.model_fields if name in raw}
    if "exclude" in known:
        known["exclude"] = tuple(known["exclude"])
    return ReadingSettings(**known)


def _nearest(folder: RunFolder, typed: str, given: bool) -> SourceSpec:
    """What was typed; where it is gone, the folder of that name beside the run, which moved with it."""
    spec = SourceSpec.parse(typed)
    if given or spec.form != "missing":
        return spec
    path, mark, selection = typed.partition("?")
    for parent in folder.path.resolve().parents[:3]:
        beside = SourceSpec.parse(str(parent / Path(path).name) + mark + selection)
        if beside.form != "missing":
            return beside
    return spec


@dataclass
class _Place:
    """Where the images of one dataset are."""

    name: str
    spec: SourceSpec | None
    reading: ReadingSettings

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    @cached_property
    def trouble(self) -> str:
        """Why nothing of this dataset can be seen; empty where it can."""
        if self.spec is None:
            return f"The run does not say where the images of {self.name} are."
        if self.spec.form == "missing":
            return f"The images of {self.name} are not where they were."
        if self.spec.form == "store" and not self._previews:
            return f"{self.name} is a store without previews, so its images cannot be shown."
        return ""

    @property
    def root(self) -> Path:
        """The folder that paths are relative to."""
        assert self.spec is not None
        path = Path(os.path.abspath(self.spec.path))  # noqa: PTH100 - as a scan does
        return path if self.spec.form == "folder" else path.parent

    def find(self, image: RunImage) -> Pixels:
        """The files or the preview of an image.

        Raises:
            Missing: There are none.
        """
        assert self.spec is not None
        if self.spec.form == "store":
            preview = self._previews.get(image.image_id)
            if not preview:
                raise Missing("The store has no preview of it.")
            return preview
        found = self._directly(image) or self._in_its_folder(image) or self.scanned(image)
        if found is None:
            raise Missing("It is gone since the run: there is no such image in its folder any more.")
        return found

    def _inside(self, path: str | None) -> Path | None:
        """A place under the root, if the table's path names one: it may be a stranger's table."""
        if not path or "\0" in path:
            return None
        place = self.root / path
        try:
            if place.resolve().is_relative_to(self.root.resolve()) and place.exists():
                return place
        except (OSError, RuntimeError):
            return None
        return None

    def _directly(self, image: RunImage) -> ImageRef | None:
        """The one file that the path names."""
        row = image.row
        place = self._inside(row["path"])
        if place is None or not place.is_file():
            return None
        files: tuple[Path, ...] = (place,)
        if row["format"] == "nifti":
            try:
                files = nifti.files(place)
            except (OSError, ImageError):
                return None
        return ImageRef(
            image_id=image.image_id,
            path=row["path"],
            format=row["format"],
            files=tuple(map(str, files)),
            frame=row["frame"] or 0,
            ndim=image.ndim,
        )

    def _in_its_folder(self, image: RunImage) -> ImageRef | None:
        """The slices of a series: the folder that they share is scanned, once for all series in it."""
        place = self._inside(image.row["path"])
        if place is None or not place.is_dir():
            return None
        with self._lock:
            known = self._series.setdefault(str(place), {})
            if not known:
                known.update(self._scanned(SourceSpec.parse(place)))
        return known.get(image.image_id)

    @cached_property
    def _series(self) -> dict[str, dict[str, ImageRef]]:
        return {}

    def scanned(self, image: RunImage) -> ImageRef | None:
        """The image in a scan of the whole source: for hidden paths, moved series, odd Unicode."""
        if self.spec is None or self.spec.form == "store":
            return None
        with self._lock:
            return self._all.get(image.image_id)

    @cached_property
    def _all(self) -> dict[str, ImageRef]:
        assert self.spec is not None
        return self._scanned(self.spec)

    def _scanned(self, spec: SourceSpec) -> dict[str, ImageRef]:
        reading = self.reading
        rule = parse_subject_rule(reading.subjects) if reading.subjects else None
        try:
            source = open_source(spec, reading, reading.exclude, rule, self.name)
            return {ref.image_id: ref for ref in source.scan(Silent()) if ref.files}
        except (LeakscanError, OSError):
            return {}

    @cached_property
    def _previews(self) -> dict[str, bytes]:
        """The previews of a store, by image id."""
        assert self.spec is not None
        found: dict[str, bytes] = {}
        for shard in sorted((self.spec.path / "shards").glob("*.parquet")):
            try:
                table = tables.read_parquet(shard, ["image_id", "preview"])
            except (OSError, pa.ArrowException):
                continue
            ids: Sequence[str] = table["image_id"].to_pylist()
            found |= {i: p for i, p in zip(ids, table["preview"].to_pylist(), strict=True) if p}
        return found
