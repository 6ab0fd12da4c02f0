"""Several declared images of a subject decide together: what `evaluate` says they gain."""

from __future__ import annotations

import numpy as np
import pytest

from leakscan.evaluation.compared_rates import Figure
from leakscan.evaluation.fusion import SHOTS, draw_shots, fused_figures, too_few
from leakscan.subject_bootstrap import subject_draws


def people(subjects: int, films: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(subjects), films)
    vectors = rng.normal(size=(subjects, 16))[codes] + noise * rng.normal(size=(subjects * films, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), codes


def found(vectors: np.ndarray, codes: np.ndarray) -> dict[str, Figure]:
    draws = subject_draws(int(codes.max()) + 1, 50)
    return {figure.metric: figure for figure in fused_figures(vectors, codes, draws)}


def test_more_images_find_more_and_one_is_measured_on_the_same_subjects() -> None:
    figures = found(*people(200, 6, 0.8))
    for shots in SHOTS:
        one, together = (figures[f"{rule}_{shots}.tar@fmr=0.001"].estimate for rule in ("one_of", "fused"))
        assert together.value > one.value
        assert together.n_subjects == one.n_subjects == 200
        assert one.low <= one.value <= one.high
    values = [figures[f"fused_{shots}.tar@fmr=0.001"].estimate.value for shots in SHOTS]
    assert values == sorted(values)


@pytest.mark.parametrize("shots", SHOTS)
def test_an_image_never_answers_its_own_question(shots: int) -> None:
    _, codes = people(40, 6, 1.0)
    codes[: 6 * 10] = np.arange(60) + 100  # ten people less, sixty with one image
    drawn = draw_shots(np.unique(codes, return_inverse=True)[1], shots)
    whose = np.unique(codes, return_inverse=True)[1]
    assert len(drawn.able) == 30
    assert len(drawn.asking) == 90
    for support, query in zip(drawn.support, drawn.query, strict=True):
        assert (whose[support] == drawn.able[:, None]).all()
        assert (whose[query] == drawn.asking).all()
        own = query[np.searchsorted(drawn.asking, drawn.able)]
        assert not (support == own[:, None]).any()
        assert all(len(set(row)) == shots for row in support.tolist())


def test_rates_that_the_impostors_do_not_carry_are_left_out_and_few_subjects_are_said() -> None:
    vectors, codes = people(12, 4, 0.5)
    figures = found(vectors, codes)
    assert not figures  # 12 x 11 impostor pairs: not ten beyond 1e-3
    assert too_few(codes) == ["fused_5: needs 10 subjects with 6 images; there are 0"]
