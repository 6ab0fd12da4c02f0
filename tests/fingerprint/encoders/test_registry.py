"""Encoders are found, added, and refused where they are not what their card says."""

from __future__ import annotations

import base64
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leakscan.errors import ModelError
from leakscan.fingerprint.encoders.card import read_card, weights_digest, write_card
from leakscan.fingerprint.encoders.registry import add_model, card_for, cards, model_folders
from leakscan.fingerprint.encoders.torch_encoder import TorchEncoder
from support.makers import Leakscan

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def shipped() -> Path:
    found = card_for("chest_radiograph")
    assert found is not None
    return found[1]


@pytest.fixture
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LEAKSCAN_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def copy(shipped: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the shipped encoder under another name, its card edited."""

    def make(edit: Edit | None = None, name: str = "mine") -> Path:
        folder = tmp_path / "made" / name
        shutil.copytree(shipped, folder)
        raw = json.loads((folder / "card.json").read_text())
        raw["name"] = name
        if edit is not None:
            edit(raw)
        (folder / "card.json").write_text(json.dumps(raw))
        return folder

    return make


def zipped(folder: Path, inside: str = "") -> Path:
    target = folder.parent / f"{folder.name}.zip"
    with zipfile.ZipFile(target, "w") as z:
        for path in folder.iterdir():
            z.write(path, f"{inside}{path.name}")
    return target


def test_there_is_an_encoder_for_chest_films_and_it_reproduces_its_card(shipped: Path) -> None:
    encoder = TorchEncoder(read_card(shipped), shipped)
    prints = encoder.encode(encoder.card.golden_inputs()).fingerprints
    assert np.allclose(np.linalg.norm(prints, axis=1), 1, atol=1e-3)
    assert prints.shape == (len(encoder.card.golden), encoder.card.dim)


def test_an_encoder_gives_one_picture_the_same_fingerprint_in_any_batch(shipped: Path) -> None:
    encoder = TorchEncoder(read_card(shipped), shipped)
    inputs = encoder.card.golden_inputs()
    alone = np.concatenate([encoder.encode(inputs[i : i + 1]).fingerprints for i in range(len(inputs))])
    together = encoder.encode(inputs).fingerprints
    assert (1 - (alone * together).sum(axis=1)).max() < 1e-3


@pytest.mark.parametrize("inside", ["", "folder/"])
def test_an_added_encoder_is_known(
    leakscan: Leakscan, own_models: Path, copy: Callable[..., Path], inside: str
) -> None:
    ran = leakscan("models", "add", zipped(copy(), inside), "--json")
    assert ran.code == 0
    assert ran.json["encoder"].startswith("mine@")
    assert "mine" in cards()
    chosen = {e["encoder"].split("@")[0]: e["default"] for e in leakscan("models", "list", "--json").json}
    assert (chosen["mine"], chosen["cxr-lite0"]) == (True, False)
    assert "mine@" in leakscan("models", "list").out
    assert {p.name for p in own_models.iterdir()} == {"mine"}


def test_adding_an_encoder_says_that_it_is_used_from_now_on(
    leakscan: Leakscan, own_models: Path, copy: Callable[..., Path]
) -> None:
    assert (
        "--encoder cxr-lite0 takes the one that was there before"
        in leakscan("models", "add", zipped(copy())).out
    )
    ran = leakscan("models", "add", zipped(copy(name="second")))
    assert "It is used where you name it: --encoder second" in ran.out


def test_adding_an_encoder_again_mends_a_damaged_one(
    leakscan: Leakscan, own_models: Path, copy: Callable[..., Path]
) -> None:
    file = zipped(copy())
    add_model(file)
    (own_models / "mine" / "card.json").write_text("{")
    assert leakscan("models", "add", file).code == 0
    assert "mine" in cards()


def test_an_encoder_is_replaced_by_adding_it_again(own_models: Path, copy: Callable[..., Path]) -> None:
    file = zipped(copy())
    add_model(file)
    (own_models / "mine" / "old.txt").write_text("stale")
    add_model(file)
    assert not (own_models / "mine" / "old.txt").exists()


def test_an_added_encoder_is_preferred_and_the_shipped_one_stays_within_reach(
    own_models: Path, copy: Callable[..., Path], shipped: Path
) -> None:
    add_model(zipped(copy(name="zzz-larger")))
    preferred = card_for("chest_radiograph")
    asked = card_for("chest_radiograph", shipped.name)
    assert preferred is not None
    assert asked is not None
    assert (preferred[0].name, asked[0].name) == ("zzz-larger", shipped.name)


def other_bytes(raw: dict[str, Any]) -> None:
    raw["digest"] = "000000000000"


def odd_name(raw: dict[str, Any]) -> None:
    raw["name"] = "../../evil"


def odd_kind(raw: dict[str, Any]) -> None:
    raw["kind"] = "knee"


def odd_architecture(raw: dict[str, Any]) -> None:
    raw["architecture"] = "perceptron"


def odd_weights(raw: dict[str, Any]) -> None:
    raw["weights"] = "../../../etc/passwd"


def odd_format(raw: dict[str, Any]) -> None:
    raw["format"] = 99


def missing_field(raw: dict[str, Any]) -> None:
    del raw["side"]


@pytest.mark.parametrize("edit", [other_bytes, odd_name, odd_kind, odd_format, missing_field])
def test_an_encoder_that_is_not_what_its_card_says_is_not_added(
    leakscan: Leakscan, own_models: Path, copy: Callable[..., Path], edit: Edit
) -> None:
    file = zipped(copy(edit))
    ran = leakscan("models", "add", file)
    assert ran.code == 2
    assert ran.error.startswith("Error: ")
    assert not own_models.exists() or list(own_models.iterdir()) == []
    assert not (own_models.parent.parent / "evil").exists()


@pytest.mark.parametrize("edit", [odd_architecture, odd_weights])
def test_an_encoder_that_cannot_be_loaded_is_named(
    leakscan: Leakscan, own_models: Path, copy: Callable[..., Path], two_folders: object, edit: Edit
) -> None:
    """Added by hand: the folder was copied into place."""
    shutil.copytree(copy(edit), own_models / "mine")
    ran = leakscan("compare", "A", "B", "--encoder", "mine")
    assert ran.code == 2
    assert "mine" in ran.error


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut"])
def test_what_is_no_zip_is_named(
    leakscan: Leakscan, own_models: Path, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "model.zip").write_bytes(content)
    ran = leakscan("models", "add", "model.zip")
    assert ran.code == 2
    assert "model.zip" in ran.error


def test_a_zip_whose_content_is_damaged_is_named(
    leakscan: Leakscan, own_models: Path, copy: Callable[..., Path]
) -> None:
    file = zipped(copy())
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    file.write_bytes(raw)
    ran = leakscan("models", "add", file)
    assert ran.code == 2
    assert file.name in ran.error


def test_a_zip_without_weights_is_named(
    leakscan: Leakscan, own_models: Path, copy: Callable[..., Path]
) -> None:
    folder = copy()
    (folder / "weights.safetensors").unlink()
    ran = leakscan("models", "add", zipped(folder))
    assert ran.code == 2
    assert "mine.zip" in ran.error


def test_a_folder_that_cannot_be_written_is_named(
    leakscan: Leakscan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy: Callable[..., Path]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LEAKSCAN_MODELS", str(tmp_path / "file" / "models"))
    ran = leakscan("models", "add", zipped(copy()))
    assert ran.code == 2
    assert "file" in ran.error


def test_a_damaged_card_is_named_and_stops_nothing_it_has_no_part_in(
    leakscan: Leakscan, own_models: Path, two_folders: object
) -> None:
    (own_models / "broken").mkdir(parents=True)
    (own_models / "broken" / "card.json").write_text("{")
    ran = leakscan("compare", "A", "B")
    assert ran.code == 2
    assert "broken" in ran.error


def swapped_rates(raw: dict[str, Any]) -> None:
    raw["impostors"]["fmr"].reverse()


def golden_of_another_length(raw: dict[str, Any]) -> None:
    raw["golden"][0]["fingerprint"] = [50 * x for x in raw["golden"][0]["fingerprint"]]


@pytest.mark.parametrize(
    "edit",
    [
        swapped_rates,
        golden_of_another_length,
        *(
            lambda raw, name=name, value=value: raw.update({name: value})
            for name, value in (
                ("dim", "128"),
                ("dim", 10**12),
                ("side", -1),
                ("gate_threshold", "0.5"),
                ("gate_threshold", float("nan")),
                ("gate_threshold", float("-inf")),
                ("gate", {"weight": [1.0, float("nan")], "bias": 0.0}),
                ("gate", [1]),
                ("golden", [1]),
                ("weights", "../weights.safetensors"),
                ("digest", None),
                ("kind", {}),
                ("measured", "much"),
            )
        ),
    ],
)
def test_a_card_altered_by_hand_is_refused_by_name(copy: Callable[..., Path], edit: Edit) -> None:
    with pytest.raises(ModelError, match=r"card\.json"):
        read_card(copy(edit))


@pytest.mark.parametrize("text", ["[]", "3", "null", "[" * 100_000])
def test_a_card_of_no_object_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(ModelError, match=r"card\.json"):
        read_card(tmp_path)


@pytest.mark.parametrize("flag", ["bomb", "encrypted", "unknown compression"])
def test_a_zip_that_swells_or_cannot_be_opened_is_refused_by_name(
    leakscan: Leakscan, own_models: Path, tmp_path: Path, flag: str
) -> None:
    file = tmp_path / "odd.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("card.json", b" " * (2**24 if flag == "bomb" else 10))
        z.writestr("weights.safetensors", b"")
    raw = bytearray(file.read_bytes())
    for head, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = raw.find(head) + at
        if flag == "encrypted":
            raw[place] |= 1
        elif flag == "unknown compression":
            raw[place + 2] = 97
    file.write_bytes(raw)
    ran = leakscan("models", "add", file)
    assert ran.code == 2
    assert "odd.zip" in ran.error


def out_of_reach(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """Root may enter every folder, so the refusal is made up."""
    stat = Path.is_dir

    def refused(self: Path) -> bool:
        if self.is_relative_to(root):
            raise PermissionError(13, "Permission denied", str(self))
        return stat(self)

    monkeypatch.setattr(Path, "is_dir", refused)


def test_a_home_of_somebody_else_holds_no_encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEAKSCAN_MODELS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    out_of_reach(monkeypatch, tmp_path / "home")
    assert "cxr-lite0" in cards()


def test_a_named_folder_of_encoders_that_cannot_be_read_is_said(
    own_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out_of_reach(monkeypatch, own_models)
    with pytest.raises(ModelError, match=r"models cannot be read"):
        cards()


def test_damaged_weights_are_refused(copy: Callable[..., Path]) -> None:
    folder = copy()
    raw = bytearray((folder / "weights.safetensors").read_bytes())
    raw[-3] ^= 1
    (folder / "weights.safetensors").write_bytes(raw)
    with pytest.raises(ModelError, match="digests differ"):
        TorchEncoder(read_card(folder), folder)
    (folder / "weights.safetensors").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(ModelError, match="cannot be read"):
        TorchEncoder(read_card(folder), folder)


def test_weights_of_another_network_are_refused_in_words(copy: Callable[..., Path]) -> None:
    from safetensors.numpy import save

    folder = copy()
    raw = save({"layer": np.zeros(3, np.float32)})
    (folder / "weights.safetensors").write_bytes(raw)
    card = read_card(folder)
    card = type(card)(**{**card.__dict__, "digest": weights_digest(raw, card.preprocessing, card.side)})
    with pytest.raises(ModelError, match="mine"):
        TorchEncoder(card, folder)


def test_a_golden_fingerprint_that_does_not_come_out_is_refused(copy: Callable[..., Path]) -> None:
    def turned(raw: dict[str, Any]) -> None:
        first = raw["golden"][0]["fingerprint"]
        raw["golden"][0]["fingerprint"] = [*first[1:], first[0]]

    folder = copy(turned)
    with pytest.raises(ModelError, match="golden"):
        TorchEncoder(read_card(folder), folder)


def test_a_card_without_golden_inputs_is_refused(copy: Callable[..., Path]) -> None:
    def none(raw: dict[str, Any]) -> None:
        raw["golden"] = []

    folder = copy(none)
    with pytest.raises(ModelError):
        TorchEncoder(read_card(folder), folder)


def test_another_preprocessing_is_refused(copy: Callable[..., Path]) -> None:
    def newer(raw: dict[str, Any]) -> None:
        raw["preprocessing"] = "radiograph-99"

    folder = copy(newer)
    card = read_card(folder)
    weights = (folder / "weights.safetensors").read_bytes()
    card = type(card)(**{**card.__dict__, "digest": weights_digest(weights, card.preprocessing, card.side)})
    with pytest.raises(ModelError, match="radiograph-99"):
        TorchEncoder(card, folder)


def test_a_card_is_read_as_it_was_written(shipped: Path, tmp_path: Path) -> None:
    card = read_card(shipped)
    write_card(card, tmp_path)
    assert read_card(tmp_path) == card
    picture = Image.open(io.BytesIO(base64.b64decode(card.golden[0]["png"])))
    assert picture.size == (card.side, card.side)


def test_an_unknown_encoder_is_answered_with_the_known(leakscan: Leakscan, two_folders: object) -> None:
    ran = leakscan("compare", "A", "B", "--encoder", "nobody")
    assert ran.code == 2
    assert "nobody" in ran.error
    assert all(folder.name in ran.error for folder in model_folders())
