"""Many comparisons that came to the same are told once. Imports nothing: the command line starts with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NAMED = 6  # comparisons of which the same is said that are still named one by one


def words_by_comparison(comparisons: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Names of comparisons and what to say of them; many that came to the same are named once.

    Args:
        comparisons: The comparisons of ``summary.json``.

    Example:
        >>> same = [{"a": "train", "b": f"site {n}", "words": ["Nothing was compared."]} for n in range(9)]
        >>> words_by_comparison(same)
        [('train × site 0 and 8 other comparisons', ['Nothing was compared.'])]
    """
    alike: dict[tuple[str, ...], list[str]] = {}
    for c in comparisons:
        alike.setdefault(tuple(c["words"]), []).append(f"{c['a']} × {c['b']}")
    out = []
    for words, names in alike.items():
        many = len(names) > _NAMED
        shown = [f"{names[0]} and {len(names) - 1:,} other comparisons"] if many else names
        out += [(name, list(words)) for name in shown]
    return out
