"""Promises of verification on real films and volumes (a sample; ``leakscan bench`` measures them all)."""

from __future__ import annotations

import csv
from collections import defaultdict
from itertools import combinations, islice

import cv2
import nibabel
import numpy as np
import pytest

from leakscan.decide.copies.picture_check import PictureFeatures, check_pictures, describe_picture
from leakscan.decide.copies.volume_check import VolumeFeatures, check_volumes, describe_volume
from support.makers import DATA

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"The real images are not at {DATA}; set LEAKSCAN_DATA."),
]


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(newline="") as file:
        return list(csv.DictReader(file))


def film(path: str) -> PictureFeatures:
    return describe_picture(cv2.imread(str(DATA / "cxr" / path), cv2.IMREAD_GRAYSCALE).astype(np.float32))


def volume(path: str) -> VolumeFeatures:
    image = nibabel.as_closest_canonical(nibabel.load(DATA / "mri" / path))
    return describe_volume(np.asarray(image.dataobj, np.float32), image.header.get_zooms())


def test_pairs_of_the_real_leak_are_verified_whatever_was_done_to_them_by_hand() -> None:
    pairs = rows("cxr/truth_ozturk_ieee8023.csv")[::8]
    found = [check_pictures(film(pair["path_a"]), film(pair["path_b"])) for pair in pairs]
    assert all(each.same_image for each in found)
    assert min(each.correlation for each in found) > 0.9


@pytest.mark.parametrize(("dataset", "split"), [("nih", "val"), ("kermany", "train")])
def test_films_of_one_subject_are_not_taken_for_copies(dataset: str, split: str) -> None:
    films = defaultdict(list)
    for row in rows(f"cxr/{dataset}/manifest.csv"):
        if row["split"] == split:
            films[row["subject_id"]].append(f"{dataset}/{row['path']}")
    series = [paths[:3] for paths in films.values() if len(paths) > 1]
    for paths in islice(series, 0, None, max(1, len(series) // 15)):
        for a, b in combinations([film(path) for path in paths], 2):
            found = check_pictures(a, b)
            # Kermany holds some films twice, pixel for pixel.
            assert not found.same_image or found.correlation > 0.995, (paths, found)


@pytest.mark.parametrize("dataset", ["ixi", "ds002748"])
def test_brains_of_different_people_are_not_the_same_image(dataset: str) -> None:
    paths = [
        f"{dataset}/{row['path']}" for row in rows(f"mri/{dataset}/manifest.csv") if row["contrast"] == "T1"
    ]
    volumes = [volume(path) for path in paths[:5]]
    assert not any(check_volumes(a, b).same_image for a, b in combinations(volumes, 2))


def test_two_contrasts_of_one_person_are_not_the_same_image() -> None:
    for subject in ("sub-02", "sub-04"):
        a, b = (volume(f"ds000011/{subject}_{contrast}.nii.gz") for contrast in ("T1", "T2"))
        assert not check_volumes(a, b).same_image
        assert check_volumes(a, a).same_image
