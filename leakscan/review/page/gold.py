"""Hidden pairs with known answers, which measure how often a reviewer errs.

"Same" is an image of the run beside an altered copy of it, made in memory. "Different" are two images of
subjects whom one dataset tells apart, chosen so that their fingerprints are much alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from leakscan import tables
from leakscan.report.run_folder import RunFolder
from leakscan.review.page.deck import Deck, FoundPair, ReviewCard, RunImage, Who
from leakscan.synthetic import alterations
from leakscan.types import DecodedImage

_ASKED = 600  # images among which pairs of different subjects are sought

People = Mapping[Who, tuple[RunImage, ...]]
Change = Callable[[npt.NDArray[Any], np.random.Generator], npt.NDArray[Any]]

CHANGES: Mapping[str, tuple[Change, ...]] = {
    "mirrored, brighter or darker": (alterations.mirror, alterations.brightness),
    "cropped, with another gamma": (partial(alterations.crop, share=0.2), alterations.gamma),
    "turned by 3 degrees, equalised": (alterations.turn_3, alterations.clahe),
    "turned by a quarter": (alterations.turn_90, alterations.gamma),
    "black for white, half the size": (alterations.inversion, alterations.half_size),
}
"""What is done to a film, by what a reviewer reads afterwards."""

VOLUME_CHANGES = "mirrored, with another gamma"


@dataclass(frozen=True, kw_only=True)
class GoldPair:
    """One hidden pair.

    Attributes:
        card: The card under which it stands among the others.
        answer: What is right: ``same`` or ``different``.
        how: What was done, for the reviewer to read afterwards.
        made_from: The key of the image that was altered, and the name of the change; ``None`` where both
            images are the run's.
    """

    card: ReviewCard
    answer: str
    how: str
    made_from: tuple[RunImage, str] | None = None


def gold_pairs(folder: RunFolder, deck: Deck, n: int) -> list[GoldPair]:
    """Hidden pairs for a run, half of them of one person if that can be had.

    Args:
        folder: The run folder.
        deck: Its cards.
        n: How many pairs. There are fewer where the run has too few images.

    Example::

        hidden = gold_pairs(RunFolder.open(Path("run")), deck, n=20)
        sum(gold.answer == "same" for gold in hidden)
    """
    images = list({image.picture: image for card in deck for image in card.images}.values())
    images.sort(key=lambda image: blake3(image.key.encode()).digest())
    people = {who: own for card in deck for who, own in _people(card)}
    strangers = _strangers(folder, images[:_ASKED], deck, people)
    copies = [_copy(image, i, people) for i, image in enumerate(images[:n])]
    mixed = [gold for two in zip_longest(copies, strangers) for gold in two if gold is not None]
    return mixed[:n]


def altered(image: DecodedImage, how: str, seed: str) -> DecodedImage:
    """An image as a hidden pair shows it.

    Args:
        image: The image of the run.
        how: A key of :data:`CHANGES`, or :data:`VOLUME_CHANGES`.
        seed: Decides every draw.

    Example:
        >>> film = np.random.default_rng(0).random((40, 30), np.float32)
        >>> altered(DecodedImage(film, film), "turned by a quarter", "s").values.shape
        (30, 40)
    """
    rng = np.random.default_rng(list(blake3(seed.encode()).digest()[:8]))
    values = np.nan_to_num(image.values)
    low, high = (
        float(v)
        for v in np.percentile(values[tuple(slice(None, None, 2) for _ in values.shape)], (0.5, 99.5))
    )
    levels = np.clip((values - low) * (65535.0 / max(high - low, 1e-12)), 0, 65535).astype(np.uint16)
    if values.ndim == 3:
        film = alterations.gamma(levels[::-1], rng)
    else:
        film = levels
        for change in CHANGES[how]:
            film = np.ascontiguousarray(change(film, rng))
    return DecodedImage(film, film.astype(np.float32), image.spacing_mm)


def _people(card: ReviewCard) -> list[tuple[Who, tuple[RunImage, ...]]]:
    return [(card.who_a, card.images_a), (card.who_b, card.images_b)]


def _copy(image: RunImage, i: int, people: People) -> GoldPair:
    how = VOLUME_CHANGES if image.ndim == 3 else list(CHANGES)[i % len(CHANGES)]
    copy = replace(image, key=_key("copy", image.key, how))
    card = _card("copy", (image, *_others(image, people)), (copy,))
    return GoldPair(card=card, answer="same", how=f"a copy, {how}", made_from=(image, how))


def _strangers(folder: RunFolder, images: Sequence[RunImage], deck: Deck, people: People) -> list[GoldPair]:
    """Different declared subjects of one dataset, the most alike first; every image once."""
    declared = [image for image in images if image.row["subject"]]
    if len(declared) < 2:
        return []
    linked = {image.key: card.group for card in deck if card.group for image in card.images}
    vectors = _fingerprints(folder, declared)
    candidates: list[tuple[float, RunImage, RunImage]] = []
    for i, a in enumerate(declared):
        for b in declared[i + 1 :]:
            apart = a.dataset == b.dataset and a.who != b.who and a.ndim == b.ndim
            # A leak may show that two declared subjects are one person.
            if not apart or (a.key in linked and linked[a.key] == linked.get(b.key)):
                continue
            one, other = vectors.get(a.key), vectors.get(b.key)
            alike = (
                float(one @ other)
                if one is not None and other is not None and len(one) == len(other)
                else 0.0
            )
            candidates.append((alike, a, b))
    candidates.sort(key=lambda found: (-found[0], found[1].key, found[2].key))
    used: set[str] = set()
    out = []
    for _, a, b in candidates:
        if a.key in used or b.key in used:
            continue
        used |= {a.key, b.key}
        how = f"two subjects whom {a.dataset} tells apart"
        sides = ((image, *_others(image, people)) for image in (a, b))
        out.append(GoldPair(card=_card("strangers", *sides), answer="different", how=how))
    return out


def _fingerprints(folder: RunFolder, images: Sequence[RunImage]) -> dict[str, npt.NDArray[np.float32]]:
    table = folder.read(tables.FINGERPRINTS)
    wanted = {(image.dataset, image.image_id): image.key for image in images}
    ids = pa.array(sorted({image.image_id for image in images}), pa.string())
    found = table.filter(pc.is_in(table["image_id"], ids))
    return {
        wanted[row["dataset"], row["image_id"]]: np.asarray(row["fingerprint"], np.float32)
        for row in found.select(["dataset", "image_id", "fingerprint"]).to_pylist()
        if row["fingerprint"] is not None and (row["dataset"], row["image_id"]) in wanted
    }


def _others(image: RunImage, people: People) -> list[RunImage]:
    """The other images of the same person: a hidden card must not stand out by having one image alone."""
    return [other for other in people[image.who] if other.key != image.key]


def _card(kind: str, left: tuple[RunImage, ...], right: tuple[RunImage, ...]) -> ReviewCard:
    """A card like any other; its one pair, of the first images, says nothing of relation or evidence."""
    a, b = left[0], right[0]
    key = _key(kind, a.key, b.key)
    row = dict.fromkeys(tables.PAIRS.names) | {
        "relation": "same_subject",
        "decision": "review",
        "evidence": [],
    }
    pair = FoundPair(number=-1, key=_key(kind, "pair", key), a=a, b=b, row=row)
    return ReviewCard(key=key, who_a=a.who, who_b=b.who, pairs=(pair,), images_a=left, images_b=right)


def _key(*parts: str) -> str:
    return blake3(" ".join(("gold", *parts)).encode()).hexdigest()[:16]


def gold_rates(answers: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """How often a reviewer erred on pairs with known answers.

    Args:
        answers: The right answer (``same`` or ``different``) and what the reviewer said, pair by pair.

    Returns:
        ``judged`` and ``unsure`` (counts); ``same`` and ``different``: how many such pairs were judged
        surely, and how many of them wrongly.

    Example:
        >>> gold_rates([("same", "same"), ("same", "different"), ("different", "different")])["same"]
        {'judged': 2, 'wrong': 1}
    """
    sure = [(right, said) for right, said in answers if said != "unsure"]
    out: dict[str, Any] = {"judged": len(answers), "unsure": len(answers) - len(sure)}
    for answer in ("same", "different"):
        own = [said for right, said in sure if right == answer]
        out[answer] = {"judged": len(own), "wrong": sum(said != answer for said in own)}
    return out
