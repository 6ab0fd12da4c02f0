"""The order of pairs: leaks, then what is for review, then what is cleared, the most probable first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leakscan.decide.relation import DECISIONS
from leakscan.types import RELATIONS

_DECISIONS = (*(name for name in DECISIONS if name != "cleared"), "cleared")

Floats = npt.NDArray[np.float64]


def unlikeliness(probability: Floats, copy: npt.NDArray[np.bool_]) -> Floats:
    """A number that sorts the likeliest pairs first.

    Where no fingerprint tells a probability, a likely copy comes before all pairs that have one, because
    nothing but a copy looks so, and every other pair comes after them.

    Args:
        probability: ``(n,)``, NaN where there is none.
        copy: ``(n,)`` which pairs look like copies.

    Example:
        >>> unlikeliness(np.array([0.2, 0.9, np.nan, np.nan]), np.array([0, 0, 0, 1], bool)).tolist()
        [-0.2, -0.9, 1.0, -2.0]
    """
    unknown = np.where(copy, -2.0, 1.0)
    return np.where(np.isnan(probability), unknown, -probability)


def most_probable_first(pairs: pa.Table) -> pa.Table:
    """Pairs by decision and probability; among equals the strongest relation and the least p-value go first.

    Pairs that are equal in all of these stay in their order.

    Args:
        pairs: Rows with the columns ``decision``, ``probability``, ``relation``, ``p_value`` and ``distance``
            of ``tables.PAIRS``.

    Example:
        >>> rows = {"decision": ["review", "review", "leak"], "probability": [0.69, 0.96, 1.0],
        ...         "relation": ["same_subject"] * 3, "p_value": [1e-5, 1e-4, 1e-6], "distance": [0.4] * 3}
        >>> most_probable_first(pa.table(rows))["probability"].to_pylist()
        [1.0, 0.96, 0.69]
    """
    relation = _places(pairs["relation"], RELATIONS)
    probability, p_value, distance = (
        pairs[name].to_numpy().astype(np.float64) for name in ("probability", "p_value", "distance")
    )
    order = np.lexsort(
        (
            np.nan_to_num(distance, nan=2.0),
            np.nan_to_num(p_value, nan=1.0),
            relation,
            unlikeliness(probability, relation < RELATIONS.index("same_subject")),
            _places(pairs["decision"], _DECISIONS),
        )
    )
    return pairs.take(pa.array(order))


def _places(words: pa.ChunkedArray, known: tuple[str, ...]) -> npt.NDArray[np.int64]:
    return np.asarray(pc.index_in(words, pa.array(known, pa.string())).to_numpy(), np.int64)
