"""Where two images agree, for the eye: places of two films, and parts of two volumes."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from leakscan.errors import LeakscanError
from leakscan.fingerprint.encoders.film.detail_grid import GRID, KEY_DIM, KEYS, as_numbers
from leakscan.fingerprint.encoders.film.detail_matcher import FILE, DeferredMatcher
from leakscan.fingerprint.encoders.registry import card_for, cards
from leakscan.fingerprint.preprocess.radiograph import canonical_place, canonical_radiograph

_REACH = 2  # places that a like may lie away: a seventh of the film
_MARKED = 60
_LIKE = 0.9  # cosine of the keys of two places: of films of strangers few reach it
_EMPTY = 4.0  # grey levels of 255 by which a place with anatomy varies at least
_AROUND = 9  # voxels of a frame that local contrast is taken over
_STEP = 3  # voxels of a frame for one cell of the agreement
_FAINT = 0.15  # of the usual contrast, below which there is nothing to agree

Floats = npt.NDArray[np.float32]


class FilmPlaces:
    """Tells which places of two chest films look alike, by the networks that match details.

    Args:
        preferred: The name of the encoder whose networks are taken; ``None`` for the shipped one.

    Example::

        FilmPlaces(None)(film_a, film_b).shape  # (n, 5)
    """

    def __init__(self, preferred: str | None) -> None:
        self._preferred = preferred

    @cached_property
    def name(self) -> str:
        """What the networks are named by; empty where there are none."""
        return self._matcher.digest if self._matcher else ""

    @cached_property
    def _matcher(self) -> DeferredMatcher | None:
        try:
            known = self._preferred if self._preferred in cards() else None
            found = card_for("chest_radiograph", known)
            return DeferredMatcher(found[1] / FILE) if found and (found[1] / FILE).is_file() else None
        except LeakscanError:
            return None

    def __call__(self, a: Floats, b: Floats) -> Floats:
        """The places that agree best, both ways round, best first.

        Args:
            a: The pixels of one film, ``(height, width)``.
            b: Those of the other.

        Returns:
            ``(n, 5)``: x and y in the file of a, x and y in that of b, and the cosine of the two places.
            None where there are no networks.
        """
        if self._matcher is None:
            return np.zeros((0, 5), np.float32)
        side = self._matcher.side
        canonical = [np.rint(canonical_radiograph(film, side) * 255).astype(np.uint8) for film in (a, b)]
        details = as_numbers(self._matcher.describe(np.stack(canonical)))
        keys = details[..., : KEYS * KEY_DIM].reshape(2, -1, GRID * GRID, KEYS, KEY_DIM)
        alike = np.einsum("epkd,eqkd->pq", keys[0], keys[1]) / (keys.shape[1] * KEYS)
        inside = [_inside(film) for film in canonical]
        alike[~(_near() & inside[0][:, None] & inside[1][None, :])] = -1.0
        there, back = alike.argmax(axis=1), alike.argmax(axis=0)
        own = np.arange(len(there))
        best = alike[own, there]
        chosen = own[(back[there] == own) & (best >= _LIKE)]
        chosen = chosen[np.argsort(-best[chosen], kind="stable")][:_MARKED]
        places = [_in_file(at, film, side) for at, film in ((chosen, a), (there[chosen], b))]
        return np.asarray(np.column_stack([*places, best[chosen]]), np.float32)


def _near() -> npt.NDArray[np.bool_]:
    """``(places, places)``: whether a place of one film lies near a place of the other."""
    row, column = np.divmod(np.arange(GRID * GRID), GRID)
    away = np.maximum(np.abs(row[:, None] - row), np.abs(column[:, None] - column))
    return np.asarray(away <= _REACH)


def _inside(canonical: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """``(places,)``: where the film shows something; the black beside a body is alike on all films."""
    cell = len(canonical) // GRID
    blocks = canonical.reshape(GRID, cell, GRID, cell).astype(np.float32)
    return np.asarray(blocks.std(axis=(1, 3)).ravel() > _EMPTY)


def _in_file(places: npt.NDArray[np.int64], film: Floats, side: int) -> npt.NDArray[np.float64]:
    """``(n, 2)``: the middles of places as x and y in the film's file."""
    row, column = np.divmod(places, GRID)
    middle = (np.column_stack([column, row]) + 0.5) * (side / GRID)
    matrix = canonical_place(film, side)
    return np.asarray(middle @ matrix[:, :2].T + matrix[:, 2])


def agreeing_parts(a: Floats, b: Floats) -> Floats:
    """How well two volumes on one frame agree around each place: the correlation of local contrast.

    Args:
        a: One volume, ``(x, y, z)``.
        b: The other, of the same shape.

    Returns:
        ``(x, y, z)`` with a third of the steps along each axis, -1..1; 0 where one has no contrast.

    Example:
        >>> head = np.random.default_rng(0).random((30, 30, 30), np.float32)
        >>> head[:15] = 0
        >>> found = agreeing_parts(head, head)
        >>> found.shape, float(found[8, 5, 5].round(2)), float(found[1, 5, 5])
        ((10, 10, 10), 1.0, 0.0)
    """
    mean_a, mean_b = (ndimage.uniform_filter(v, _AROUND) for v in (a, b))
    power_a, power_b = (
        np.maximum(ndimage.uniform_filter(v * v, _AROUND) - m * m, 0.0) for v, m in ((a, mean_a), (b, mean_b))
    )
    both = ndimage.uniform_filter(a * b, _AROUND) - mean_a * mean_b
    least_a, least_b = (max(_FAINT**2 * float(v.var()), 1e-12) for v in (a, b))
    seen = (power_a > least_a) & (power_b > least_b)
    found = np.where(seen, both / np.sqrt(np.maximum(power_a * power_b, 1e-24)), 0.0)
    middle = _STEP // 2
    return np.asarray(np.clip(found[middle::_STEP, middle::_STEP, middle::_STEP], -1, 1), np.float32)
