"""Takes out of fingerprints what films of one machine share: ``python -m leakscan.research.level_head``.

A head that was trained on one hospital writes the look of a hospital into a few directions: all films of
another hospital then lie on one side, and its strangers look alike. What those directions are can be
measured on films of many hospitals, each of another person. The head, a linear layer, then begins at
their mean and weighs every direction down by how much it differs without a reason: within people, whose
films should agree, and between films of other hospitals (within-class covariance normalisation, Hatch et al.,
Interspeech 2006). The network stays as it is, and so does what it costs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
import typer
from safetensors.torch import save_file
from torch import nn

from leakscan.cli.output import Output
from leakscan.fingerprint.encoders.networks import ARCHITECTURES, FINGERPRINT_DIM
from leakscan.research.command import run_command
from leakscan.research.merge_weights import average_weights
from leakscan.training.films.pack import pack_manifest
from leakscan.training.films.validation import to_float

_FILMS = 6000  # training films of nih, at random
_TOGETHER = 64

Floats = npt.NDArray[np.float64]


def level_head(
    weights: Annotated[list[Path], typer.Argument(help="Files of weights, which are averaged first.")],
    data: Annotated[Path, typer.Option("--data", help="Folder that holds cxr/.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    architecture: Annotated[str, typer.Option("--architecture", help="The network of the weights.")] = (
        "efficientnet_lite0_placed"
    ),
    side: Annotated[int, typer.Option("--side", help="Side of the films in pixels.")] = 224,
    centre: Annotated[
        float, typer.Option(help="How much of the mean of other hospitals is taken off.")
    ] = 1.25,
    own: Annotated[float, typer.Option(help="Weight of the covariance within people.", min=0, max=1)] = 0.7,
    even: Annotated[float, typer.Option(help="1 weighs all directions alike.", min=0, max=1)] = 0.7,
) -> None:
    """Average weights, and level their head over hospitals.

    Example: python -m leakscan.research.level_head a.safetensors b.safetensors --data DATA -o c.safetensors
    """
    net = ARCHITECTURES[architecture](FINGERPRINT_DIM)
    state = average_weights(weights, architecture)
    net.load_state_dict(state)
    with Output().progress() as progress:
        people = pack_manifest(data / "cxr/nih/manifest.csv", {"train"}, side, progress=progress, most=_FILMS)
        strangers = pack_manifest(
            data / "cxr/other_hospitals/manifest.csv", {"train"}, side, progress=progress
        )
        within = within_people(raw_prints(net, people.films), people.subjects)
        others = raw_prints(net, strangers.films)
    between = np.cov(others.T)
    unwanted = own * within / np.trace(within) + (1 - own) * between / np.trace(between)
    turn = torch.from_numpy(levelling(unwanted, even))
    mean = torch.from_numpy(others.mean(axis=0))
    weight, bias = state["head.weight"].double(), state["head.bias"].double()
    state["head.weight"] = (turn @ weight).float().contiguous()
    state["head.bias"] = (turn @ (bias - centre * mean)).float().contiguous()
    save_file({name: value.contiguous() for name, value in state.items()}, output)
    Output().say(f"Written to {output}")


@torch.inference_mode()
def raw_prints(net: nn.Module, films: npt.NDArray[np.uint8]) -> Floats:
    """``(n, d)`` what a head gives for films, before it is normalised.

    Args:
        net: The network.
        films: ``(n, side, side)`` canonical films.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        >>> raw_prints(net, np.zeros((3, 4, 4), np.uint8)).shape
        (3, 2)
    """
    net.eval()
    blocks = (films[start : start + _TOGETHER] for start in range(0, len(films), _TOGETHER))
    return np.concatenate([net(to_float(block, torch.device("cpu"))).numpy() for block in blocks]).astype(
        np.float64
    )


def within_people(prints: Floats, subjects: npt.NDArray[np.str_]) -> Floats:
    """``(d, d)`` how prints of one person differ: the covariance about each person's mean.

    Args:
        prints: ``(n, d)`` prints.
        subjects: ``(n,)`` subject of each; those with one print say nothing.

    Example:
        >>> prints = np.array([[0.0, 1.0], [0.0, 3.0], [9.0, 9.0]])
        >>> within_people(prints, np.array(["Ann", "Ann", "Bea"])).tolist()
        [[0.0, 0.0], [0.0, 1.0]]
    """
    _, who, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), prints.shape[1]))
    np.add.at(means, who, prints)
    apart = (prints - (means / counts[:, None])[who])[counts[who] > 1]
    return apart.T @ apart / len(apart)


def levelling(unwanted: Floats, even: float) -> Floats:
    """``(d, d)`` the symmetric matrix that weighs directions down by how much is unwanted in them.

    Args:
        unwanted: ``(d, d)`` covariance of what should not count.
        even: How much of the mean variance every direction has besides; 1 weighs all alike.

    Returns:
        The inverse square root of the shrunk covariance (Ledoit & Wolf 2004), whose mean variance is 1.

    Example:
        >>> levelling(np.diag([3.0, 1.0]), 0.0).round(3).tolist()
        [[0.816, 0.0], [0.0, 1.414]]
    """
    values, vectors = np.linalg.eigh(unwanted)
    scales = (1 - even) * np.maximum(values, 0.0) / values.mean() + even
    turned: Floats = (vectors / np.sqrt(scales)) @ vectors.T
    return turned


if __name__ == "__main__":
    run_command(level_head)
