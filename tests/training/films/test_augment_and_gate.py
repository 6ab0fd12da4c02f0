"""Augmentation keeps films films, and the gate's negatives are broken ones."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from leakscan.synthetic.films import draw_film
from leakscan.training.films.augment import augment, jpeg, public_view, random_letters, random_negatives
from leakscan.training.films.config import TrainConfig
from leakscan.training.films.machines import of_another_machine, with_tones_of
from leakscan.training.shipping.gate import break_films, fit_gate

ALL = TrainConfig(side=48, mild=0.5, negatives=0.1, letters=0.5, jpeg=0.5, machines=0.5)


@pytest.fixture(scope="module")
def films():
    rng = np.random.default_rng(0)
    import cv2

    return np.stack([cv2.resize(draw_film(rng), (64, 64)) for _ in range(6)])


def test_views_stay_in_range_and_differ_from_each_other(films):
    torch.manual_seed(0)
    x = torch.from_numpy(films)[:, None].float() / 255
    one, other = (augment(x, ALL) for _ in range(2))
    assert one.shape == (6, 1, 48, 48)
    assert one.min() >= 0 and one.max() <= 1 and torch.isfinite(one).all()
    assert ((one - other).abs().mean(dim=(1, 2, 3)) > 0.01).all()


def test_views_repeat_by_seed(films):
    x = torch.from_numpy(films)[:, None].float() / 255
    torch.manual_seed(5)
    one = augment(x, ALL)
    torch.manual_seed(5)
    assert torch.equal(one, augment(x, ALL))


def test_the_papers_views_move_films_a_little_and_change_nothing_else(films):
    """Against the film itself; what leaves the frame is black, the grey levels stay."""
    torch.manual_seed(0)
    x = torch.from_numpy(films)[:, None].float() / 255
    small, large = (augment(x, TrainConfig(side=64, augmentation=kind)) for kind in ("affine", "films"))
    off = (small - x).abs().mean(dim=(1, 2, 3))
    assert (off > 0.001).all() and (off < (large - x).abs().mean(dim=(1, 2, 3))).all()
    assert small.max() <= x.max() + 1e-5


def test_mild_views_are_placed_like_the_papers(films):
    """Grey levels alter in any case; the marked rim of a film stays inside only where it hardly moves."""
    x = torch.zeros(64, 1, 64, 64)
    x[..., 8:-8, 8:-8] = 1.0
    torch.manual_seed(0)
    wild, mild = ((public_view(x, 64, mild=share) > 0.5).float().sum(dim=(1, 2, 3)) for share in (0.0, 1.0))
    assert mild.std() < wild.std() / 2


def test_negatives_are_films_turned_over(films):
    torch.manual_seed(0)
    x = torch.from_numpy(films)[:, None].float().repeat(20, 1, 1, 1) / 255
    seen = random_negatives(x, 0.25)
    turned = torch.isclose(seen, 1 - x).flatten(1).all(dim=1)
    assert (turned | torch.isclose(seen, x).flatten(1).all(dim=1)).all()
    assert 0.1 < turned.float().mean() < 0.4


def test_letters_brighten_a_small_part_of_some_films(films):
    torch.manual_seed(0)
    x = torch.from_numpy(films)[:, None].float().repeat(20, 1, 1, 1) / 510
    more = random_letters(x, 0.5) - x
    assert (more >= 0).all()
    covered = (more > 0).float().mean(dim=(1, 2, 3))
    assert 0.3 < (covered > 0).float().mean() < 0.6
    assert covered.max() < 0.06  # 23 x 7 dots, 0.3 of a side wide at most


@pytest.mark.parametrize("quality", [5, 20, 49, 50, 75, 90])
def test_jpeg_is_what_pillow_writes(films, quality):
    films = films[:, :61, :61]  # 61 is no multiple of 8
    x = torch.from_numpy(np.ascontiguousarray(films))[:, None].float() / 255
    ours = jpeg(x, torch.full((len(x),), float(quality)))[:, 0].numpy() * 255
    for film, here in zip(films, ours, strict=True):
        stream = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(film)).save(stream, "JPEG", quality=quality)
        with Image.open(stream) as opened:
            theirs = np.asarray(opened, np.float32)
        lost = np.abs(theirs - film).mean()
        assert np.abs(here - theirs)[:56, :56].mean() < max(0.15 * lost, 0.5)  # halves round either way


def test_no_broken_film_is_the_film_itself(films):
    broken = break_films(np.repeat(films, 5, axis=0))
    assert broken.shape == (30, 64, 64) and broken.dtype == np.uint8
    difference = np.abs(broken.astype(int) - np.repeat(films, 5, axis=0)).mean(axis=(1, 2))
    assert (difference > 5).all()


def test_gate_separates_and_keeps_what_it_promises():
    rng = np.random.default_rng(1)
    inside, held_out = rng.normal(0, 1, (500, 8)), rng.normal(0, 1, (1000, 8))
    outside = rng.normal(0, 1, (500, 8)) + 6
    weight, bias, threshold = fit_gate(*(x.astype(np.float32) for x in (inside, outside, held_out)))
    logits = held_out.astype(np.float32) @ weight + bias
    assert np.mean(logits >= threshold) == pytest.approx(0.99, abs=0.002)
    assert ((outside.astype(np.float32) @ weight + bias) < threshold).all()


def test_tones_of_another_film_come_without_its_anatomy(films):
    x = torch.from_numpy(films)[:, None].float() / 255
    donors = x.roll(1, 0) ** 2  # darker
    toned = with_tones_of(x, donors, torch.ones(len(x)))
    at = torch.linspace(0.1, 0.9, 9)
    wanted, got = (torch.quantile(f.flatten(1), at, dim=1) for f in (donors, toned))
    assert (wanted - got).abs().mean() < 0.04
    assert (wanted - torch.quantile(x.flatten(1), at, dim=1)).abs().mean() > 0.1
    for film, other in zip(
        x.flatten(1), toned.flatten(1), strict=True
    ):  # a tone curve keeps the order of levels
        order = film.argsort()
        assert (other[order].diff() > -1e-3).all()


def test_no_tones_are_taken_where_none_are_wanted(films):
    x = torch.from_numpy(films)[:, None].float() / 255
    assert (with_tones_of(x, x.roll(1, 0), torch.zeros(len(x))) - x).abs().max() < 1e-3
    assert torch.equal(of_another_machine(x, 0.0), x)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_film_of_one_grey_level_stays_a_film_on_another_machine(level):
    torch.manual_seed(0)
    flat = torch.full((40, 1, 33, 47), level)  # odd sides, and enough films for every alteration
    shown = of_another_machine(flat, 1.0)
    assert shown.shape == flat.shape
    assert torch.isfinite(shown).all() and shown.min() >= 0 and shown.max() <= 1


def test_another_machine_changes_every_film_that_it_shows(films):
    torch.manual_seed(0)
    x = torch.from_numpy(films)[:, None].float() / 255
    changed = (of_another_machine(x, 1.0) - x).abs().mean(dim=(1, 2, 3))
    assert (changed > 1e-3).all()
