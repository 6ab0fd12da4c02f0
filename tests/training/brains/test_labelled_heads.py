"""Manifests of volumes become people, and nobody stands in two splits."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import ndimage

from leakscan.errors import SourceError
from leakscan.evaluation.brain_baselines import GreySystem, unit_rows
from leakscan.fingerprint.encoders.brain.brain_encoder import brain_net
from leakscan.fingerprint.encoders.brain.brain_net import BrainNet
from leakscan.fingerprint.preprocess.volume import SHAPE, STEP_MM, canonical_volume
from leakscan.synthetic.brains.people import GRID, read_people
from leakscan.synthetic.brains.tissue_labels import UNKNOWN
from leakscan.synthetic.heads import draw_brain
from leakscan.training.brains.average_brain import save_brain
from leakscan.training.brains.figures import rescanned, show
from leakscan.training.brains.labelled_heads import read_heads


def volume(path: Path, values: np.ndarray, axes: str = "RAS") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(tuple(axes))
    )
    plain = nib.Nifti1Image(values.astype(np.uint8), np.diag([2.0, 2.0, 2.0, 1.0]))
    nib.save(plain.as_reoriented(turn), path)


def head(labels: list[int]) -> np.ndarray:
    """A cube of labels, the front half of it brighter than the back."""
    values = np.zeros((40, 48, 40), np.uint8)
    values[10:30, 10:38, 10:30] = np.resize(labels, (20, 28, 20))
    values[10:30, 24:38, 10:30] = labels[0]
    return values


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = ["path,subject_id,contrast,split"]
    for i in range(40):
        volume(tmp_path / f"t1/{i}.nii.gz", head([200, 90]))
        rows.append(f"t1/{i}.nii.gz,s{i},T1,{'test' if i >= 36 else 'train'}")
    volume(tmp_path / "muse.nii.gz", head([81, *range(100, 160)]))
    volume(tmp_path / "free.nii.gz", head([2, 3, 4, 24]), "PSR")
    rows += ["muse.nii.gz,s36,labels,test", "free.nii.gz,seed,labels,train", "x.nii.gz,s36,T2,test"]
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_val_and_calibration_are_carved_from_train_by_person(folder: Path) -> None:
    heads = read_heads([folder / "manifest.csv"], {"s1": "s0"})
    people = {split: {s.subject for s in sources} for split, sources in heads.items()}
    assert people["test"] == {f"s{i}" for i in range(36, 40)}
    assert "seed" in people["train"]
    assert people["val"] and people["calibration"]
    everyone = [s for split in people.values() for s in split]
    assert len(everyone) == len(set(everyone))
    assert "s1" not in everyone


def test_atlases_are_told_apart_and_turned_label_maps_come_upright(folder: Path) -> None:
    heads = read_heads([folder / "manifest.csv"])
    (muse,) = [s for s in heads["test"] if s.labels]
    (free,) = [s for s in heads["train"] if s.labels]
    assert (muse.atlas, free.atlas) == ("muse", "freesurfer")
    people = read_people([muse, free, heads["test"][1]])
    assert people.labelled.tolist() == [True, True, False]
    assert people.imaged.tolist() == [True, False, True]
    assert (people.tissues[2] == UNKNOWN).all()
    white = (people.tissues[1] == 1).sum(axis=(0, 2))
    assert white[GRID[1] // 2 :].sum() > 2 * white[: GRID[1] // 2].sum()


def test_a_manifest_without_the_column_or_without_heads_is_refused(tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,subject_id,split\na.nii,b,train\n")
    with pytest.raises(SourceError, match="contrast"):
        read_heads([manifest])
    manifest.write_text("path,subject_id,contrast,split\na.nii,b,T2,train\n")
    with pytest.raises(SourceError, match="no T1 and no label map"):
        read_heads([manifest])


def test_a_saved_network_gives_the_same_prints(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    template = torch.zeros(7, 40, 48, 40)
    template[:, 10:30, 10:38, 10:30] = torch.rand(7, 20, 28, 20).half().float() / 7
    net = BrainNet(template, dim=4).eval()
    net.mean, net.axes = torch.rand(net.mean.shape), torch.randn(net.axes.shape)
    save_brain(net, tmp_path / "brain.safetensors", {})
    files, who = [folder / "t1/0.nii.gz"], ["s0"]
    before = show(net, files, who, ["T1"])
    again = brain_net(load_file(tmp_path / "brain.safetensors"))
    after = show(again, files, who, ["T1"])
    prints = [n.project(torch.from_numpy(s.maps)).numpy() for s, n in ((before, net), (after, again))]
    np.testing.assert_allclose(np.linalg.norm(prints, axis=2), 1, atol=1e-5)
    assert (prints[0] * prints[1]).sum() > 0.999


def test_figures_of_rescans_follow_the_scores() -> None:
    perfect = np.eye(30, dtype=np.float32)
    assert rescanned(perfect) == {key: [1, 1, 1] for key in ("P@1", "AUC", "TAR at 1e-2")}
    chance = np.random.default_rng(0).normal(size=(30, 30)).astype(np.float32)
    assert rescanned(chance)["P@1"][0] < 0.2


@pytest.mark.slow
def test_registered_grey_levels_are_nearest_to_the_same_head_moved() -> None:
    """The baseline without training, on heads that lie elsewhere: shifted, turned, or both."""
    drawn = [draw_brain(np.random.default_rng([4, i]), spacing_mm=STEP_MM) for i in range(3)]
    heads = [canonical_volume(v.astype(np.float32), (STEP_MM,) * 3, SHAPE, STEP_MM) for v in drawn]
    shares = torch.from_numpy(np.mean(heads, axis=0))[None].repeat(7, 1, 1, 1)[:, ::2, ::2, ::2] / 7
    baseline = GreySystem("greys", SHAPE[0], shares)
    turned = [
        ndimage.shift(ndimage.rotate(v, 6, (0, 1), reshape=False, order=1), (2, -3, 1), order=1)
        for v in heads
    ]
    first, again = (unit_rows(np.stack([baseline.aligned(v) for v in some])) for some in (heads, turned))
    assert (again @ first.T).argmax(axis=1).tolist() == [0, 1, 2]
