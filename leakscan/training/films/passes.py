"""Large batches in two passes: gradient caching (Gao et al. 2021, arXiv 2101.06983).

A metric-learning loss needs the embeddings of the whole batch at once, but not its activations.
The first pass makes all embeddings chunk by chunk without a graph; the loss gives its gradient
with respect to them; the second pass makes each chunk's graph, and sends that gradient through it.
The result is the gradient of one pass over the whole batch, at the memory of one chunk.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

Loss = Callable[[torch.Tensor], torch.Tensor]


def backward_in_passes(
    net: nn.Module,
    forward: Callable[[torch.Tensor], torch.Tensor],
    films: torch.Tensor,
    loss: Loss,
    chunk: int,
    seed: int = 0,
    after: Callable[[int], None] = lambda n: None,
    between: Callable[[], None] = lambda: None,
) -> torch.Tensor:
    """Adds the gradients of a batch's loss to the parameters of a network and of the loss.

    Batch norm sees chunks: both passes normalise a chunk by its own statistics, and the running
    statistics move once, in the second. Random layers draw the same in both.

    Args:
        net: in training mode.
        forward: of ``net`` (perhaps compiled, perhaps under autocast), ``(n, ...)`` to ``(n, d)``.
        films: the whole batch ``(b, ...)``.
        loss: of all embeddings ``(b, d)`` float32, a scalar; called once.
        chunk: films at a time; at least ``b`` or 0 makes a plain single pass of it.
        seed: of random layers; chunk ``i`` draws from ``seed + i``.
        after: is told the number of films whose backward pass is done.
        between: is called after each chunk of the first pass; an exception from it leaves network
            and loss as they were.

    Returns:
        The loss, detached.
    """
    if not 0 < chunk < len(films):
        torch.manual_seed(seed)
        value = loss(forward(films).float())
        value.backward()  # type: ignore[no-untyped-call]
        after(len(films))
        return value.detach()
    chunks = torch.split(films, chunk)
    with torch.no_grad(), unmoved_statistics(net):
        parts = []
        for i, part in enumerate(chunks):
            torch.manual_seed(seed + i)
            parts.append(forward(part).float())
            between()
    embeddings = torch.cat(parts).requires_grad_()
    torch.manual_seed(seed + len(chunks))
    value = loss(embeddings)
    value.backward()  # type: ignore[no-untyped-call]
    assert embeddings.grad is not None
    for i, (part, gradient) in enumerate(zip(chunks, torch.split(embeddings.grad, chunk), strict=True)):
        torch.manual_seed(seed + i)
        forward(part).float().backward(gradient)  # type: ignore[no-untyped-call]
        after(len(part))
    return value.detach()


@contextlib.contextmanager
def unmoved_statistics(net: nn.Module) -> Iterator[None]:
    """Batch norms in training mode go on normalising by the batch, but remember nothing of it."""
    layers = [m for m in net.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
