"""Large batches in two passes: gradient caching (Gao et al. 2021, arXiv 2101.06983).

A metric-learning loss needs the embeddings of the whole batch at once, but not its activations.
The first pass makes all embeddings chunk by chunk without a graph; the loss gives its gradient
with respect to them; the second pass makes each chunk's graph, and sends that gradient through it.
The result is the gradient of one pass over the whole batch, at the memory of one chunk.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from leakscan.training.trainer import Watch

Loss = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Passes:
    """How a batch is cut, and who watches.

    Attributes:
        chunk: Films at a time. The batch or more, or 0, makes one plain pass of it.
        seed: The seed of random layers; chunk ``i`` draws from ``seed + i``.
        watch: Receives the number of films whose backward pass is done. Its ``check`` is called after each
            chunk of the first pass; an exception from it leaves network and loss as they were.
    """

    chunk: int
    seed: int = 0
    watch: Watch = field(default_factory=Watch)


def backward_in_passes(
    net: nn.Module,
    forward: Callable[[torch.Tensor], torch.Tensor],
    films: torch.Tensor,
    loss: Loss,
    passes: Passes,
) -> torch.Tensor:
    """Adds the gradients of a batch's loss to the parameters of a network and of the loss.

    Batch norm sees chunks: both passes normalise a chunk by its own statistics, and the running
    statistics move once, in the second. Random layers draw the same in both.

    Args:
        net: The network, in training mode.
        forward: Sends films ``(n, ...)`` through ``net`` to ``(n, d)``, perhaps compiled or under autocast.
        films: The whole batch ``(b, ...)``.
        loss: Makes a scalar of all embeddings ``(b, d)`` float32; it is called once.
        passes: How the batch is cut.

    Returns:
        The loss, detached.

    Example::

        loss = backward_in_passes(net, net, films, lambda prints: criterion(prints, labels), Passes(chunk=8))
        optimiser.step()  # as after one pass over all films, at the memory of eight
    """
    watch, seed = passes.watch, passes.seed
    if not 0 < passes.chunk < len(films):
        torch.manual_seed(seed)
        value = loss(forward(films).float())
        value.backward()  # type: ignore[no-untyped-call]
        watch.done(len(films))
        return value.detach()
    chunks = torch.split(films, passes.chunk)
    with torch.no_grad(), _unmoved_statistics(net):
        parts = []
        for i, part in enumerate(chunks):
            torch.manual_seed(seed + i)
            parts.append(forward(part).float())
            watch.check()
    embeddings = torch.cat(parts).requires_grad_()
    torch.manual_seed(seed + len(chunks))
    value = loss(embeddings)
    value.backward()  # type: ignore[no-untyped-call]
    assert embeddings.grad is not None
    for i, (part, gradient) in enumerate(
        zip(chunks, torch.split(embeddings.grad, passes.chunk), strict=True)
    ):
        torch.manual_seed(seed + i)
        forward(part).float().backward(gradient)  # type: ignore[no-untyped-call]
        watch.done(len(part))
    return value.detach()


@contextlib.contextmanager
def _unmoved_statistics(net: nn.Module) -> Iterator[None]:
    """Batch norms in training mode go on normalising by the batch, but remember nothing of it."""
    layers = [m for m in net.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
