"""Where nobody is declared, pairs inside large datasets say how alike strangers are; repeats there only make
a run careful.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from leakscan.decide.calibration.own_tail import Ranks
from leakscan.decide.persons import deciding
from leakscan.decide.persons.met_strangers import MetTail
from leakscan.research.made_up_merges import side_of
from leakscan.run.reported import decide_and_report
from support.made_up_encoder import ENCODER, made_up_context

SIDE, SHARED = 1_500, 60
INSIDE = SIDE * (SIDE - 1)  # pairs inside two datasets


def ranks_of(
    monkeypatch: pytest.MonkeyPatch, declared: bool = False, repeated: int = 0, side: int = SIDE
) -> Ranks | None:
    """Decides about two datasets of strangers but for some shared people, so many of whom have two films in
    the first; what ranks the rates of the run held.
    """
    rng = np.random.default_rng(4)
    people = rng.normal(size=(2 * side, 128))
    a, b = people[:side].copy(), np.concatenate([people[:SHARED], people[side : 2 * side - SHARED]])
    a[side - repeated :] = a[:repeated] + 0.4 * rng.normal(size=(repeated, 128))
    prints = [(m / np.linalg.norm(m, axis=1, keepdims=True)).astype(np.float32) for m in (a, b)]
    sides = [side_of(name, p, ENCODER, declared=declared) for name, p in zip("ab", prints, strict=True)]
    seen: list[Any] = []
    evidence_of = deciding.evidence_of

    def noted(*arguments: Any) -> Any:
        seen.append(evidence_of(*arguments))
        return seen[-1]

    monkeypatch.setattr(deciding, "evidence_of", noted)
    decide_and_report(sides, made_up_context(), None)
    met: MetTail | None = seen[0].rates.met
    return None if met is None else met.ranks


def test_all_pairs_inside_both_datasets_are_ranked_and_shared_people_are_not_among_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ranks = ranks_of(monkeypatch)
    assert ranks is not None
    assert ranks.pairs == INSIDE
    assert ranks.highest[-1] < np.log(INSIDE) + 5


def test_repeated_people_inside_a_dataset_stand_before_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = ranks_of(monkeypatch, repeated=50)
    assert ranks is not None
    assert ranks.highest[-50] > np.log(INSIDE) + 5
    assert float(ranks.p_value(np.array([np.log(INSIDE) + 5]))[0]) == pytest.approx(51 / INSIDE, rel=0.05)


@pytest.mark.parametrize(("declared", "side"), [(True, SIDE), (False, 1_400)])
def test_declared_and_small_datasets_need_no_such_ranks(
    monkeypatch: pytest.MonkeyPatch, declared: bool, side: int
) -> None:
    assert ranks_of(monkeypatch, declared=declared, side=side) is None


def test_the_smaller_of_fit_and_rank_is_the_rate() -> None:
    tail = MetTail(
        start=9.0,
        middle=10.0,
        share=1e-4,
        slope=1.2,
        error=0.0,
        level_error=0.0,
        least=1e-14,
        alone=True,
        ranks=Ranks((11.0, 12.0, 14.0), pairs=10**8),
    )
    fit = 1e-4 * np.exp(-(np.array([10.0, 13.0, 30.0]) - 9.0) / 1.2)
    found = tail.rate([10.0, 13.0, 30.0]).tolist()
    assert found == pytest.approx([fit[0], 2e-8, fit[2]], rel=1e-9, abs=0)
