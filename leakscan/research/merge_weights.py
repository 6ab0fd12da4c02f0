"""Makes one model of several: ``python -m leakscan.research.merge_weights weights|looks FILE... -o FILE``.

``weights`` averages the weights of runs that went on from the same start with the same seed, so that they
lie in one valley of the loss (model soups, arXiv 2203.05482). ``looks`` puts second looks that were taught
apart side by side in one file.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from leakscan.errors import LeakscanError, ModelError
from leakscan.fingerprint.encoders.film.detail_matcher import FilmDetailMatcher, save_detail_matcher
from leakscan.fingerprint.encoders.networks import ARCHITECTURES, FINGERPRINT_DIM
from leakscan.training.films.start import load_weights


def average_weights(files: Sequence[Path], architecture: str) -> dict[str, torch.Tensor]:
    """The mean of the weights in some files.

    Args:
        files: weights of runs; of the same trunk with another pooling are welcome as a start is.
        architecture: of the result.

    Raises:
        ModelError: a file is damaged, or holds another network.
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


def join_details(files: Sequence[Path], target: Path) -> None:
    """Writes the networks of some second looks into one file.

    Raises:
        ModelError: a look is damaged.
    """
    save_detail_matcher([net.cpu() for file in files for net in FilmDetailMatcher(file).networks], target)


def main() -> None:
    """Entry point of the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["weights", "looks"])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--architecture", default="efficientnet_lite0", choices=sorted(ARCHITECTURES))
    given = parser.parse_args()
    try:
        missing = [f for f in given.files if not f.is_file()]
        if missing:
            raise ModelError(f"There is no file {missing[0]}.")
        if given.what == "looks":
            join_details(given.files, given.output)
        else:
            state = average_weights(given.files, given.architecture)
            save_file({k: v.contiguous() for k, v in state.items()}, given.output)
    except LeakscanError as e:
        raise SystemExit(f"{e.message} {e.hint}".strip()) from None


if __name__ == "__main__":
    main()
