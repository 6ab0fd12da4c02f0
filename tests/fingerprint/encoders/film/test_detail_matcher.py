"""The detail networks that ship: what they promise of pairs, and of their file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save

from leakscan.decide.calibration.file import FILE as CALIBRATION
from leakscan.decide.calibration.file import read_calibration
from leakscan.errors import ModelError
from leakscan.fingerprint.encoders.film.detail_matcher import (
    FILE,
    FilmDetailMatcher,
    load_detail_matcher,
)
from leakscan.fingerprint.encoders.film.detail_net import DetailNet
from leakscan.fingerprint.encoders.film.torch_details import save_detail_matcher
from leakscan.fingerprint.encoders.registry import card_for


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("detail") / FILE
    save_detail_matcher([DetailNet().eval(), DetailNet().eval()], path)
    return path


def films(n: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return (
        np.random.default_rng(seed)
        .integers(0, 256, (n, FilmDetailMatcher.side, FilmDetailMatcher.side))
        .astype(np.uint8)
    )


def test_the_shipped_networks_are_those_that_their_calibration_was_fitted_with() -> None:
    entry = card_for("chest_radiograph")
    assert entry is not None
    card, folder = entry
    matcher = load_detail_matcher(folder)
    fitted = read_calibration(folder / CALIBRATION, [card.encoder])
    assert matcher is not None and fitted.matches_details
    assert matcher.digest == fitted.detail_digest
    assert fitted.missed(1e-4)[0] < fitted.missed(1e-4, reach=0.0)[0] - 0.03


def test_a_pair_has_one_finding_whichever_way_round_and_beside_whatever_others(made: Path) -> None:
    matcher = FilmDetailMatcher(made)
    details = matcher.describe(films(6))
    found = matcher.compare(details[:3], details[3:])
    np.testing.assert_allclose(matcher.compare(details[3:], details[:3]), found, atol=1e-4)
    np.testing.assert_allclose(matcher.compare(details[1:2], details[4:5]), found[1:2], atol=1e-4)
    assert matcher.compare(details[:0], details[:0]).shape == (0,)


def test_an_encoder_without_detail_networks_has_none(tmp_path: Path) -> None:
    assert load_detail_matcher(tmp_path) is None


def test_damaged_or_altered_networks_are_refused(made: Path, tmp_path: Path) -> None:
    bad = tmp_path / FILE
    bad.write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="cannot be read"):
        FilmDetailMatcher(bad)
    bad.write_bytes(made.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="cannot be read"):
        FilmDetailMatcher(bad)
    with safe_open(made, "pt") as f:
        about = json.loads(f.metadata()["leakscan"])
        tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118
    about["probe"] += 1.0
    bad.write_bytes(save(tensors, {"leakscan": json.dumps(about)}))
    with pytest.raises(ModelError, match="do not compute here"):
        FilmDetailMatcher(bad)


def test_a_trunk_that_two_networks_share_is_written_once(tmp_path: Path) -> None:
    torch.manual_seed(0)
    one, other = DetailNet().eval(), DetailNet().eval()
    other.trunk.load_state_dict(one.trunk.state_dict())
    save_detail_matcher([one, other], tmp_path / "two")
    save_detail_matcher([one], tmp_path / "one")
    sizes = [(tmp_path / name).stat().st_size for name in ("one", "two")]
    assert sizes[1] < 1.2 * sizes[0]
    again = FilmDetailMatcher(tmp_path / "two").networks
    assert all(
        torch.equal(a.half(), b.half())
        for net, back in zip((one, other), again, strict=True)
        for a, b in zip(net.parameters(), back.parameters(), strict=True)
    )
