"""Two passes in chunks give the gradients of one pass over the whole batch."""

import pytest
import torch
from torch import nn

from leakscan.errors import UsageError
from leakscan.training.films.config import TrainConfig
from leakscan.training.films.losses import build_loss
from leakscan.training.films.passes import Passes, backward_in_passes
from leakscan.training.trainer import Watch

FILMS, CHUNK = 10, 4


def _net(norm: bool, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(1)
    layers = [nn.Conv2d(1, 8, 3, 2), *([nn.BatchNorm2d(8)] if norm else []), nn.ReLU()]
    layers += [nn.Dropout(dropout), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 16)]
    return nn.Sequential(*layers).double()


def _batch():
    torch.manual_seed(2)
    return torch.rand(FILMS, 1, 12, 12, dtype=torch.float64), torch.arange(5).repeat(2)


@pytest.fixture
def loss():
    config = TrainConfig(softmax=0.5, hard=0, triplet=1, contrastive=1, multi_similarity=0.3, supcon=0.2)
    built = build_loss(config, 5, 16)
    _, labels = _batch()

    def of(prints):
        torch.manual_seed(3)  # the miner's draw
        return built(prints, labels)

    of.built = built
    return of


def _gradients(net, loss, chunk):
    films, _ = _batch()
    net.zero_grad()
    loss.built.zero_grad()
    value = backward_in_passes(net, net, films, loss, Passes(chunk))
    parameters = [*net.parameters(), loss.built.centres]
    return value, [p.grad.clone() for p in parameters]


@pytest.mark.parametrize("chunk", [1, CHUNK, 9])
@pytest.mark.parametrize("norm", ["none", "eval"])
def test_chunks_give_the_gradients_of_one_pass(loss, norm, chunk):
    """Also those of the centres of the margin softmax; the last chunk may be smaller."""
    net = _net(norm == "eval").train(norm == "none")
    whole_value, whole = _gradients(net, loss, 0)
    value, chunked = _gradients(net, loss, chunk)
    assert value == pytest.approx(float(whole_value), rel=1e-6)
    for a, b in zip(whole, chunked, strict=True):
        assert a.abs().max() > 1e-6
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-7)


def test_with_batch_norm_they_are_those_of_the_chunks_with_one_graph(loss):
    films, _ = _batch()
    reference, net = _net(True).train(), _net(True).train()
    loss.built.zero_grad()
    loss(torch.cat([reference(part) for part in films.split(CHUNK)]).float()).backward()
    _, found = _gradients(net, loss, CHUNK)
    for a, b in zip((p.grad for p in reference.parameters()), found[:-1], strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-7)


def test_running_statistics_move_once(loss):
    films, _ = _batch()
    reference, net = _net(True).train(), _net(True).train()
    for part in films.split(CHUNK):
        reference(part)
    _gradients(net, loss, CHUNK)
    assert net[1].num_batches_tracked == 3
    assert torch.allclose(net[1].running_mean, reference[1].running_mean)
    assert torch.allclose(net[1].running_var, reference[1].running_var)
    assert net[1].track_running_stats


def test_random_layers_draw_the_same_in_both_passes(loss):
    """With dropout, the gradients are those of one graph in which every chunk drew as in the passes."""
    films, _ = _batch()
    reference, net = _net(False, 0.5).train(), _net(False, 0.5).train()
    parts = []
    for i, part in enumerate(films.split(CHUNK)):
        torch.manual_seed(70 + i)
        parts.append(reference(part))
    loss.built.zero_grad()
    loss(torch.cat(parts).float()).backward()
    backward_in_passes(net, net, films, loss, Passes(CHUNK, seed=70))
    for a, b in zip(reference.parameters(), net.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-7)


def test_every_film_is_reported_once(loss):
    done = []
    films, _ = _batch()
    net = _net(False)
    backward_in_passes(net, net, films, loss, Passes(CHUNK, watch=Watch(done=done.append)))
    assert done == [4, 4, 2]


def test_leaving_between_chunks_of_the_first_pass_changes_nothing(loss):
    films, _ = _batch()
    net = _net(True).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}

    def leave():
        raise UsageError("Stop.")

    with pytest.raises(UsageError):
        backward_in_passes(net, net, films, loss, Passes(CHUNK, watch=Watch(check=leave)))
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters()) and net[1].track_running_stats
