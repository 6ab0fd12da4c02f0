"""The shares of a split, from text such as ``80/10/10``."""

from __future__ import annotations

import numpy as np

from leakscan.errors import UsageError

_NAMES = {2: ("train", "test"), 3: ("train", "val", "test")}


def parse_ratios(text: str) -> dict[str, float]:
    """Shares from text such as ``80/10/10`` or ``train=0.7/test=0.3``.

    Raises:
        UsageError: It is not understood.

    Example:
        >>> parse_ratios("80/10/10")
        {'train': 0.8, 'val': 0.1, 'test': 0.1}
        >>> parse_ratios("fold0=1/fold1=1")
        {'fold0': 0.5, 'fold1': 0.5}
    """
    parts = _parts(text)
    named = [part.rpartition("=") for part in parts]
    try:
        values = [float(value) for _, _, value in named]
    except ValueError:
        values = []
    names = [name.strip() for name, _, _ in named]
    if not any(names):
        names = list(_NAMES.get(len(parts), [f"split{i}" for i in range(1, len(parts) + 1)]))
    finite = bool(values) and all(np.isfinite(v) and v > 0 for v in values)
    if not finite or len(values) < 2 or len(set(names)) < len(names) or not all(names):
        raise UsageError(
            f"The ratios {text!r} are not understood.",
            "Write at least two numbers above 0, such as 80/10/10 or train=70/test=30.",
        )
    return {name: value / sum(values) for name, value in zip(names, values, strict=True)}


def odd_total(text: str) -> str:
    """What to say of ratios that look like percentages and are not; empty where nothing is odd.

    Args:
        text: Ratios that :func:`parse_ratios` understands.

    Example:
        >>> odd_total("80/10/30")
        'The ratios add up to 120 and not to 100; they are taken as shares of 120.'
        >>> odd_total("80/10/10") + odd_total("2/1/1")
        ''
    """
    values = [float(part.rpartition("=")[2]) for part in _parts(text)]
    total = sum(values)
    if max(values) < 10 or abs(total - 100) < 0.5:
        return ""
    return f"The ratios add up to {total:g} and not to 100; they are taken as shares of {total:g}."


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.replace(",", "/").replace(":", "/").split("/")]
