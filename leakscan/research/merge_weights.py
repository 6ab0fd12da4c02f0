"""Makes one model of several: ``python -m leakscan.research.merge_weights weights|looks FILE... -o FILE``.

``weights`` averages the weights of runs that went on from the same start with the same seed, so that they
lie in one valley of the loss (model soups, arXiv 2203.05482). ``looks`` puts networks of detail matching that
were taught apart side by side in one file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer
from safetensors.torch import save_file

from leakscan.errors import ModelError, UsageError
from leakscan.fingerprint.encoders.film.detail_matcher import FilmDetailMatcher
from leakscan.fingerprint.encoders.film.torch_details import save_detail_matcher
from leakscan.fingerprint.encoders.networks import ARCHITECTURES, FINGERPRINT_DIM
from leakscan.research.command import run_command
from leakscan.setting_words import nearest
from leakscan.training.films.start import load_weights


def merge_weights(
    what: Annotated[
        Literal["weights", "looks"], typer.Argument(help="weights of encoders, or looks: detail matching.")
    ],
    files: Annotated[list[Path], typer.Argument(help="The models to merge.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    architecture: Annotated[
        str, typer.Option("--architecture", help="The network of the merged weights.")
    ] = "efficientnet_lite0",
) -> None:
    """Make one model of several.

    Example: python -m leakscan.research.merge_weights weights a.safetensors b.safetensors -o mean.safetensors
    """
    missing = [f for f in files if not f.is_file()]
    if missing:
        raise ModelError(f"There is no file {missing[0]}.")
    if architecture not in ARCHITECTURES:
        raise UsageError(
            f"There is no network {architecture!r}.",
            nearest(architecture, ARCHITECTURES, "Networks"),
        )
    if what == "looks":
        _join_details(files, output)
    else:
        state = average_weights(files, architecture)
        save_file({k: v.contiguous() for k, v in state.items()}, output)


def average_weights(files: Sequence[Path], architecture: str) -> dict[str, torch.Tensor]:
    """The mean of the weights in some files.

    Args:
        files: Weights of runs. Those of the same trunk with another pooling are welcome, as a start is.
        architecture: The network of the result.

    Raises:
        ModelError: A file is damaged, or holds another network.

    Example::

        net.load_state_dict(average_weights([Path("a.safetensors"), Path("b.safetensors")], "resnet50"))
    """
    states = []
    for file in files:
        net = ARCHITECTURES[architecture](FINGERPRINT_DIM)
        load_weights(net, file, architecture)
        states.append(net.state_dict())
    return {
        name: torch.stack([s[name].float() for s in states]).mean(dim=0).to(value.dtype)
        for name, value in states[0].items()
    }


def _join_details(files: Sequence[Path], target: Path) -> None:
    """Writes the networks of several files of detail matching into one file.

    Args:
        files: The files.
        target: The file to write.

    Raises:
        ModelError: A file is damaged.
    """
    save_detail_matcher([net.cpu() for file in files for net in FilmDetailMatcher(file).networks], target)


if __name__ == "__main__":
    run_command(merge_weights)
