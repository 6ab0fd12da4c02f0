"""The order of a run's pairs: leaks, reviews, cleared; each by probability, whatever they compare."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from leakscan.decide.order import most_probable_first
from leakscan.run.reported import decide_and_report
from leakscan.tables import PAIRS, from_rows
from support.made_up_encoder import made_up_context
from support.simulated_people import dataset, films, people

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def rows() -> Rows:
    """The pairs of a run of three datasets of 230 films, 25 of them of people who are in all three."""
    sides = [
        dataset(f"d{seed}-", np.concatenate([films(seed, people(1, 25), 0.9), people(seed + 1, 205)]))
        for seed in (3, 5, 7)
    ]
    return decide_and_report(sides, made_up_context(), None).pairs.to_pylist()


@pytest.mark.parametrize("decision", ["leak", "review"])
def test_the_most_probable_pair_comes_first_whichever_comparison_it_is_of(rows: Rows, decision: str) -> None:
    own = [row for row in rows if row["decision"] == decision]
    likely = [row["probability"] for row in own]
    assert len(set(likely)) > 2
    assert likely == sorted(likely, reverse=True)
    couples = [(row["dataset_a"], row["dataset_b"]) for row in own]
    assert couples != sorted(couples)  # the comparisons are not one after another


def test_leaks_come_before_reviews(rows: Rows) -> None:
    decisions = [row["decision"] for row in rows]
    assert decisions == sorted(decisions)
    assert set(decisions) == {"leak", "review"}


def test_among_equally_likely_pairs_the_stronger_comes_first(rows: Rows) -> None:
    for one, other in pairwise(rows):
        if (one["decision"], one["probability"]) == (other["decision"], other["probability"]):
            assert one["p_value"] <= other["p_value"]


def test_likely_copies_that_nothing_could_judge_come_before_pairs_with_a_probability() -> None:
    pairs = [
        {"image_a": name, "decision": decision, "relation": relation, "probability": probability}
        for name, decision, relation, probability in (
            ("cleared", "cleared", "same_pixels", 1.0),
            ("unlikely", "review", "same_subject", 0.1),
            ("nobody knows", "review", "same_subject", None),
            ("likely", "review", "same_subject", 0.9),
            ("looks like a copy", "review", "same_image", None),
            ("leak", "leak", "same_subject", 0.98),
            ("proof", "leak", "same_file", 1.0),
        )
    ]
    assert most_probable_first(from_rows(pairs, PAIRS))["image_a"].to_pylist() == [
        "proof",
        "leak",
        "looks like a copy",
        "likely",
        "unlikely",
        "nobody knows",
        "cleared",
    ]
