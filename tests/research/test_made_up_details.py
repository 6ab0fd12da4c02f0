"""Detail matches of made-up films lie as those of real films whose fingerprints are as alike."""

from __future__ import annotations

import numpy as np
import pytest

from leakscan.decide.copies import NOT_ALIGNED
from leakscan.research.made_up_details import DrawnMatches, RealMatches


@pytest.fixture(scope="module")
def strangers() -> RealMatches:
    """Details match better by 10 for a unit of the score, with a spread of 0.5."""
    rng = np.random.default_rng(0)
    score = rng.uniform(0.5, 0.7, 3000)
    return RealMatches.of(score, 10.0 * score - 8.0 + 0.5 * rng.normal(size=3000))


def test_drawn_matches_lie_as_real_ones_do_and_go_on_beyond_them(strangers: RealMatches) -> None:
    luck = np.random.default_rng(1).random(4000)
    for score, mean in ((0.6, -2.0), (0.9, 1.0)):
        drawn = strangers.drawn(np.full(4000, score), luck)
        assert drawn.mean() == pytest.approx(mean, abs=0.15)
        assert drawn.std() == pytest.approx(0.5, abs=0.1)


def test_the_same_two_films_match_alike_in_either_order_and_no_pair_is_a_copy(strangers: RealMatches) -> None:
    prints = np.eye(4, dtype=np.float32) + 0.5
    prints /= np.linalg.norm(prints, axis=1, keepdims=True)
    same = RealMatches.of(np.array([0.6, 0.8]), np.array([5.0, 5.0]))
    memory = DrawnMatches({"a": prints, "b": prints}, 2, strangers, same)
    pairs = [("a-3", "b-2"), ("b-2", "a-3"), ("a-1", "b-1"), ("a-2", "b-2"), ("a-0", "a-3")]
    found = memory.detail_matches("any", pairs)
    assert found["a-3", "b-2"] == found["b-2", "a-3"]
    assert found["a-1", "b-1"] == pytest.approx(5.0)  # the second person stands on both sides
    assert max(found[p] for p in pairs if p != ("a-1", "b-1")) < 4.9  # nobody else does
    assert memory.detail_matches("any", pairs[:1])["a-3", "b-2"] == found["a-3", "b-2"]
    assert set(memory.copy_checks(pairs).values()) == {NOT_ALIGNED}
