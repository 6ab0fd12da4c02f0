"""Alignment is measured on the same few volumes as the fingerprint that proposes them."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from leakscan.research.fold_figures import align_nearest


class Table:
    """A network whose agreements are given."""

    def __init__(self, agreed: Any) -> None:
        self.agreed = agreed
        self.asked = 0

    def agreement(self, fixed: Any, moving: Any) -> float:
        self.asked += 1
        return float(self.agreed[moving, fixed])


def test_an_alignment_that_knows_better_puts_right_what_is_among_the_nearest_and_nothing_else() -> None:
    n = 12
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, 0.2, (n, n)).astype(np.float32)
    np.fill_diagonal(scores, 0.5)
    scores[0, 3], scores[0, 0] = 0.6, 0.55  # second nearest: alignment may put it first
    scores[1, 1] = -1.0  # not among the nearest: it may not
    net = Table(np.eye(n) - 0.1)
    people = cast(Any, list(range(n)))
    aligned, fingerprint = align_nearest(cast(Any, net), people, people, scores)
    assert aligned["P@1"] == [(n - 1) / n]
    assert fingerprint["P@1"] == [(n - 2) / n]
    assert aligned["above every stranger"] == [1.0]
    # One stranger lies at 0.6, above everybody's own.
    assert fingerprint["above every stranger"] == [0.0]
    assert net.asked == 5 * n + 1
