"""Text that was burnt into pictures is covered where pictures are shown, and hardly anything else is."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from leakscan.fingerprint.burnt_in import covered, find_text
from leakscan.research.burnt_in_text import measure
from leakscan.synthetic.films import draw_film
from support.makers import NO_ENCODER, Leakscan, save


def with_name(seed: int) -> np.ndarray:
    film = np.asarray(draw_film(np.random.default_rng(seed), height=260), np.uint8).copy()
    film[:24, :120] = 0
    cv2.putText(film, "DOE^JANE", (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1, cv2.LINE_AA)
    return film


def test_drawn_text_is_covered_and_anatomy_is_not() -> None:
    recall, beside, bare = measure(12, seed=77)
    assert recall >= 0.95
    assert beside <= 0.05  # of 12 films; 0.02 of many, see docs/privacy.md
    assert bare <= 0.005


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_it_does_not_depend_on_the_range_of_tones(kind: type) -> None:
    film = with_name(1)
    scaled = film.astype(kind) * (200 if kind is not np.uint8 else 1)
    assert np.array_equal(find_text(film.astype(np.float32)), find_text(scaled.astype(np.float32)))


@pytest.mark.parametrize("shape", [(1, 1), (2, 500), (7, 3), (64, 64)])
def test_any_shape_and_flat_pictures_are_left_as_they_are(shape: tuple[int, int]) -> None:
    flat = np.full(shape, 7, np.float32)
    assert np.array_equal(covered(flat), flat)
    assert find_text(np.random.default_rng(0).random(shape).astype(np.float32)).shape == shape


def shown(run: Path) -> list[np.ndarray]:
    """The pictures of a report."""
    page = (run / "report.html").read_text(encoding="utf-8")
    packed = re.findall(r"data:image/(?:webp|jpeg|png);base64,([A-Za-z0-9+/=]+)", page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("L")) for text in packed]


def test_reports_and_previews_cover_it_unless_they_are_asked_not_to(
    tmp_path: Path, leakscan: Leakscan
) -> None:
    import pyarrow.parquet as pq

    film = with_name(2)
    save(tmp_path / "A" / "1.png", film)
    save(tmp_path / "B" / "1.tif", film)

    def lit(picture: np.ndarray) -> int:
        height, width = picture.shape
        corner = picture[: round(height * 24 / 260), : round(width * 110 / film.shape[1])]
        return int((corner > 150).sum())

    leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    pictures = shown(tmp_path / "run")
    assert pictures and max(map(lit, pictures)) == 0
    bare = leakscan("compare", "A", "B", "-o", "bare", "--no-mask", "--json", *NO_ENCODER)
    assert min(map(lit, shown(tmp_path / "bare"))) > 30
    assert any("burnt into pictures" in warning for warning in bare.json["warnings"])
    for mask, expected in (("--mask", False), ("--no-mask", True)):
        ran = leakscan("fingerprint", "A", "-o", "a.fps", "--with-previews", mask, "--json", *NO_ENCODER)
        assert bool([w for w in ran.json["warnings"] if "burnt into pictures" in w]) == expected
        newest = sorted((tmp_path / "a.fps" / "shards").glob("*.parquet"))[-1]
        (preview,) = pq.read_table(newest)["preview"].to_pylist()
        assert (lit(np.asarray(Image.open(io.BytesIO(preview)).convert("L"))) > 30) == expected
