"""How long two large stores take from their files to decided pairs, how much memory, and what is found.

The stores hold made-up films (:mod:`leakscan.synthetic.made_up_store`) and no pictures, so that there are no
copy checks and no detail matches, and no network is loaded. The search and the decisions are those of a run,
with the calibration that comes with the encoder, in a fresh process: its highest memory is its own.
"""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leakscan import tables
from leakscan.decide.calibration.file import FILE as CALIBRATION_FILE
from leakscan.decide.calibration.file import read_calibration
from leakscan.decide.comparison import Comparison
from leakscan.decide.pairs import decide_pairs
from leakscan.decide.relation import ALIKE_BITS
from leakscan.evaluation.pairs_bench import BareContext, BareModels, peak_bytes
from leakscan.fingerprint.encoders.card import Card
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.fingerprint.hashing import hamming
from leakscan.fingerprint.pipeline import Dataset
from leakscan.fingerprint.store import Store
from leakscan.settings import Settings
from leakscan.synthetic.made_up_store import MadeUpStores, draw_stores
from leakscan.types import Progress, Silent

if TYPE_CHECKING:
    from leakscan.run.context import RunContext

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SearchFigures:
    """What a search of two stores and the decisions about them came to.

    Attributes:
        films: Films in each store.
        seconds: The wall time from the files of the stores to the decisions.
        load_seconds: The part that reads the stores.
        match_seconds: The part of the search.
        check_seconds: The part of the decisions.
        cpu_seconds: The time that processors worked on it, all threads together.
        peak_mb: The most memory of the process in MB (10^6 bytes).
        start_mb: The part of that which was in use before the stores were opened: libraries and models.
        candidates: Pairs of pictures that the search found.
        pairs: Pairs that are leaks or for review.
        people: People who stand in both stores.
        people_near: How many of them are at least as similar as the search reached.
        people_found: How many of those were found.
        copies: Turned copies that stand in the other store.
        copies_near: How many of them differ in no more bits than the search reached and likely copies do.
        copies_found: How many of those were found.
        recall: The share of similar pairs that the search itself measured to find, by encoder.
    """

    films: int
    seconds: float
    load_seconds: float
    match_seconds: float
    check_seconds: float
    cpu_seconds: float
    peak_mb: int
    start_mb: int
    candidates: int
    pairs: int
    people: int
    people_near: int
    people_found: int
    copies: int
    copies_near: int
    copies_found: int
    recall: dict[str, float]


def search_bench(
    folder: Path, films: int, shared: int = 1000, seed: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """Draws two stores, compares them, and measures that.

    Args:
        folder: A folder to work in; the stores stay there.
        films: The number of films in each store.
        shared: The number of people who stand in both stores, and of turned copies; at most a quarter of the
            films each.
        seed: The seed of the stores.
        progress: Receives what is being done.

    Returns:
        The attributes of :class:`SearchFigures` by name.

    Raises:
        LeakscanError: There is no encoder of films, or the stores cannot be written.

    Example::

        found = search_bench(fresh_folder(Path("bench")), films=20_000)
        print(found["seconds"], found["peak_mb"], found["people_found"], "of", found["people_near"])
    """
    progress = progress or Silent()
    both = min(shared, films // 4)
    progress.start("Drawing the stores", None)
    stores = draw_stores(folder, films, _encoder()[0].encoder, both, both, seed)
    progress.start("Comparing them", None)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(measure_search, stores).result()
    progress.finish()
    return asdict(found)


def _encoder() -> tuple[Card, Path]:
    """The card and the folder of the encoder of films."""
    entry = card_for("chest_radiograph", None)
    assert entry is not None, "an encoder of films comes with leakscan"
    return entry


def measure_search(stores: MadeUpStores) -> SearchFigures:
    """Compares two stores in this process.

    Args:
        stores: The stores, and what they share.

    Example::

        figures = measure_search(draw_stores(Path("bench"), 1000, encoder, 10, 10))
    """
    card, folder = _encoder()
    calibration = read_calibration(folder / CALIBRATION_FILE, [card.encoder])
    models = BareModels({card.encoder: card}, {card.encoder: calibration})
    context = BareContext(settings=Settings(), models=models)
    start = peak_bytes()
    began, worked = time.monotonic(), time.process_time()
    datasets = []
    for place in (stores.a, stores.b):
        store = Store.open(place)
        datasets.append(Dataset(place.stem, store.load(), {}, {}, store.info.key_id))
    loaded = time.monotonic() - began
    (comparison,) = decide_pairs(datasets, cast("RunContext", context))
    seconds, cpu = time.monotonic() - began, time.process_time() - worked
    peak = peak_bytes()
    people = _found(stores.people, datasets, comparison)
    copies = _found(stores.copies, datasets, comparison)
    near, close = _near(stores.people, datasets, comparison), _close(stores.copies, datasets, comparison)
    return SearchFigures(
        films=len(datasets[0].rows),
        seconds=round(seconds, 2),
        load_seconds=round(loaded, 2),
        match_seconds=round(comparison.match_seconds, 2),
        check_seconds=round(comparison.check_seconds, 2),
        cpu_seconds=round(cpu, 2),
        peak_mb=round(peak / 1e6),
        start_mb=round(start / 1e6),
        candidates=comparison.candidates,
        pairs=len(comparison.pairs),
        people=len(people),
        people_near=int(near.sum()),
        people_found=int((people & near).sum()),
        copies=len(copies),
        copies_near=int(close.sum()),
        copies_found=int((copies & close).sum()),
        recall={name: reach.recall for name, reach in comparison.reach.items()},
    )


def _found(planted: Ints, datasets: list[Dataset], comparison: Comparison) -> npt.NDArray[np.bool_]:
    """Which planted pairs are among the leaks and the pairs for review."""
    pairs = comparison.pairs
    names = [
        pc.binary_join_element_wise(pairs["image_a"], pairs["image_b"], " ").combine_chunks(),
        pc.binary_join_element_wise(
            *(d.rows["image_id"].take(pa.array(planted[:, i])) for i, d in enumerate(datasets)), " "
        ),
    ]
    return np.asarray(pc.is_in(names[1], names[0]), np.bool_)


def _near(people: Ints, datasets: list[Dataset], comparison: Comparison) -> npt.NDArray[np.bool_]:
    """Which planted people are at least as similar as the search reached and as pairs for review are."""
    vectors = []
    for column, dataset in enumerate(datasets):
        taken = dataset.rows["fingerprint"].take(pa.array(people[:, column])).combine_chunks()
        vectors.append(taken.flatten().to_numpy(zero_copy_only=False).reshape(len(people), -1))
    similarity = (vectors[0].astype(np.float32) * vectors[1].astype(np.float32)).sum(axis=1)
    reached = max((reach.score for reach in comparison.reach.values()), default=-1.0)
    review = min((test.review_score for test in comparison.persons), default=-1.0)
    bulk = next((test.bulk for test in comparison.persons), None)
    if bulk is not None:
        review = bulk.location + bulk.scale * review
    return np.asarray(similarity >= max(reached, review), np.bool_)


def _close(copies: Ints, datasets: list[Dataset], comparison: Comparison) -> npt.NDArray[np.bool_]:
    """Which planted copies differ in no more bits than the search reached and than likely copies do."""
    a, b = (
        np.stack(d.rows["phash"].take(pa.array(copies[:, i])).to_numpy(zero_copy_only=False))
        if len(copies)
        else np.zeros((0, tables.ORIENTATIONS), np.uint64)
        for i, d in enumerate(datasets)
    )
    bits = np.array([hamming(one, other[:1]).min() for one, other in zip(a, b, strict=True)])
    return np.asarray(bits <= min(comparison.hash_radius, ALIKE_BITS), np.bool_)
