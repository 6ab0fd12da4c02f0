"""Several models become one: weights by their mean, detail matching side by side."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from leakscan.fingerprint.encoders.film.detail_matcher import FilmDetailMatcher
from leakscan.fingerprint.encoders.film.detail_net import DetailNet
from leakscan.fingerprint.encoders.film.torch_details import save_detail_matcher
from leakscan.fingerprint.encoders.networks import ARCHITECTURES
from leakscan.research.command import run_command
from leakscan.research.merge_weights import merge_weights


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["merge", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        run_command(merge_weights)
    return int(left.value.code or 0)


def weights(path: Path, seed: int, architecture: str) -> Path:
    torch.manual_seed(seed)
    save_file(ARCHITECTURES[architecture](128).state_dict(), path)
    return path


def test_weights_are_averaged_and_a_missing_pooling_is_the_plain_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = weights(tmp_path / "one.safetensors", 1, "efficientnet_lite0")
    other = weights(tmp_path / "other.safetensors", 2, "efficientnet_lite0_placed")
    with_places = load_file(other)
    with_places["pool.weight"] += 0.4
    save_file(with_places, other)
    target = tmp_path / "mean.safetensors"
    words = ("weights", one, other, "--architecture", "efficientnet_lite0_placed", "-o", target)
    assert run(monkeypatch, *words) == 0
    found, a = load_file(target), load_file(one)
    torch.testing.assert_close(found["head.weight"], (a["head.weight"] + with_places["head.weight"]) / 2)
    assert found["pool.weight"].unique().tolist() == pytest.approx([0.2])


def test_networks_side_by_side_find_the_mean_of_what_each_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{seed}.safetensors" for seed in (1, 2)]
    for seed, path in enumerate(paths, 1):
        torch.manual_seed(seed)
        save_detail_matcher([DetailNet().eval()], path)
    assert run(monkeypatch, "looks", *paths, "-o", tmp_path / "both.safetensors") == 0
    films = (
        np.random.default_rng(0)
        .integers(0, 256, (4, FilmDetailMatcher.side, FilmDetailMatcher.side))
        .astype(np.uint8)
    )

    def found(path: Path) -> np.ndarray:
        matcher = FilmDetailMatcher(path)
        details = matcher.describe(films)
        return matcher.compare(details[:2], details[2:])

    each = [found(path) for path in paths]
    np.testing.assert_allclose(found(tmp_path / "both.safetensors"), np.mean(each, axis=0), atol=1e-4)
    assert not np.allclose(each[0], each[1], atol=1e-6)


def test_a_missing_or_damaged_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "looks", tmp_path / "none.safetensors", "-o", tmp_path / "x") == 2
    assert re.search(r"no file .*none\.safetensors", capsys.readouterr().err)
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"no tensors")
    assert run(monkeypatch, "weights", bad, "-o", tmp_path / "x") == 2
    assert "bad.safetensors" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_an_unknown_network_gets_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = weights(tmp_path / "one.safetensors", 1, "efficientnet_lite0")
    assert run(monkeypatch, "weights", one, "--architecture", "eficientnet_lite0", "-o", tmp_path / "x") == 2
    assert "Did you mean efficientnet_lite0?" in capsys.readouterr().err
