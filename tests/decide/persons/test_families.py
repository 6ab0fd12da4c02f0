"""From p-values to decisions, and what would let strangers in."""

from __future__ import annotations

import numpy as np
import pytest

from leakscan.decide.persons import families
from leakscan.decide.persons.families import check_promise, family_q


def some(pairs: list[tuple[int, int, float]], a: int = 0, b: int = 1, settled: int = 0) -> families.Tested:
    """Pairs ``(subject in A, subject in B, p-value)``, of which the first ``settled`` are proved copies."""
    one, other, p = (np.array(column) for column in zip(*pairs, strict=True))
    return families.Tested(
        a=a, b=b, code_a=one, code_b=other, p=p.astype(float), open=np.arange(len(p)) >= settled
    )


def test_settled_pairs_leave_the_family_and_settled_subjects_do_not() -> None:
    """800 people are copied to both sides: a pair of two of them is tested among 800, not among the rest."""
    copies = [(i, i, 1e-9) for i in range(800)]
    strangers = [(0, 1, 2e-6), (2, 3, 2e-6)]
    (q,) = family_q([some([*copies, *strangers], settled=800)], {0: 801, 1: 801})
    assert q[800] > 0.4  # 1.3 false pairs as good are expected


def test_a_dataset_that_joins_brings_more_pairs_and_no_new_family() -> None:
    """The best match of a subject is sought in all other datasets together."""
    pair = some([(0, 0, 1e-7)])
    (alone,) = family_q([pair], {0: 100, 1: 100})
    none = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    others = [
        families.Tested(a=a, b=b, code_a=none[0], code_b=none[1], p=none[2], open=np.zeros(0, bool))
        for a, b in ((0, 2), (1, 2))
    ]
    together = family_q([pair, *others], {0: 100, 1: 100, 2: 900})[0]
    assert together[0] == pytest.approx(10 * alone[0], rel=0.01)


def test_a_pair_gets_the_larger_q_value_of_its_two_families() -> None:
    pairs = some([(0, 0, 1e-5), (1, 1, 1e-4), (1, 2, 1e-4), (1, 3, 1e-4)])
    (q,) = family_q([pairs], {0: 5, 1: 2_000})
    turned = families.Tested(a=1, b=0, code_a=pairs.code_b, code_b=pairs.code_a, p=pairs.p, open=pairs.open)
    assert family_q([turned], {0: 5, 1: 2_000})[0].tolist() == q.tolist()
    assert q[0] == pytest.approx(0.1, rel=0.01)  # 5 x 2,000 x 1e-5 false pairs for one discovery


def test_more_false_ones_than_promised_are_an_error_of_the_program() -> None:
    pairs = some([(0, 0, 1e-5), (1, 1, 1e-5)])
    check_promise(pairs, np.array([True, True]), (40, 40), fdr=0.01)
    with pytest.raises(AssertionError, match="expected among 2 called"):
        check_promise(pairs, np.array([True, True]), (400, 400), fdr=0.01)
    check_promise(pairs, np.array([False, False]), (400, 400), fdr=0.01)
