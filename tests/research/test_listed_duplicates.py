"""Published repeats against what is found, here and by other tools in an environment of their own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leakscan.errors import UsageError
from leakscan.research.listed_duplicates import listed_duplicates
from leakscan.run.models import Models
from support.makers import save, scene

FAKES = {
    "imagededup/methods.py": """
class PHash:
    def __init__(self, verbose=True): pass
    def encode_images(self, image_dir, **how): return {}
    def find_duplicates(self, **how): return {"1.png": ["2.png"], "2.png": ["1.png", "3.png"], "3.png": []}
""",
    "imagededup/__init__.py": "",
    "fastdup.py": "def create(**where): raise RuntimeError('it has no licence')",
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("leakscan.run.context.load_models", lambda *_: Models({}, {}, {}))
    for name, columns in (("busi", "a,b"), ("slices", "test,train")):
        folder = tmp_path / "data" / name
        for n in (1, 3, 4):
            save(folder / "all" / f"{n}.png", scene(n, 96))
        save(folder / "all" / "2.png", np.ascontiguousarray(scene(1, 96)[:, ::-1]))
        rows = "".join(f"all/{n}.png,x\n" for n in (1, 2, 3, 4))
        (folder / "manifest.csv").write_text("path,label\n" + rows)
        (folder / "truth_pairs.csv").write_text(f"{columns}\nall/1.png,all/2.png\nall/3.png,all/4.png\n")
    return tmp_path / "data"


def printed(capsys: pytest.CaptureFixture[str]) -> dict[tuple[str, str], dict[str, Any]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {(line["set"], line["tool"]): line for line in lines}


def test_recall_is_that_of_the_list_and_other_tools_stand_beside(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in FAKES.items():
        path = tmp_path / "fakes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fakes"))
    with pytest.raises(UsageError, match="it has no licence"):
        listed_duplicates(data, 60.0, Path(sys.executable), tmp_path / "beyond")
    found = printed(capsys)
    own, other = found["busi", "leakscan"], found["busi", "imagededup, perceptual hash"]
    assert (own["listed"], own["listed_in_one_group"], own["beyond_the_list"]) == (2, 1, 0)
    assert (other["listed_in_one_group"], other["beyond_the_list"]) == (1, 1)
    beyond = (tmp_path / "beyond" / "busi imagededup, perceptual hash.csv").read_text()
    assert beyond == "a,b\n2.png,3.png\n"


def test_without_other_tools_both_sets_are_told(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed_duplicates(data, 60.0, None, None)
    assert list(printed(capsys)) == [("busi", "leakscan"), ("slices", "leakscan")]


def test_an_interpreter_that_is_not_there_is_a_sentence(data: Path) -> None:
    with pytest.raises(UsageError, match="cannot be run"):
        listed_duplicates(data, 60.0, Path("no/python"), None)
