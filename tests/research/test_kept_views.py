"""Heads that learn on kept views: what they start from, what they add, and that a stopped call goes on."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from leakscan.fingerprint.encoders.film.detail_matcher import FILE, FilmDetailMatcher, probe_films
from leakscan.fingerprint.encoders.networks import ARCHITECTURES, EfficientNetLite0
from leakscan.fingerprint.encoders.registry import cards
from leakscan.research.command import run_command
from leakscan.research.teach_detail_on_views import teach_detail_on_views
from leakscan.research.teach_grid import teach_grid, with_grid
from leakscan.training.films.kept_views import KeptViews
from leakscan.training.films.start import load_weights


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three data sets of noise pictures: people with two films, children with two, strangers with one."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name, people, films in (("nih", 6, 2), ("kermany", 2, 2), ("other_hospitals", 8, 1)):
        place = folder / "cxr" / name
        place.mkdir(parents=True)
        with (place / "manifest.csv").open("w", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(["path", "subject_id", "split"])
            for person in range(people):
                look = rng.integers(0, 200, (8, 8))
                for film in range(films):
                    picture = np.kron(look + rng.integers(0, 40, (8, 8)), np.ones((8, 8))).astype(np.uint8)
                    Image.fromarray(picture).save(place / f"{person}_{film}.png")
                    table.writerow([f"{person}_{film}.png", f"p{person}", "train"])
    return folder


@pytest.fixture(scope="module")
def views(data: Path) -> Path:
    """A folder for the views, which the first of the commands fills."""
    return data / "run"


def run(monkeypatch: pytest.MonkeyPatch, command: Callable[..., None], *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["command", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        run_command(command)
    assert not left.value.code


def plain_network() -> EfficientNetLite0:
    net = ARCHITECTURES["efficientnet_lite0_placed"](128).eval()
    card, folder = cards()["cxr-lite0"]
    state = load_file(folder / card.weights)
    own = {name: value for name, value in state.items() if name in net.state_dict()}
    net.load_state_dict({k: v.float() for k, v in own.items() if not k.startswith("head.")}, strict=False)
    assert isinstance(net, EfficientNetLite0)
    return net


def test_a_grid_that_has_learned_nothing_leaves_a_fingerprint_as_it_was() -> None:
    net = plain_network()
    grown = with_grid(net)
    with torch.inference_mode():
        x = torch.from_numpy(probe_films())[:, None].float() / 255
        torch.testing.assert_close(grown(x), net(x))


def test_a_grid_is_taught_beside_a_trunk_that_stays_as_it_is(
    data: Path, views: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, teach_grid, data, "-o", views, "--steps", 3)
    kept = KeptViews(views / "views")
    taught = len(set(kept.films[kept.altered])), len(kept.films)
    assert taught == (12 + 4 + 4, 20 + 2 * 12 + 4 + 3 * 4)  # half of the strangers are held out
    net = ARCHITECTURES["efficientnet_lite0_grid"](128)
    load_weights(net, views / "grid.safetensors", "efficientnet_lite0_grid")
    state, was = net.state_dict(), plain_network().state_dict()
    assert all(torch.equal(state[name], was[name]) for name in was if name.startswith("trunk."))
    assert state["head.weight"][:, 1280:].abs().max() > 0


def test_detail_matching_taught_on_views_joins_a_network_and_goes_on(
    data: Path, views: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = cards()["cxr-lite0"][1] / FILE
    words = (data, "-o", views, "--beside", beside, "--steps")
    run(monkeypatch, teach_detail_on_views, *words, 2)
    first = FilmDetailMatcher(views / FILE)
    own = FilmDetailMatcher(beside).networks[-1].state_dict()
    assert len(first.networks) == 2
    now = first.networks[0].state_dict()
    assert all(torch.equal(v, own[k]) for k, v in now.items())
    run(monkeypatch, teach_detail_on_views, *words, 3)
    assert torch.load(views / "checkpoint.pt", weights_only=True)["step"] == 3
    assert FilmDetailMatcher(views / FILE).digest != first.digest
