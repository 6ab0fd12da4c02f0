"""Tags decide first, then what the user says, else the gate."""

import pytest

from leakscan.fingerprint.kinds import presumed_kind
from leakscan.types import ImageRef, Tags


def _ref(ndim=2, **tags):
    return ImageRef(image_id="id", path="path", format="dicom", files=("file",), ndim=ndim, tags=Tags(**tags))


@pytest.mark.parametrize(
    ("ref", "asked", "expected"),
    [
        (_ref(modality="DX", body_part="CHEST", view="PA"), None, ("chest_radiograph", False)),
        (_ref(modality="CR", body_part="CHEST", view="LL"), None, ("other_2d", False)),
        (_ref(modality="DX", body_part="KNEE", view="AP"), None, ("other_2d", False)),
        (_ref(modality="MG"), "chest_radiograph", ("other_2d", False)),
        (_ref(modality="CR"), None, ("chest_radiograph", True)),
        (_ref(), None, ("chest_radiograph", True)),
        (_ref(), "other_2d", ("other_2d", False)),
        (_ref(), "brain_mri", ("chest_radiograph", True)),
        (_ref(kind="other_2d"), "chest_radiograph", ("other_2d", False)),
        (_ref(ndim=3, modality="MR", body_part="BRAIN"), None, ("brain_mri", False)),
        (_ref(ndim=3, modality="CT", body_part="HEAD"), "brain_mri", ("other_3d", False)),
        (_ref(ndim=3, modality="MR", body_part="KNEE"), "brain_mri", ("other_3d", False)),
        (_ref(ndim=3), "brain_mri", ("brain_mri", False)),
        (_ref(ndim=3), None, ("brain_mri", True)),
    ],
)
def test_kind_and_whether_the_gate_is_asked(ref, asked, expected):
    assert presumed_kind(ref, asked) == expected
