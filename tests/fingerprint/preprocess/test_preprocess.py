"""A film and its harmless variants come to the same canonical array."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph, is_negative, trim_frame
from leakscan.fingerprint.preprocess.volume import canonical_volume, head_centre
from leakscan.synthetic.films import draw_film
from leakscan.synthetic.heads import draw_brain


@pytest.fixture(scope="module")
def film():
    return draw_film(np.random.default_rng(3)).astype(np.float32)


@pytest.fixture(scope="module")
def brain():
    return draw_brain(np.random.default_rng(3)).astype(np.float32)


def _close(a, b, tolerance=0.03):
    return float(np.abs(a - b).mean()) < tolerance


@settings(max_examples=30)
@given(gain=st.floats(0.01, 300), offset=st.floats(-1000, 1000))
def test_gain_and_offset_of_the_grey_levels_change_nothing(film, gain, offset):
    assert _close(canonical_radiograph(film, 64), canonical_radiograph(film * gain + offset, 64), 0.01)


def test_an_inverted_film_comes_out_upright_in_grey(film):
    assert _close(canonical_radiograph(film, 64), canonical_radiograph(255 - film, 64), 0.01)
    assert not is_negative(film / 255) and is_negative(1 - film / 255)


@pytest.mark.parametrize("value", [0, 255])
def test_a_flat_frame_is_cut_off(film, value):
    framed = np.pad(film, ((20, 20), (35, 35)), constant_values=value)
    one, other = canonical_radiograph(film, 64), canonical_radiograph(framed, 64)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.98


def test_the_range_is_0_to_1_and_proportions_are_kept_by_padding(film):
    wide = canonical_radiograph(film[: film.shape[0] // 2], 64)
    assert wide.shape == (64, 64) and wide.min() >= 0 and wide.max() <= 1
    height = np.flatnonzero(wide.any(axis=1))
    assert np.ptp(height) < 60  # black above and below


def test_odd_pictures_come_through():
    for odd in (np.full((5, 7), 3.0), np.array([[np.nan, 1.0], [np.inf, 2.0]]), np.ones((1, 400))):
        out = canonical_radiograph(odd.astype(np.float32), 32)
        assert out.shape == (32, 32) and np.isfinite(out).all()


def test_trimming_leaves_a_mostly_flat_picture_alone():
    flat = np.zeros((100, 100), np.float32)
    flat[50, 50] = 1
    assert min(trim_frame(flat).shape) >= 40


def test_a_moved_head_comes_back_to_the_middle(brain):
    moved = np.zeros_like(brain)
    moved[6:, :, 5:] = brain[:-6, :, :-5]
    one = canonical_volume(brain, (3.0, 3.0, 3.0), (48, 56, 48), 4.0)
    other = canonical_volume(moved, (3.0, 3.0, 3.0), (48, 56, 48), 4.0)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.95
    assert np.allclose(head_centre(one), (np.array(one.shape) - 1) / 2, atol=1.5)


def test_voxel_size_changes_little(brain):
    coarse = brain[:, :, ::2]
    one = canonical_volume(brain, (3.0, 3.0, 3.0), (48, 56, 48), 4.0)
    other = canonical_volume(coarse, (3.0, 3.0, 6.0), (48, 56, 48), 4.0)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.9


def test_senseless_volumes_come_through():
    assert not canonical_volume(np.zeros((4, 4, 4), np.float32), (), (8, 8, 8), 4.0).any()
    odd = np.full((4, 4, 4), np.nan, np.float32)
    assert np.isfinite(canonical_volume(odd, (1.0, -1.0, 0.0), (8, 8, 8), 4.0)).all()
