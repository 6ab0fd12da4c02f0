"""Reads damaged files as leakscan would, each by the reader of its kind, and judges what came of it."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from leakscan.errors import ImageError, LeakscanError
from leakscan.research.good_files import scene
from leakscan.research.later_files import LISTS
from leakscan.research.mutations import Mutant

SECONDS = 30.0
"""How long one file may take."""
MOST_BYTES = 1 << 30
"""How much memory one file may make a process need beyond the most that it needed before."""

_HOUSE = (
    "card.json", "calibration.safetensors", "weights.safetensors", "model.zip", "leakscan.toml", "drop.csv",
    "shard.parquet", "store.json", "verdicts.parquet", "verdicts.csv", "pairs.parquet", "summary.json",
    "pairs.sqlite3", "project.key", "identity.key", "rich.parquet", "like.json",
)  # fmt: skip
"""Files that are no images and no lists of images: each has a reader of its own."""


@dataclass(frozen=True)
class Answer:
    """What a reader came to.

    Attributes:
        said: ``read``, ``refused``, or what went wrong, in a sentence.
        fault: Whether that should not happen.
    """

    said: str
    fault: bool = False


def read_mutant(mutant: Mutant) -> Answer:
    """Writes a damaged file into a folder of its own and reads it as leakscan would.

    Args:
        mutant: The file.

    Example:
        >>> read_mutant(Mutant(0, "leakscan.toml", b"limits.workers = 'many'", ()))
        Answer(said='refused', fault=False)
    """
    before = _memory()
    with tempfile.TemporaryDirectory() as name:
        path = mutant.laid(Path(name))
        try:
            said = _read_house(path) if mutant.name in _HOUSE else _read_images(path)
        except (LeakscanError, ImageError) as error:
            words = getattr(error, "message", "")
            fault = not words.endswith((".", ")")) or "Traceback" in words
            return Answer(f"its sentence is {words!r}", True) if fault else Answer("refused")
        except Exception as error:
            return Answer(f"{type(error).__name__}: {error} ({_where(error)})", True)
    if _memory() - before > MOST_BYTES:
        return Answer(f"it made the process need {_memory() - before >> 20:,} MB more", True)
    return Answer(said, said not in ("read", "refused"))


def _where(error: BaseException) -> str:
    import traceback

    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _read_images(path: Path) -> str:
    """Scans a folder with the file, or the file as a list, and prepares every image of it."""
    from leakscan.fingerprint.prepare import Recipe, prepare
    from leakscan.settings import DecodeOptions
    from leakscan.sources.open import open_source
    from leakscan.types import Silent

    arrays: Literal["pictures", "volumes"] = "pictures" if path.suffix == ".npz" else "volumes"
    options = DecodeOptions(max_pixels=4_000_000, max_seconds=SECONDS, arrays=arrays)
    is_list = path.name in ("films.csv", "manifest.parquet", *LISTS)
    if is_list:
        Image.fromarray(scene()).save(path.parent / "film.png")
    refs = list(open_source(str(path if is_list else path.parent), options).scan(Silent()))
    if not refs:
        return "it has no row"
    recipe = Recipe(options=options, sides={"chest_radiograph": 64}, previews=True)
    found = [prepare((ref, "chest_radiograph"), recipe).status for ref in refs[:50] if ref.status == "ok"]
    return "read" if "ok" in found else "refused"


def _read_house(path: Path) -> str:
    """Reads what leakscan wrote, or what people wrote for it, by the reader of its name."""
    READERS[path.name](path)
    return "read"


def _add_model(path: Path) -> None:
    from leakscan.fingerprint.encoders.registry import add_model

    os.environ["LEAKSCAN_MODELS"] = str(path.parent / "models")
    try:
        add_model(path)
    finally:
        del os.environ["LEAKSCAN_MODELS"]
        led_out = [p for p in path.parent.rglob("*") if p != path and "models" not in p.parts]
        if led_out:
            raise RuntimeError(f"the zip wrote {led_out[0].name} outside its folder")


def _read_store(path: Path) -> None:
    from leakscan.fingerprint.pipeline import dataset_from_store
    from leakscan.fingerprint.store import Store, StoreInfo

    folder = path.parent / "store"
    store = Store.create(folder, StoreInfo(dataset="a", key_id="0011aabb"))
    (path.replace(folder / "store.json" if path.suffix == ".json" else folder / "shards/00000001-1.parquet"))
    store.append([{"image_id": "2", "path": "b.png", "prepared_with": "way"}])
    dataset_from_store(Store.open(folder), "a", {})


def _read_weights(path: Path) -> None:
    """As an encoder reads them: their digest is checked first, so that nothing else looks into them."""
    from leakscan.fingerprint.encoders.card import read_card
    from leakscan.fingerprint.encoders.load import load_encoder
    from leakscan.fingerprint.encoders.registry import cards

    _, home = cards()["cxr-lite0"]
    (path.parent / "card.json").write_bytes((home / "card.json").read_bytes())
    load_encoder(read_card(path.parent), path.parent)


def _read_card(path: Path) -> None:
    from leakscan.fingerprint.encoders.card import read_card

    read_card(path.parent)


def _read_calibration(path: Path) -> None:
    from leakscan.decide.calibration.file import read_calibration
    from leakscan.fingerprint.encoders.registry import cards

    read_calibration(path, [cards()["cxr-lite0"][0].encoder])


def _read_settings(path: Path) -> None:
    from leakscan.settings import Settings

    Settings.read(path)


def _read_list(path: Path) -> None:
    from leakscan.run.left_out import ListedImages

    ListedImages.read(path)


def _read_verdicts(path: Path) -> None:
    from leakscan.review.verdict_csv import read_csv
    from leakscan.review.verdicts import VerdictFile

    read_csv(path) if path.suffix == ".csv" else VerdictFile.open(path).read()


def _read_run(path: Path) -> None:
    """A run folder with one damaged file: what exclude, split and the review read of it."""
    from leakscan import tables
    from leakscan.review.judged_run import JudgedRun

    folder = path.parent
    if path.name == "pairs.parquet":
        both = [{"image_id": "1", "dataset": "A"}, {"image_id": "2", "dataset": "B"}]
        tables.write(tables.from_rows(both, tables.IMAGES), folder / "images.parquet")
    for schema in (tables.IMAGES, tables.PAIRS, tables.SUBJECTS, tables.FINGERPRINTS):
        file = folder / f"{tables.name_of(schema)}.parquet"
        if not file.exists():
            tables.write(schema.empty_table(), file)
    if not (folder / "summary.json").exists():
        (folder / "summary.json").write_text("{}")
    run = JudgedRun.open(folder)
    assert run.summary is not None and run.images is not None and run.person_pairs is not None


def _read_like(path: Path) -> None:
    from leakscan.run.like import as_before, differences, made_with
    from leakscan.settings import Settings

    path.replace(path.parent / "summary.json")
    for name in ("images", "pairs"):
        (path.parent / f"{name}.parquet").touch()
    as_before(path.parent, Settings())
    summary = {"made_with": made_with(Settings()), "encoders": [], "datasets": []}
    differences(path.parent, summary)


def _read_memory(path: Path) -> None:
    from leakscan.run.memory import PairMemory

    memory = PairMemory(path)
    memory.copy_checks([("a", "b")])
    memory.keep_detail_matches("m", [("a", "b", 1.0)])
    if memory.detail_matches("m", [("a", "b")]) != {("a", "b"): 1.0}:
        raise RuntimeError("what was kept is not found again")


def _read_project_key(path: Path) -> None:
    from leakscan.fingerprint.project_key import ProjectKey

    _ = ProjectKey(path).key_id


def _read_identity_key(path: Path) -> None:
    from leakscan.sources.identity import IdentityKey

    _ = IdentityKey(path).key_id


READERS: dict[str, Callable[[Path], Any]] = {
    "project.key": _read_project_key,
    "identity.key": _read_identity_key,
    "card.json": _read_card,
    "calibration.safetensors": _read_calibration,
    "weights.safetensors": _read_weights,
    "model.zip": _add_model,
    "leakscan.toml": _read_settings,
    "drop.csv": _read_list,
    "shard.parquet": _read_store,
    "rich.parquet": _read_store,
    "like.json": _read_like,
    "store.json": _read_store,
    "verdicts.parquet": _read_verdicts,
    "verdicts.csv": _read_verdicts,
    "pairs.parquet": _read_run,
    "summary.json": _read_run,
    "pairs.sqlite3": _read_memory,
}
