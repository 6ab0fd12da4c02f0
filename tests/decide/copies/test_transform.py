"""Promises of the words for what was done to a picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakscan.decide.copies import INVERSE_WORDS, CopyCheck
from leakscan.decide.copies.transform import coverage, inverse, nearest_turn, words

TURNS = {
    "": lambda p: p,
    "rot90": lambda p: np.rot90(p, 1),
    "rot180": lambda p: np.rot90(p, 2),
    "rot270": lambda p: np.rot90(p, 3),
    "hflip": lambda p: p[:, ::-1],
    "vflip": lambda p: p[::-1],
    "transpose": lambda p: p.T,
    "antitranspose": lambda p: np.rot90(p, 2).T,
}


def linear_of(turn: str) -> np.ndarray:
    """The map of (x, y) that numpy's own turn makes, found from two marked pixels."""
    columns = []
    for step in ((0, 1), (1, 0)):
        here = []
        for at in ((2, 2), (2 + step[0], 2 + step[1])):
            marked = np.zeros((5, 5))
            marked[at] = 1
            row, column = np.argwhere(TURNS[turn](marked))[0]
            here.append(np.array([column, row]))
        columns.append(here[1] - here[0])
    return np.column_stack(columns).astype(float)


@pytest.mark.parametrize("turn", TURNS)
@given(degrees=st.floats(-40, 40), scale=st.floats(0.2, 5), stretch=st.floats(1, 1.3))
def test_a_flip_or_turn_is_named_whatever_small_turn_and_scale_come_with_it(
    turn: str, degrees: float, scale: float, stretch: float
) -> None:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    name, left, ratio = nearest_turn(
        scale * np.array([[c, -s], [s, c]]) @ linear_of(turn) @ np.diag([stretch, 1.0])
    )
    assert name == turn
    assert left == pytest.approx(degrees, abs=1e-6)
    assert ratio == pytest.approx(stretch, abs=1e-6)


@pytest.mark.parametrize("turn", TURNS)
def test_the_words_of_the_way_back_are_the_inverse_words(turn: str) -> None:
    forth, back = np.eye(3), np.eye(3)
    forth[:2, :2] = linear_of(turn)
    back[:2, :2] = inverse(linear_of(turn))
    there = words(forth, (1.0, 1.0), 1.0, False, 1.0)
    assert words(back, (1.0, 1.0), 1.0, False, 1.0) == INVERSE_WORDS.get(there, there)
    said = CopyCheck(True, 1.0, 9, there, 1.0)
    assert said.swapped().transform == INVERSE_WORDS.get(there, there)
    assert said.swapped().swapped() == said


@given(
    shift=st.tuples(st.floats(-300, 300), st.floats(-300, 300)),
    degrees=st.floats(-180, 180),
    scale=st.floats(0.2, 5),
)
def test_coverage_is_a_share_and_the_same_from_both_sides(
    shift: tuple[float, float], degrees: float, scale: float
) -> None:
    matrix = np.eye(3)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix[:2, :2] = scale * np.array([[c, -s], [s, c]])
    matrix[:2, 2] = shift
    forth = coverage((120, 100), (90, 150), matrix)
    back = coverage((90, 150), (120, 100), inverse(matrix))
    assert all(0 <= share <= 1 for share in forth)
    assert forth == pytest.approx(back[::-1], abs=0.02)


def test_coverage_of_a_crop_is_its_share_of_the_area() -> None:
    matrix = np.eye(3)
    matrix[:2, 2] = (-10, -20)  # a's pixel (10, 20) is b's first
    in_b, in_a = coverage((100, 80), (60, 40), matrix)
    assert in_b == pytest.approx(60 * 40 / 8000, abs=1e-3)
    assert in_a == pytest.approx(1.0)
