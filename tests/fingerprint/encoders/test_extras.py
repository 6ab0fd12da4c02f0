"""What the shipped encoders do without, and what is said where a package is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from leakscan.errors import ModelError
from leakscan.fingerprint.encoders.networks import ARCHITECTURES

_LOAD_ALL = """
import sys
for name in ("monai", "SimpleITK", "matplotlib", "sklearn", "pytorch_metric_learning"):
    sys.modules[name] = None  # every import of it fails
from leakscan.fingerprint.encoders.load import load_encoder
from leakscan.fingerprint.encoders.registry import cards
for name in ("cxr-lite0", "brain-folds"):
    print(load_encoder(*cards()[name]).card.name)
"""


def test_a_shipped_encoder_needs_no_package_of_an_extra() -> None:
    ran = subprocess.run([sys.executable, "-c", _LOAD_ALL], capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["cxr-lite0", "brain-folds"], ran.stderr


def test_a_3d_resnet_without_monai_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "monai"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "monai", None)
    with pytest.raises(ModelError, match="need monai") as missing:
        ARCHITECTURES["resnet18_3d"](128)
    assert "leakscan[train]" in missing.value.hint
