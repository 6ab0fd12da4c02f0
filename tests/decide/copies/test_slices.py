"""What a picture may be a slice of: the nearest slice across every axis that comes near."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import scipy.ndimage

from leakscan.decide.copies.slices import by_picture, nearest_cuts
from leakscan.fingerprint.hashing import perceptual_hashes
from leakscan.settings import DecodeOptions
from leakscan.types import ImageRef


def test_slices_that_resemble_a_picture_across_two_axes_are_both_tried(tmp_path: Path) -> None:
    noise = scipy.ndimage.gaussian_filter(np.random.default_rng(4).normal(size=(40, 40, 40)), 3.0)
    voxels = noise + noise.transpose(1, 0, 2)  # a slice across the one axis is one across the other
    voxels = (voxels - voxels.min()) / np.ptp(voxels) * 1000
    nib.save(nib.Nifti1Image(voxels.astype(np.int16), np.eye(4)), tmp_path / "v.nii")
    ref = ImageRef(
        image_id="v", path="v.nii", format="nifti", files=(str(tmp_path / "v.nii"),), signature="s", ndim=3
    )
    hashes = perceptual_hashes(voxels.take(17, 0).astype(np.float32))[None]
    cuts = by_picture(nearest_cuts(ref, hashes, DecodeOptions()) or [])[0]
    assert {(cut.axis, cut.index) for cut in cuts} >= {(0, 17), (1, 17)}
