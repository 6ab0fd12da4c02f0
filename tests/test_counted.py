"""Numbers in sentences are written as people write them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leakscan.counted import rounded


@given(st.floats(0, 1e15))
def test_a_number_in_a_sentence_has_no_exponent_and_is_near(value: float) -> None:
    text = rounded(value)
    if text == "less than 0.0001":
        assert 0 < value < 1e-4
        return
    assert "e" not in text
    assert abs(float(text.replace(",", "")) - value) <= 0.051 * value
