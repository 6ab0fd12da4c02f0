"""The figures of a card: what few films cannot support is left out, whatever their number."""

from __future__ import annotations

import numpy as np
import pytest

from leakscan.training.shipping.figures import figures
from support.makers import unit_vectors


def test_enough_films_support_every_figure() -> None:
    own = unit_vectors(0, 60, 32)
    noise = unit_vectors(1, 120, 32) * 0.05
    prints = np.concatenate([own, own]) + noise
    prints = (prints / np.linalg.norm(prints, axis=1, keepdims=True)).astype(np.float32)
    found = figures(prints, np.array([f"s{i}" for i in range(60)] * 2))
    assert (found["films"], found["subjects"], found["subjects_with_two_or_more"]) == (120, 60, 60)
    assert found["impostor_pairs"] == 120 * 119 // 2 - 60
    assert found["auc"] == found["precision_at_1"] == found["20_way_1_shot"] == 1
    assert found["tar_at_fmr"] == {"0.01": 1.0}  # 7,080 pairs: seven beyond 1e-3 are too few
    assert found["tar_at_fmr_0.001_interval_95"] == [1, 1]


@pytest.mark.parametrize(
    ("subjects", "missing"),
    [
        (["a", "a", "b", "b"], {"tar_at_fmr_0.001_interval_95", "20_way_1_shot"}),
        (["a", "a", "a"], {"auc", "tar_at_fmr_0.001_interval_95", "precision_at_1", "20_way_1_shot"}),
        (["a", "b"], {"auc", "tar_at_fmr_0.001_interval_95", "precision_at_1", "20_way_1_shot"}),
        (
            [f"s{i}" for i in range(50)],
            {"auc", "tar_at_fmr_0.001_interval_95", "precision_at_1", "20_way_1_shot"},
        ),
    ],
    ids=["two subjects", "one subject", "one film each", "many of one film"],
)
def test_what_few_films_cannot_support_is_none(subjects: list[str], missing: set[str]) -> None:
    found = figures(unit_vectors(3, len(subjects), 16), np.array(subjects))
    assert {name for name, value in found.items() if value is None} == missing
    assert found["tar_at_fmr"] == {}
