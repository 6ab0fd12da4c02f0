"""``leakscan train`` from drawn films to weights, and to an encoder that the other commands use."""

import csv
import json
import sys

import cv2
import nibabel
import numpy as np
import pytest
import torch

from leakscan.fingerprint.encoders.networks import ARCHITECTURES
from leakscan.synthetic.films import draw_film
from leakscan.synthetic.heads import draw_brain
from support.makers import save

TINY = ("--side", 32, "--pairs", 3, "--workers", 0, "--threads", 1, "--device", "cpu")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Two films of each of 12 drawn subjects: 6 to train on, 3 each for val and calibration.

    Another 60 calibration subjects have one film each, of a few drawn noises.
    """
    folder = tmp_path_factory.mktemp("archive")
    rows = []
    for subject in range(12):
        rng = np.random.default_rng(subject)
        film = draw_film(rng, height=96)
        for visit in range(2):
            name = f"{subject}-{visit}.png"
            save(folder / name, cv2.resize(film, (72, 72)) if visit else film)
            split = ("train", "train", "val", "calibration")[subject // 3]
            rows.append((name, f"person{subject}", split))
    for subject in range(12, 72):
        name = f"{subject}.png"
        save(folder / name, np.random.default_rng(subject).integers(0, 256, (40, 40)).astype(np.uint8))
        rows.append((name, f"person{subject}", "calibration"))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    rows.append(("broken.png", "person0", "train"))
    with (folder / "films.csv").open("w", newline="") as f:
        csv.writer(f).writerows([("path", "subject_id", "split"), *rows])
    return folder / "films.csv"


def test_train_writes_weights_metrics_and_curves(leakscan, archive, tmp_path):
    ran = leakscan(
        "train", archive, "-o", "run", "--backbone", "resnet18", "--steps", 3, "--chunk", 4, *TINY, "--json"
    )
    assert ran.code == 0, ran.err
    summary = ran.json
    assert (summary["train_films"], summary["train_subjects"], summary["val_films"]) == (12, 6, 6)
    assert summary["unreadable"] == 1 and summary["first_unreadable"][0][0] == "broken.png"
    assert summary["words"][0].startswith("The preset fingerprint-2d was not run to its end: 3 of its ")
    assert "architecture is 'resnet18', not 'efficientnet_lite0'" in summary["words"][1]
    run = tmp_path / "run"
    assert json.loads((run / "summary.json").read_text()) == summary
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert {"config.json", "metrics.parquet", "checkpoint.pt", "best.safetensors", "last.safetensors"} <= {
        p.name for p in run.iterdir()
    }
    assert not list(run.rglob("*.part"))


@pytest.mark.slow
def test_a_second_run_changes_nothing_and_other_settings_are_refused(leakscan, archive, tmp_path):
    given = ("train", archive, "-o", "run", "--backbone", "resnet18", *TINY)
    assert leakscan(*given, "--steps", 1).code == 0
    before = (tmp_path / "run/checkpoint.pt").read_bytes()
    again = leakscan(*given, "--steps", 1)
    assert again.code == 0 and "not run to its end" in again.out
    assert (tmp_path / "run/checkpoint.pt").read_bytes() == before
    other = leakscan(*given, "--steps", 1, "--seed", 5)
    assert other.code == 2 and "seed was 0 and is now 5" in other.error
    assert leakscan(*given, "--steps", 2).code == 0
    assert torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)["step"] == 2


def test_the_papers_preset_trains_and_says_how_far_it_got(leakscan, archive):
    """From scratch, without softmax, moving average or unit length."""
    ran = leakscan(
        "train", archive, "-o", "run", "--preset", "paper-2d", "--backbone", "resnet18", "--steps", 2, *TINY
    )
    assert ran.code == 0, ran.err
    assert "start: none" in ran.out and "1 unreadable" in ran.out
    assert "The preset paper-2d was not run to its end: 2 of its 4,000 steps." in ran.out
    assert "pairs is 3, not 225" in ran.out and "side is 32, not 512" in ran.out


@pytest.fixture
def heads(tmp_path):
    """Volumes of eight drawn heads in two contrasts each, half of them to train on."""
    rows = []
    for subject in range(8):
        head = draw_brain(np.random.default_rng(subject), (16, 19, 16), 12.0).astype(np.float32)
        for contrast, values in (("T1", head), ("T2", head.max() - head)):
            name = f"{subject}-{contrast}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(values, np.diag([12.0, 12, 12, 1])), tmp_path / name)
            rows.append((name, f"person{subject}", "train" if subject < 4 else "val", contrast))

    with (tmp_path / "heads.csv").open("w", newline="") as f:
        csv.writer(f).writerows([("path", "subject_id", "split", "contrast"), *rows])
    return tmp_path / "heads.csv"


SMALL = ("--backbone", "resnet18_3d", "--set", "shape=16x18x14", "--set", "step_mm=12", "--pairs", 3)


def test_the_papers_volumes_train_across_contrasts(leakscan, heads, tmp_path):
    given = ("train", heads, "-o", "run", "--preset", "paper-3d", *SMALL, "--steps", 2, "--workers", 0)
    ran = leakscan(*given, "--threads", 1, "--device", "cpu")
    assert ran.code == 0, ran.err
    assert "The preset paper-3d was not run to its end: 2 of its 4,000 steps." in ran.out
    packed = np.load(next((tmp_path / "run/packed").glob("train-*.npy")))
    assert packed.shape == (8, 16, 18, 14)
    assert packed.min() == 0 and packed.max() == 255


def test_volumes_without_monai_name_the_extra_before_anything_is_decoded(
    leakscan, heads, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "monai", None)
    ran = leakscan("train", heads, "-o", "run", "--preset", "paper-3d", *SMALL)
    assert ran.code == 2 and "needs monai" in ran.error and "leakscan[train]" in ran.err
    assert not (tmp_path / "run").exists()


def test_partners_of_one_contrast_are_refused_before_anything_is_decoded(leakscan, heads, tmp_path):
    heads.write_text(heads.read_text().replace(",T2", ",T1"))
    ran = leakscan("train", heads, "-o", "run", "--preset", "paper-3d", *SMALL)
    assert ran.code == 2 and "has two contrasts" in ran.error
    assert not (tmp_path / "run").exists()


def test_films_and_volumes_need_backbones_of_their_own(leakscan, archive):
    wrong = leakscan("train", archive, "-o", "run", "--preset", "paper-3d", "--backbone", "resnet18")
    assert wrong.code == 2 and "sees films and takes no shape" in wrong.error
    missing = leakscan("train", archive, "-o", "run", "--backbone", "resnet18_3d")
    assert missing.code == 2 and "needs shape, such as 120x120x78" in missing.error


def test_a_run_becomes_an_encoder_that_compare_uses(leakscan, archive, tmp_path, monkeypatch):
    """GeM pooling, every loss and a start from an earlier run's weights come along."""
    monkeypatch.setenv("LEAKSCAN_MODELS", str(tmp_path / "models"))
    gem = ("--backbone", "efficientnet_lite0_gem", "--steps", 1, *TINY)
    # An untrained network gives all films one fingerprint in float32, which says nothing of strangers.
    assert leakscan("train", archive, "-o", "first", *gem, "--start", "cxr-lite0").code == 0
    settings = ("multi_similarity=0.2", "supcon=0.2", "memory=12", "films_per_subject=3", "alike=0.3")
    more = [word for s in settings for word in ("--set", s)]
    start = tmp_path / "first" / "best.safetensors"
    ran = leakscan("train", archive, "-o", "run", *gem, *more, "--start", start, "--ship", "mine", "--json")
    assert ran.code == 0, ran.err
    added = leakscan("models", "add", ran.json["shipped"])
    assert added.code == 0 and "Added mine@" in added.out
    card = json.loads((tmp_path / "models/mine/card.json").read_text())
    assert card["architecture"] == "efficientnet_lite0_gem" and card["side"] == 32
    assert card["impostors"]["source"] == "calibration split of films.csv"
    assert (tmp_path / "models/mine/calibration.safetensors").is_file()
    films = archive.parent
    found = leakscan(
        "fingerprint", films, "-o", "films.fps", "--encoder", "mine", "--kind", "chest_radiograph"
    )
    assert found.code == 0, found.err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--preset", "paper"), "no preset 'paper'"),
        (("--backbone", "resnet19"), "no backbone 'resnet19'"),
        (("--backbone", "resnet18", "--start", "imagenet"), "no ImageNet weights here for resnet18"),
        (("--start", "nothing"), "neither imagenet, none, an encoder nor a file"),
        (("--set", "softmax"), "has no value"),
        (("--set", "softmx=1"), "has no setting 'softmx'. Did you mean softmax?"),
        (("--backbone", "resnet5"), "no backbone 'resnet5'. Did you mean resnet50?"),
        (("--device", "gpu"), "none of auto, cpu, cuda"),
        (("--device", "cuda:99"), "no device cuda:99"),
        (("--ship", "a/b"), "no name for an encoder"),
        (("--side", 8), "at least 32"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_long_starts(leakscan, archive, tmp_path, more, words):
    ran = leakscan("train", archive, "-o", "run", *more)
    assert ran.code == 2 and words in ran.error
    assert not (tmp_path / "run").exists()


def test_start_weights_of_another_network_are_refused(leakscan, archive, tmp_path):
    torch.manual_seed(0)
    from safetensors.torch import save_file

    save_file(ARCHITECTURES["resnet18"](128).state_dict(), tmp_path / "w.safetensors")
    ran = leakscan("train", archive, "-o", "run", "--start", "w.safetensors", "--steps", 1, *TINY)
    assert ran.code == 2 and "another network than efficientnet_lite0" in ran.error
    (tmp_path / "w.pt").write_text("no weights")
    ran = leakscan("train", archive, "-o", "other", "--start", "w.pt", "--steps", 1, *TINY)
    assert ran.code == 2 and "no checkpoint" in ran.error


def test_a_folder_of_something_else_and_an_unshippable_archive_are_refused(leakscan, archive, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("keep me")
    ran = leakscan("train", archive, "-o", "mine", "--steps", 1, *TINY)
    assert ran.code == 2 and "is no training run" in ran.error
    text = archive.read_text().replace("calibration", "test")
    other = archive.with_name("no-calibration.csv")
    other.write_text(text)
    ran = leakscan("train", other, "-o", "run", "--ship", "mine", *TINY)
    assert ran.code == 2 and "the split 'calibration' has 0 subjects" in ran.error
