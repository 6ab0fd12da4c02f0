"""Hashes agree for copies of a picture and for nothing else."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from leakscan.fingerprint.hashing import (
    ORIENTATIONS_2D,
    ORIENTATIONS_3D,
    PHASH_BITS,
    axes_exchanged,
    file_hash,
    hamming,
    is_blank,
    perceptual_hashes,
    pixel_hash,
)
from leakscan.settings import DecodeOptions
from leakscan.sources.open import open_source
from leakscan.synthetic.writers import write_dicom_film
from leakscan.types import Silent
from support.makers import Picture, save, scene

BYTES = arrays(np.uint8, array_shapes(min_dims=2, max_dims=3, max_side=6))
INTEGERS = st.sampled_from([np.uint8, np.int8, np.uint16, np.int16, np.int32, np.uint32, np.int64, np.uint64])


@given(BYTES)
def test_depth_does_not_matter(picture: Picture) -> None:
    """x257 is how 8 bits become 16 in PNG and TIFF, x16 how 8 become 12 in DICOM."""
    same = {
        pixel_hash(picture),
        pixel_hash(picture.astype(np.uint16) * 257),
        pixel_hash(picture.astype(np.uint16) * 16),
        pixel_hash(picture.astype(np.int32) - 1024),
        pixel_hash(picture.astype(np.float32)),
        pixel_hash(picture.astype(np.float64) * 3 + 7),
        pixel_hash(picture.astype(np.int64) * 2**40),
    }
    assert len(same) == 1


@given(BYTES, st.integers(-1000, 1000), st.integers(1, 50))
def test_offset_and_factor_do_not_matter(picture: Picture, offset: int, factor: int) -> None:
    assert pixel_hash(picture.astype(np.int64) * factor + offset) == pixel_hash(picture)


@given(st.data(), INTEGERS)
def test_every_integer_type_is_hashed_to_its_ends(data: st.DataObject, kind: Any) -> None:
    picture = data.draw(arrays(kind, (2, 3)))
    again = np.array([[int(v) - int(picture.min()) for v in line] for line in picture.tolist()], np.uint64)
    assert pixel_hash(picture) == pixel_hash(again)


@given(BYTES, st.data())
def test_one_changed_pixel_changes_the_hash(picture: Picture, data: st.DataObject) -> None:
    """Unless offset and factor explain it, which two levels or a lone pixel allow."""
    at = data.draw(st.integers(0, picture.size - 1))
    changed = picture.copy()
    changed.flat[at] ^= 1
    assert (pixel_hash(picture) == pixel_hash(changed)) == same_up_to_scale(picture, changed)


def same_up_to_scale(a: Picture, b: Picture) -> bool:
    def reduced(x: Picture) -> npt.NDArray[np.int64]:
        raised = x.astype(np.int64) - int(x.min())
        divisor = int(np.gcd.reduce(raised.ravel()))
        return raised // max(divisor, 1)

    return bool((reduced(a) == reduced(b)).all())


@given(BYTES)
def test_shape_matters(picture: Picture) -> None:
    assert pixel_hash(picture) != pixel_hash(picture[..., None])
    assert pixel_hash(np.arange(6).reshape(2, 3)) != pixel_hash(np.arange(6).reshape(3, 2))


def test_memory_layout_does_not_matter() -> None:
    picture = scene(1)
    assert pixel_hash(np.asfortranarray(picture)) == pixel_hash(picture)
    assert pixel_hash(picture[::-1][::-1]) == pixel_hash(picture)
    assert pixel_hash(picture.astype(">u2")) == pixel_hash(picture)


def test_the_hash_has_a_version_and_stays_what_it_was() -> None:
    """Stores of one hospital meet those of another years later: this value may never change."""
    picture = np.array([[0, 20, 40], [10, 30, 50]], np.uint8)
    plain = blake3(b"(2, 3)" + bytes([0, 2, 4, 1, 3, 5])).hexdigest()
    assert pixel_hash(picture) == f"px1:{plain}"


def test_fractions_are_kept() -> None:
    picture = np.array([[0.0, 0.25], [0.5, 1.0]])
    assert pixel_hash(picture) != pixel_hash(np.rint(picture))
    assert pixel_hash(picture.astype(np.float32)) == pixel_hash(picture)


def test_a_negative_film_in_dicom_is_the_same_picture(tmp_path: Path, films: list[Picture]) -> None:
    from leakscan.sources.formats import decode

    save(tmp_path / "a.png", films[0])
    rng = np.random.default_rng(1)
    write_dicom_film(films[0], tmp_path / "plain.dcm", rng)
    write_dicom_film(films[0], tmp_path / "negative.dcm", rng, monochrome1=True)
    write_dicom_film(films[0].astype(np.uint16) * 16, tmp_path / "twelve.dcm", rng, monochrome1=True)
    refs = list(open_source(str(tmp_path), DecodeOptions()).scan(Silent()))
    assert len({pixel_hash(decode(ref, DecodeOptions()).stored) for ref in refs}) == 1
    assert len(refs) == 4


@given(BYTES)
def test_blank_means_one_value(picture: Picture) -> None:
    assert is_blank(picture) == (len(set(picture.ravel().tolist())) == 1)


def test_blank_at_the_edges() -> None:
    assert is_blank(np.zeros((0, 4), np.uint8))
    assert is_blank(np.full((9, 9, 3), 200, np.uint8))
    assert not is_blank(np.eye(2))


TURNS = {
    "": lambda p: p,
    "hflip": lambda p: p[:, ::-1],
    "vflip": lambda p: p[::-1],
    "rot180": lambda p: p[::-1, ::-1],
    "transpose": lambda p: p.T,
    "rot90": np.rot90,
    "rot270": lambda p: np.rot90(p, 3),
    "transverse": lambda p: p[::-1, ::-1].T,
}


@settings(max_examples=8)
@given(st.integers(0, 10_000), st.sampled_from([(64, 64), (96, 64), (70, 333)]))
def test_one_transform_gives_the_hash_of_all_eight_turns(seed: int, size: tuple[int, int]) -> None:
    picture = np.asarray(Image.fromarray(scene(seed)).resize(size[::-1]), np.float32)
    hashes = perceptual_hashes(picture)
    assert hashes.shape == (8,)
    assert hashes.dtype == np.uint64
    for word, variant in zip(ORIENTATIONS_2D, hashes, strict=True):
        turned = perceptual_hashes(np.ascontiguousarray(TURNS[word](picture)))[0]
        assert int(hamming(turned[None], variant[None])[0]) <= 2, word


@settings(max_examples=6)
@given(st.integers(0, 10_000))
def test_one_transform_gives_the_hash_of_all_eight_flips_of_a_volume(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Odd and even lengths; block means of 16 bins must not shift under a flip.
    volume = np.kron(rng.uniform(50, 255, (4, 4, 4)), np.ones((8, 9, 10))).astype(np.float32)
    hashes = perceptual_hashes(volume)
    for word, variant in zip(ORIENTATIONS_3D, hashes, strict=True):
        axes = tuple("xyz".index(part[-1]) for part in word.split("+") if part)
        flipped = perceptual_hashes(np.ascontiguousarray(np.flip(volume, axes) if axes else volume))[0]
        assert int(hamming(flipped[None], variant[None])[0]) <= 2, word


@given(st.integers(0, 99))
@settings(max_examples=20)
def test_hashes_of_exchanged_axes_need_no_pixels(seed: int) -> None:
    volume = np.random.default_rng(seed).random((9, 14, 11)).astype(np.float32)
    derived = axes_exchanged(perceptual_hashes(volume)[:1])[0]
    computed = [perceptual_hashes(volume.transpose(order))[0] for order in permutations(range(3))]
    # A coefficient of almost nothing may round to either side.
    assert (np.bitwise_count(derived ^ np.array(computed, np.uint64)) <= 1).all()


def test_the_hash_survives_what_a_viewer_does_and_tells_films_apart(films: list[Picture]) -> None:
    originals = np.array([perceptual_hashes(f.astype(np.float32))[0] for f in films])
    for film, own in zip(films, originals, strict=True):
        half = np.asarray(Image.fromarray(film).resize((104, 104), Image.Resampling.LANCZOS), np.float32)
        for copy in (half, film * 0.5 + 40, 255.0 - film):
            seen = perceptual_hashes(np.asarray(copy, np.float32))[0]
            assert int(hamming(seen[None], own[None])[0]) <= 4
    others = hamming(originals[:, None], originals[None])[~np.eye(len(films), dtype=bool)]
    assert others.min() > 4


@given(st.lists(st.integers(0, 2**PHASH_BITS - 1), min_size=2, max_size=2))
def test_the_distance_is_symmetric_and_blind_to_inversion(pair: list[int]) -> None:
    a, b = (np.array([n], np.uint64) for n in pair)
    everything = np.uint64(2**PHASH_BITS - 1)
    plain = bin(pair[0] ^ pair[1]).count("1")
    assert hamming(a, b)[0] == min(plain, PHASH_BITS - plain) == hamming(b, a)[0]
    assert hamming(a, b ^ everything)[0] == hamming(a, b)[0]


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (1, 300), (3000, 2), (2, 2, 2), (1, 5, 7), (40, 1, 1)])
def test_pictures_of_any_shape_have_a_hash(shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    assert perceptual_hashes(values).shape == (8,)
    assert perceptual_hashes(-values - 5).shape == (8,)


def test_a_file_hash_is_that_of_its_bytes_and_a_series_has_no_order(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode() * 3_000_000)
    one = file_hash([str(tmp_path / "a")])
    assert one == blake3(b"a" * 3_000_000).hexdigest()
    files = [str(tmp_path / name) for name in "abc"]
    assert file_hash(files) == file_hash(files[::-1]) != one
