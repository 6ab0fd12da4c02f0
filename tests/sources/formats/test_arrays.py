"""NumPy files whose arrays are pictures, in the shapes that people keep them in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leakscan.settings import DecodeOptions
from leakscan.sources.formats import decode
from leakscan.sources.open import open_source
from leakscan.types import Silent
from support.makers import Picture, scene

OPTIONS = DecodeOptions(arrays="pictures")


@pytest.mark.parametrize(
    ("shape", "count"),
    [
        (lambda p: p, 1),
        (lambda p: p[..., None], 1),
        (lambda p: np.stack([p, p[::-1]])[..., None], 2),
        (lambda p: np.stack([p, p[::-1]])[:, None], 2),
        (lambda p: np.stack([p] * 3, axis=-1), 1),
        (lambda p: np.asfortranarray(p.astype(">u2")), 1),
    ],
    ids=["one", "a last axis of one", "several of one channel", "channels first", "colours", "by columns"],
)
def test_the_shape_of_an_array_says_how_many_pictures_it_holds(tmp_path: Path, shape, count: int) -> None:
    picture: Picture = scene(1)
    np.save(tmp_path / "films.npy", shape(picture))
    refs = list(open_source(str(tmp_path), OPTIONS).scan(Silent()))
    assert len(refs) == count
    assert np.array_equal(decode(refs[0], OPTIONS).stored, picture)
