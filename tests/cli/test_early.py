"""What is wrong at first sight is said before anything slow is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.makers import fill

SLOW = ("torch", "onnxruntime", "scipy", "cv2", "networkx", "pyarrow", "leakscan.run.compare")

SCRIPT = f"""
import sys
from leakscan.cli.app import run
code = run(sys.argv[1:])
print(code, [name for name in {SLOW!r} if name in sys.modules])
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("compare", "A", "wart"),
        ("audit", "wart"),
        ("duplicates", "wart.csv?split=test"),
        ("fingerprint", "wart", "-o", "x.fps"),
        ("calibrate", "wart.fps", "-o", "x"),
        ("split", "wart", "-o", "x"),
    ],
)
def test_a_wrong_path_is_said_before_anything_slow_is_loaded(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    fill(tmp_path / "A", range(2))
    (tmp_path / "ward").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.stdout.strip() == "2 []", ran.stderr
    assert "does not exist" in ran.stderr and ("wart." in ran.stderr or "Did you mean ward?" in ran.stderr)
