"""Own strangers: every pair counted, the highest kept, and nobody taken for a stranger who is proved to be
one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from leakscan.decide.columns import Columns
from leakscan.decide.persons.own_copies import proven_one
from leakscan.decide.persons.own_strangers import OwnStrangers, own_strangers
from leakscan.decide.persons.subjects import Subjects, subjects_of, template_scores
from leakscan.fingerprint.pipeline import Dataset
from leakscan.match import index
from leakscan.match.index.approximate import ApproximateIndex
from leakscan.match.pictures import distinct_pictures
from support.made_up_encoder import calibration, made_up_context
from support.makers import store_rows, unit_vectors


def searched(images: list[dict[str, Any]]) -> tuple[Columns, Subjects, OwnStrangers]:
    dataset = Dataset("A", store_rows(images), {}, {}, "k1")
    columns = Columns(dataset, distinct_pictures(dataset.rows))
    people = subjects_of(columns.side, calibration())
    found = own_strangers(people, calibration())
    assert found is not None
    return columns, people, found


def images(subjects: int, pictures: int = 1) -> list[dict[str, Any]]:
    prints = unit_vectors(3, subjects * pictures)
    return [{"fingerprint": v, "subject": f"s{i % subjects}"} for i, v in enumerate(prints)]


def test_all_pairs_of_declared_subjects_count_and_those_without_a_name_do_not() -> None:
    _, _, found = searched([*images(60, pictures=2), {"fingerprint": unit_vectors(9, 1)[0]}])
    assert (found.subjects, found.pairs) == (60, 60 * 59 // 2)
    assert (found.first < found.second).all()


def test_no_pair_above_the_complete_score_is_missing_and_every_best_match_is_there() -> None:
    _, people, found = searched(images(120))
    everyone = np.arange(120)
    scores = np.triu(template_scores(people, people, everyone, everyone), 1)
    want = {(int(i), int(j)) for i, j in np.argwhere((scores >= found.complete) & (scores != 0))}
    got = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert want and want <= got
    templates = people.templates[:]
    full = templates @ templates.T - 2.0 * np.eye(120)
    best = {(min(i, int(j)), max(i, int(j))) for i, j in enumerate(full.argmax(axis=1))}
    assert best <= {
        pair
        for pair, of_best in zip(
            zip(found.first.tolist(), found.second.tolist(), strict=True), found.best, strict=True
        )
        if of_best
    }


def test_two_names_on_equal_pixels_are_no_strangers() -> None:
    several = images(60)
    several[0]["pixel_hash"] = several[1]["pixel_hash"] = "px1:both"
    several[1]["fingerprint"] = several[0]["fingerprint"]
    several += [{"fingerprint": unit_vectors(8, 1)[0], "subject": "s1"}]
    columns, people, found = searched(several)
    kept = proven_one(columns, people, found, made_up_context())
    assert kept.pairs == found.pairs - 1


def test_among_very_many_the_search_is_approximate_and_the_counts_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    families, rng = unit_vectors(3, 60), np.random.default_rng(0)
    prints = families[np.arange(1500) % 60] + 0.06 * rng.standard_normal((1500, families.shape[1]))
    prints /= np.linalg.norm(prints, axis=1, keepdims=True)
    rows = [{"fingerprint": v.astype(np.float32), "subject": f"s{i}"} for i, v in enumerate(prints)]
    _, _, exact = searched(rows)
    made: list[ApproximateIndex] = []
    monkeypatch.setattr(index, "EXACT_COMPARISONS", 1499**2)
    monkeypatch.setattr(
        index, "ApproximateIndex", lambda vectors, _: made.append(ApproximateIndex(vectors)) or made[-1]
    )
    _, _, found = searched(rows)
    assert len(made) == 1
    assert (found.pairs, found.subjects) == (exact.pairs, exact.subjects)
    assert found.complete == pytest.approx(exact.complete, abs=0.01)
    want, got = (set(zip(one.first.tolist(), one.second.tolist(), strict=True)) for one in (exact, found))
    assert len(got & want) >= 0.998 * len(want) and len(got - want) < 0.002 * len(want)
