"""Graphs for ONNX Runtime compute what the networks compute, and take only the weights that are theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from leakscan.engines.threads import threads_here, use_threads
from leakscan.errors import ModelError
from leakscan.fingerprint.encoders.card import read_card
from leakscan.fingerprint.encoders.encoder import GraphEncoder
from leakscan.fingerprint.encoders.export import EXPORTED, Exported
from leakscan.fingerprint.encoders.film.detail_grid import as_numbers
from leakscan.fingerprint.encoders.film.detail_matcher import load_detail_matcher, probe_films
from leakscan.fingerprint.encoders.film.graph_details import states_of
from leakscan.fingerprint.encoders.film.torch_details import TorchDetails
from leakscan.fingerprint.encoders.graph import GRAPHS, Graph, has_graph
from leakscan.fingerprint.encoders.load import DeferredEncoder, load_encoder
from leakscan.fingerprint.encoders.networks import ARCHITECTURES
from leakscan.fingerprint.encoders.registry import card_for, cards
from leakscan.fingerprint.encoders.torch_encoder import TorchEncoder


@pytest.mark.parametrize("name", sorted(EXPORTED))
def test_a_graph_computes_what_its_network_computes(name: str) -> None:
    """It fails where a network's code has changed and ``research.write_graphs`` was not run."""
    exported = EXPORTED[name]
    net = as_if_trained(exported)
    state = {key: tensor.detach().numpy() for key, tensor in net.state_dict().items()}
    graph = Graph(name, state, Path("weights"))
    own = list(exported.inputs.values())
    # 32 pixels leave one place of the last map, 193 are no multiple of anything.
    sides = (32, 160, 193) if exported.any_side else ()
    for shapes in (own, *([(*shape[:-2], side, side) for shape in own] for side in sides)):
        inputs = dict(
            zip(
                exported.inputs,
                (torch.rand(1 if exported.one else 2, *shape) for shape in shapes),
                strict=True,
            )
        )
        with torch.inference_mode():
            wanted = getattr(net, exported.method)(*inputs.values())
        found = graph.run(**{k: v.numpy() for k, v in inputs.items()})
        each = wanted if isinstance(wanted, tuple) else (wanted,)
        for here, there in zip(found, (tensor.numpy() for tensor in each), strict=True):
            assert np.ptp(there) > 0
            np.testing.assert_allclose(here, there, atol=1e-3 * float(np.abs(there).max()))


def as_if_trained(exported: Exported) -> nn.Module:
    """Its network, without the ones and noughts of a fresh one, which hide how it uses its weights."""
    torch.manual_seed(0)
    net = exported.network().eval()
    with torch.no_grad():
        for name, tensor in net.named_buffers():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith("running_mean"):
                tensor.uniform_(-0.1, 0.1)
        for name, tensor in net.named_parameters():
            if name.startswith("pool."):
                tensor.uniform_(0.5, 1.5)
    return net


@pytest.mark.parametrize(
    ("architecture", "runtime"),
    [
        *((name, GraphEncoder) for name in sorted(EXPORTED) if name in ARCHITECTURES),
        ("resnet18_3d", TorchEncoder),
    ],
)
def test_a_graph_serves_where_there_is_one_whatever_the_side_and_torch_elsewhere(
    architecture: str, runtime: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What serves is decided by the network that the card names, not by the side of its films."""
    monkeypatch.setattr("leakscan.fingerprint.encoders.load.has_gpu", lambda: False)
    opened: list[type] = []
    for kind in (GraphEncoder, TorchEncoder):
        monkeypatch.setattr(kind, "__init__", lambda self, *_: opened.append(type(self)))
    card, folder = cards()["cxr-lite0"]
    for side in (32, 192, 500):
        load_encoder(replace(card, architecture=architecture, side=side), folder)
    assert opened == [runtime] * 3


def test_every_graph_that_ships_is_one_that_is_exported() -> None:
    assert {path.stem for path in GRAPHS.glob("*.onnx")} == set(EXPORTED)


def test_weights_of_another_network_are_refused_by_name() -> None:
    state = {"head.weight": np.zeros((128, 1280), np.float32)}
    with pytest.raises(ModelError, match="another network than resnet18") as refused:
        Graph("resnet18", state, Path("mine.safetensors"))
    assert "mine.safetensors" in refused.value.message


def test_both_runtimes_give_one_fingerprint() -> None:
    entry = card_for("chest_radiograph")
    assert entry is not None
    inputs = entry[0].golden_inputs()
    ours, theirs = GraphEncoder(*entry).encode(inputs), TorchEncoder(*entry).encode(inputs)
    assert (1 - (ours.fingerprints * theirs.fingerprints).sum(axis=1)).max() < 1e-5
    np.testing.assert_allclose(ours.quality, theirs.quality, atol=2e-2)


def test_a_fingerprint_hangs_neither_on_the_batch_nor_on_the_threads() -> None:
    entry = card_for("chest_radiograph")
    assert entry is not None
    inputs, before = entry[0].golden_inputs()[:3], threads_here()
    try:
        found = []
        for threads in (1, 3):
            use_threads(threads)
            encoder = GraphEncoder(*entry, checked=True)
            found += [encoder.encode(inputs).fingerprints]
            found += [np.concatenate([encoder.encode(film[None]).fingerprints for film in inputs])]
    finally:
        use_threads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_details_are_those_of_torch() -> None:
    entry = card_for("chest_radiograph")
    assert entry is not None
    matcher = load_detail_matcher(entry[1])
    assert matcher is not None
    details = matcher.describe(probe_films())
    found = matcher.compare(details[:1], details[1:])
    torch_nets = [TorchDetails(state) for state in matcher.states]
    wanted = np.stack([net.describe(probe_films()) for net in torch_nets], axis=1)
    np.testing.assert_allclose(as_numbers(details), wanted, atol=2e-2)  # a step of values is 0.016
    logits = [net.compare(wanted[:1, i], wanted[1:, i]) for i, net in enumerate(torch_nets)]
    np.testing.assert_allclose(found, np.mean(logits, axis=0), atol=0.05)


def test_tensors_are_told_apart_by_network() -> None:
    with pytest.raises(ValueError, match="no network"):
        states_of({})


def test_a_known_network_runs_without_torch_and_without_the_package_onnx() -> None:
    assert has_graph("efficientnet_lite0_placed")
    code = (
        "import sys; sys.modules['torch'] = sys.modules['onnx'] = None\n"
        "import numpy as np\n"
        "from leakscan.fingerprint.encoders.load import load_encoder\n"
        "from leakscan.fingerprint.encoders.registry import cards\n"
        "film = np.zeros((1, 192, 192), np.uint8)\n"
        "print(load_encoder(*cards()['cxr-lite0']).encode(film).fingerprints.shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert done.stdout.strip() == "(1, 128)", done.stderr


def test_an_encoder_is_loaded_when_it_is_needed_and_not_before(tmp_path: Path) -> None:
    card, folder = cards()["cxr-lite0"]
    loads: list[str] = []

    def loader(card: object, folder: Path) -> GraphEncoder:
        loads.append(folder.name)
        return load_encoder(read_card(folder), folder)  # type: ignore[return-value]

    (tmp_path / "lite").symlink_to(folder)
    encoder = DeferredEncoder(card, tmp_path / "lite", loader)
    assert (encoder.card.encoder, loads) == (card.encoder, [])
    encoder.open()
    encoder.encode(card.golden_inputs()[:1])
    assert loads == ["lite"]
