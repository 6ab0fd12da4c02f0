"""Damages good files in thousands of ways and hands them to the reader of their kind.

``python -m leakscan.research.mutated_files --count 10000`` draws from a seed which file is damaged and how:
bits flipped, bytes overwritten, length fields set to extremes, ends cut off, parts doubled, dropped or taken
from other files, also inside what is compressed. Every reader must come to an end within its time and within
1 GB, with an answer or with a sentence: an ``ImageError`` or a ``LeakscanError``. Files of images and
archives must give at least one row. Faulty files are kept with ``--keep``.
"""

from __future__ import annotations

import gzip
import os
import resource
import struct
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from PIL import Image

from leakscan.cli.output import Output
from leakscan.engines.careful import Careful, Loss
from leakscan.engines.local import LocalEngine
from leakscan.errors import ImageError, LeakscanError
from leakscan.research.command import run_command
from leakscan.research.good_files import good_files, scene

SECONDS = 30.0
"""How long one file may take."""
MOST_BYTES = 1 << 30
"""How much memory a process may come to need."""

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62)
_HOUSE = (
    "card.json", "calibration.safetensors", "weights.safetensors", "model.zip", "leakscan.toml", "drop.csv",
    "shard.parquet", "store.json", "verdicts.parquet", "verdicts.csv", "pairs.parquet", "summary.json",
    "pairs.sqlite3",
)  # fmt: skip
"""Files that are no images and no lists of images: each has a reader of its own."""


@dataclass(frozen=True)
class Mutant:
    """One damaged file.

    Attributes:
        number: Its place in the sequence.
        name: The name of the good file.
        data: Its bytes.
        ways: How it was damaged, one word for each way.
    """

    number: int
    name: str
    data: bytes
    ways: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What a reader came to.

    Attributes:
        said: ``read``, ``refused``, or what went wrong, in a sentence.
        fault: Whether that should not happen.
    """

    said: str
    fault: bool = False


def mutants(count: int, seed: int, files: dict[str, bytes]) -> Iterator[Mutant]:
    """Damaged files, every kind in turn.

    Args:
        count: How many.
        seed: The seed of all draws; a mutant depends on it and on its number only.
        files: The good files, by name.

    Example:
        >>> one, other = (next(mutants(1, 7, {"film.png": b"pixels"})) for _ in range(2))
        >>> one == other
        True
    """
    names = sorted(files)
    for number in range(count):
        random = np.random.default_rng([seed, number])
        name = names[number % len(names)]
        data, ways = files[name], []
        for _ in range(int(random.integers(1, 4))):
            way = _WAYS[int(random.integers(len(_WAYS)))]
            other = files[names[int(random.integers(len(names)))]]
            data = _inside(name, data, partial(way, random=random, other=other), random)
            ways.append(way.__name__.lstrip("_"))
        yield Mutant(number, name, data, tuple(ways))


def _inside(name: str, data: bytes, change: Callable[[bytes], bytes], random: np.random.Generator) -> bytes:
    """Damages a file, or in half of the cases what is compressed in it."""
    if random.integers(2):
        try:
            if data[:2] == b"\x1f\x8b":
                return gzip.compress(change(gzip.decompress(data)), mtime=0)
            if data[:4] == b"PK\3\4":
                return _zip_again(data, change)
        except Exception:  # it was damaged before
            return change(data)
    return change(data)


def _zip_again(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    import io

    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(out, "w") as after:
        for info in before.infolist():
            after.writestr(info.filename, change(before.read(info)))
    return out.getvalue()


def _place(data: bytes, random: np.random.Generator) -> int:
    """A place in a file: in its first kilobyte half of the time, where headers are."""
    most = len(data) if random.integers(2) else min(len(data), 1024)
    return int(random.integers(max(most, 1)))


def _flip(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(int(random.integers(1, 9)) if out else 0):
        out[_place(data, random)] ^= 1 << int(random.integers(8))
    return bytes(out)


def _overwrite(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    at = _place(data, random)
    noise = random.integers(0, 256, int(random.integers(1, 17)), dtype=np.uint8).tobytes()
    return data[:at] + noise + data[at + len(noise) :]


def _extreme(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    value = _EXTREMES[int(random.integers(len(_EXTREMES)))]
    width = "BHIQ"[int(random.integers(4))]
    size = struct.calcsize(width)
    field = struct.pack("<>"[int(random.integers(2))] + width, value & ((1 << 8 * size) - 1))
    at = _place(data, random)
    return data[:at] + field + data[at + size :]


def _cut(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    return data[: int(random.integers(len(data) + 1))]


def _drop(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    at = _place(data, random)
    return data[:at] + data[at + int(random.integers(1, 65)) :]


def _double(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    at = _place(data, random)
    part = data[at : at + int(random.integers(1, 513))]
    return data[:at] + part * int(random.integers(2, 9)) + data[at + len(part) :]


def _splice(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    return data[: _place(data, random)] + other[_place(other, random) :]


def _digits(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    """Makes a number in a text enormous, negative, or none."""
    places = [i for i, byte in enumerate(data[:4096]) if 48 <= byte < 58]
    if not places:
        return _extreme(data, random, other)
    at = places[int(random.integers(len(places)))]
    words = (b"99999999999999999999", b"-1", b"1e999", b"NaN", b"", b"0", b"\xff", b"null")
    return data[:at] + words[int(random.integers(len(words)))] + data[at + 1 :]


_WAYS = (_flip, _overwrite, _extreme, _extreme, _cut, _drop, _double, _splice, _digits)


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
        path = Path(name) / mutant.name
        path.write_bytes(mutant.data)
        try:
            said = _read_house(path) if mutant.name in _HOUSE else _read_images(path)
        except (LeakscanError, ImageError) as error:
            words = getattr(error, "message", "")
            fault = not words.endswith((".", ")")) or "Traceback" in words
            return Answer(f"its sentence is {words!r}", True) if fault else Answer("refused")
        except Exception as error:
            return Answer(f"{type(error).__name__}: {error} ({_where(error)})", True)
    if _memory() > MOST_BYTES >= before:
        return Answer(f"the process needs {_memory() >> 20:,} MB", True)
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
    is_list = path.name in ("films.csv", "manifest.parquet")
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
    _READERS[path.name](path)
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


def _read_memory(path: Path) -> None:
    from leakscan.run.memory import PairMemory

    memory = PairMemory(path)
    memory.copy_checks([("a", "b")])
    memory.keep_detail_matches("m", [("a", "b", 1.0)])
    if memory.detail_matches("m", [("a", "b")]) != {("a", "b"): 1.0}:
        raise RuntimeError("what was kept is not found again")


_READERS: dict[str, Callable[[Path], Any]] = {
    "card.json": _read_card,
    "calibration.safetensors": _read_calibration,
    "weights.safetensors": _read_weights,
    "model.zip": _add_model,
    "leakscan.toml": _read_settings,
    "drop.csv": _read_list,
    "shard.parquet": _read_store,
    "store.json": _read_store,
    "verdicts.parquet": _read_verdicts,
    "verdicts.csv": _read_verdicts,
    "pairs.parquet": _read_run,
    "summary.json": _read_run,
    "pairs.sqlite3": _read_memory,
}


def _lost(mutant: Mutant, why: Loss) -> Answer:
    words = "it kills the process" if why == "died" else f"it takes longer than {SECONDS:g} s"
    return Answer(words, True)


def read_all(chosen: Sequence[Mutant], workers: int) -> list[Answer]:
    """What the readers come to, in processes of their own.

    Args:
        chosen: The damaged files.
        workers: How many processes.

    Example::

        answers = read_all(list(mutants(500, 0, good_files())), workers=2)
    """
    return list(LocalEngine(workers).map(Careful(read_mutant, _lost, SECONDS), chosen, chunk=4))


def mutated_files(
    count: Annotated[int, typer.Option("--count", help="How many damaged files.", min=1)] = 500,
    seed: Annotated[int, typer.Option("--seed", help="Seed of all draws.")] = 0,
    workers: Annotated[int, typer.Option("--workers", help="Processes that read them.", min=1)] = 2,
    only: Annotated[
        str | None, typer.Option("--only", help="Damage only good files with this in their name.")
    ] = None,
    keep: Annotated[Path | None, typer.Option("--keep", help="Folder for faulty files.")] = None,
) -> None:
    """Read damaged files of every kind, and name those that a reader does not refuse in a sentence.

    Example: python -m leakscan.research.mutated_files --count 10000
    """
    out = Output()
    files = {name: data for name, data in good_files().items() if only is None or only in name}
    chosen = list(mutants(count, seed, files))
    answers = read_all(chosen, workers)
    counts: Counter[str] = Counter()
    for mutant, answer in zip(chosen, answers, strict=True):
        counts["fault" if answer.fault else answer.said] += 1
        if answer.fault:
            out.say(f"{mutant.number} {mutant.name} ({', '.join(mutant.ways)}): {answer.said[:300]}")
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{mutant.number}-{mutant.name}").write_bytes(mutant.data)
    out.say(
        f"{count:,} damaged files of {len(files)} kinds: {counts['read']:,} read, "
        f"{counts['refused']:,} refused in a sentence, {counts['fault']:,} faults."
    )
    if counts["fault"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(mutated_files)
