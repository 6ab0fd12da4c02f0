"""The recipes of CONTRIBUTING.md, followed: what is added where they say is used."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from safetensors.torch import save
from torch import nn

import leakscan
from leakscan.cli import options as o
from leakscan.cli.app import app
from leakscan.cli.output import Output
from leakscan.evaluation import embeddings
from leakscan.evaluation.labelled_images import PreparedImage
from leakscan.evaluation.systems import Role, Vectors
from leakscan.fingerprint.encoders.card import weights_digest, write_card
from leakscan.fingerprint.encoders.networks import ARCHITECTURES
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.settings import Settings
from leakscan.sources import formats
from support import toy_format
from support.makers import Leakscan, Picture, fill, rows_of, scene
from support.makers import save as save_picture

ROOT = Path(__file__).parents[1]


def test_a_format_in_the_list_is_read_by_compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = fill(tmp_path / "a", range(3))
    toy = toy_format.write(tmp_path / "b" / "moved.toy", scene(1))
    cut = toy_format.write(tmp_path / "b" / "cut.toy", scene(7))
    cut.write_bytes(cut.read_bytes()[:-1])
    settings = Settings.of(cache=tmp_path / "cache", kind="other_2d", workers=0)
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, toy_format.TOY))

    result = leakscan.compare(a, tmp_path / "b", settings=settings)

    found = [(p["path_a"], p["path_b"], p["relation"]) for p in result.pairs.to_pylist()]
    assert found == [("1.png", toy.name, "same_pixels")]
    read = {row["path"]: row for row in result.images.to_pylist()}
    assert (read[toy.name]["format"], read[toy.name]["status"]) == ("toy", "ok")
    assert read[cut.name]["error"] == "It is truncated or damaged."


class ToyNet(nn.Module):
    """Brightness on a grid of four by four, turned by a linear layer."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.head = nn.Linear(16, dim)

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """``(n, 16)`` of ``(n, 1, side, side)``."""
        return nn.functional.adaptive_avg_pool2d(pictures, 4).flatten(1)


def write_encoder(folder: Path, side: int = 32, dim: int = 8) -> Path:
    folder.mkdir(parents=True)
    net = ToyNet(dim).eval()
    weights = save(net.state_dict())
    picture = scene(3, side)
    png = io.BytesIO()
    Image.fromarray(picture).save(png, "png")
    with torch.no_grad():
        print_ = nn.functional.normalize(net.head(net.features(torch.tensor(picture)[None, None] / 255)))
    shipped = card_for("chest_radiograph")
    assert shipped is not None
    card = replace(
        shipped[0],
        name=folder.name,
        architecture="toy",
        dim=dim,
        side=side,
        weights="weights.safetensors",
        digest=weights_digest(weights, shipped[0].preprocessing, side),
        gate_threshold=0.0,
        golden=({"png": base64.b64encode(png.getvalue()).decode(), "fingerprint": print_[0].tolist()},),
        measured={},
        gate={},
    )
    (folder / card.weights).write_bytes(weights)
    write_card(card, folder)
    return folder


def test_an_encoder_in_a_folder_is_listed_and_used(
    leakscan: Leakscan, films: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ARCHITECTURES, "toy", ToyNet)
    monkeypatch.setenv("LEAKSCAN_MODELS", str(tmp_path / "models"))
    write_encoder(tmp_path / "models" / "toy")
    for i, film in enumerate(films[:2]):
        save_picture(tmp_path / "ab"[i] / f"{i}.png", film)

    listed = {entry["encoder"].split("@")[0]: entry for entry in leakscan("models", "list", "--json").json}
    assert listed["toy"]["default"]
    leakscan("compare", "a", "b", "-o", "run", "--encoder", "toy")
    rows = rows_of(tmp_path / "run", "fingerprints")
    assert [(row["encoder"].split("@")[0], len(row["fingerprint"])) for row in rows] == [("toy", 8)] * 2


def test_a_command_that_is_registered_runs_and_is_in_the_help(
    leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def toy_command(name: str, as_json: o.Json = False) -> None:
        """Say a name."""
        out = Output(as_json)
        out.data({"name": name})
        out.say(f"It is {name}.")

    monkeypatch.setattr(app, "registered_commands", list(app.registered_commands))
    app.command("toy")(toy_command)
    assert leakscan("toy", "this").out == "It is this.\n"
    assert leakscan("toy", "this", "--json").json == {"name": "this"}
    assert "Say a name." in leakscan("--help").out


class Brightness:
    """A baseline that knows only how bright a film is."""

    name, side = "brightness", 192
    role: Role = "phash"

    def vectors(
        self, images: Sequence[PreparedImage], reduced: bool
    ) -> tuple[Vectors, npt.NDArray[np.bool_]]:
        pictures = [(image.reduced if reduced else image.canonical)[self.side] for image in images]
        angle = np.array([picture.mean() for picture in pictures]) / 255
        return np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32), np.ones(len(images), bool)


def test_a_baseline_in_the_list_is_measured_by_evaluate(
    leakscan: Leakscan,
    films: list[Picture],
    loaded_once: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embeddings, "load_encoder", loaded_once)
    monkeypatch.setattr(embeddings, "FILM_BASELINES", (lambda encoders: [Brightness()],))
    lines = ["path,subject_id"]
    for i, film in enumerate(films[:3]):
        for j, cropped in enumerate((film, film[8:-8, 8:-8])):
            save_picture(tmp_path / f"{i}-{j}.png", cropped)
            lines.append(f"{i}-{j}.png,{i}")
    (tmp_path / "films.csv").write_text("\n".join(lines))

    options = ("-o", "out", "--encoder", "cxr-lite0", "--workers", 0, "--no-looks", "--json")
    found = leakscan("evaluate", "films.csv", *options).json
    assert found["systems"]["brightness"] == "phash"
    assert 0 <= found["headlines"]["brightness"]["all"]["auc"][0] <= 1


@pytest.mark.parametrize("what", ["An image format", "An encoder", "A command", "A baseline"])
def test_every_recipe_names_files_that_exist(what: str) -> None:
    recipes = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Recipes\n", 1)[1]
    recipe = recipes.split(f"### {what}\n", 1)[1].split("\n##", 1)[0]
    named = [name for name in re.findall(r"`([\w./]+/[\w./]+)`", recipe) if "NAME" not in name]
    assert len(named) >= 2
    assert [name for name in named if not (ROOT / name).exists()] == []
