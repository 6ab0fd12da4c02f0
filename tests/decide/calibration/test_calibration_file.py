"""A calibration is one file, bound to its encoder, and says how many repeated subjects are missed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from leakscan.decide.calibration.calibration import Genuine
from leakscan.decide.calibration.file import read_calibration, write_calibration
from leakscan.decide.calibration.fit import Cohort, LabelledPrints, choose_cohort, fit_calibration
from leakscan.errors import ModelError, OutputError, UsageError
from support.made_up_encoder import ENCODER, calibration
from support.makers import unit_vectors


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "c.safetensors"
    write_calibration(calibration(), path)
    found = read_calibration(path, ["other@2", ENCODER])
    assert found.tail == calibration().tail
    assert (found.encoder, found.source, found.top) == (ENCODER, "random directions", 200)
    assert (found.cohort == calibration().cohort).all()
    assert (found.genuine.score == calibration().genuine.score).all()
    assert [p.name for p in path.parent.iterdir()] == ["c.safetensors"]


def test_a_calibration_of_another_encoder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    write_calibration(calibration(), path)
    with pytest.raises(ModelError, match=r"calibrates made-up@1, but .* made by cxr@9"):
        read_calibration(path, ["cxr@9"])


def test_a_damaged_or_missing_calibration_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    write_calibration(calibration(), path)
    whole = path.read_bytes()
    for damaged in (b"", b"nothing", whole[: len(whole) // 2], whole[:40]):
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match="no calibration, or it is damaged"):
            read_calibration(path, [ENCODER])
    path.unlink()
    with pytest.raises(ModelError, match="There is no calibration"):
        read_calibration(path, [ENCODER])


Parts = tuple[dict[str, Any], dict[str, Any]]


def tail(**changed: Any) -> Callable[[Parts], None]:
    return lambda parts: parts[0].update(tail=json.dumps({**json.loads(parts[0]["tail"]), **changed}))


def about(**changed: Any) -> Callable[[Parts], None]:
    return lambda parts: parts[0].update(changed)


def tensor(name: str, value: Any) -> Callable[[Parts], None]:
    return lambda parts: parts[1].update({name: value})


def rates_swapped(parts: Parts) -> None:
    tail(bulk_fmr=json.loads(parts[0]["tail"])["bulk_fmr"][::-1])(parts)


NAN = float("nan")
ALTERED: dict[str, Callable[[Parts], None]] = {
    "swapped rates": rates_swapped,
    "a negative share": tail(share=-0.1),
    "a share of no number": tail(share=NAN),
    "a share as text": tail(share="0.002"),
    "no scale": tail(scale=0),
    "a shape out of range": tail(shape=50),
    "another threshold": tail(threshold=0.99),
    "more pairs than its subjects make": tail(n_effective=10**15),
    "no pairs": tail(n_effective=0),
    "no draws": tail(replicates=[]),
    "a draw of no number": tail(replicates=[[NAN, 0, 1]]),
    "no rates": tail(bulk_score=[], bulk_fmr=[]),
    "a field too many": tail(more=3),
    "a tail of no object": about(tail="[]"),
    "words that are no fields": about(joint=None),
    "false as text": about(decides="false"),
    "a negative number": about(top=-1),
    "more than the cohort": about(top=10**9),
    "a source of no text": about(source=3),
    "strangers of no number": about(strangers_found=[NAN, 1]),
    "a rate above one": about(look_p=2),
    "scores of no number": tensor("genuine_score", np.full(3, NAN, np.float32)),
    "owners of others": tensor("genuine_owner", np.zeros(5, np.int32)),
    "a cohort of no number": tensor("cohort", np.full((300, 128), NAN, np.float16)),
    "a cohort of no length": tensor("cohort", np.zeros((300, 128), np.float16)),
    "a cohort in one row": tensor("cohort", np.zeros(300, np.float16)),
}


@pytest.mark.parametrize("alter", ALTERED.values(), ids=ALTERED.keys())
def test_what_no_fit_can_have_written_is_refused_by_name(
    tmp_path: Path, alter: Callable[[Parts], None]
) -> None:
    path = tmp_path / "c.safetensors"
    write_calibration(calibration(), path)
    with safe_open(path, "numpy") as f:
        parts: Parts = json.loads(f.metadata()["leakscan"]), {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118
    alter(parts)
    save_file(parts[1], path, {"leakscan": json.dumps(parts[0])})
    with pytest.raises(ModelError, match=r"c\.safetensors"):
        read_calibration(path, [ENCODER])


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        write_calibration(calibration(), tmp_path / "file" / "c.safetensors")


def test_subjects_count_alike_however_many_pairs_they_have() -> None:
    genuine = Genuine(np.array([1, 1, 1, 1, 9], np.float32), np.array([0, 0, 0, 0, 1], np.int32))
    rate, low, high = genuine.missed(5.0)
    assert rate == 0.5
    assert 0.0 <= low <= rate <= high <= 1.0
    assert genuine.missed(0.5)[0] == 0.0
    assert genuine.missed(10.0)[0] == 1.0


def test_without_genuine_pairs_nobody_knows_what_is_missed() -> None:
    nothing = replace(calibration().genuine, score=np.zeros(0, np.float32), owner=np.zeros(0, np.int32))
    assert np.isnan(nothing.missed(1.0)).all()


def test_a_cohort_has_one_image_of_each_subject() -> None:
    prints = unit_vectors(3, 40)
    subjects = np.array([f"s{i // 4}" for i in range(40)])
    cohort = choose_cohort(prints, subjects)
    assert len(cohort) == 10
    rows = [int(np.argmax(prints @ member.astype(np.float32))) for member in cohort]
    assert len(set(subjects[rows])) == 10
    assert len(choose_cohort(prints, subjects, size=3)) == 3


def test_too_few_subjects_are_refused_in_a_sentence() -> None:
    names, cohort = np.array([f"s{i % 20}" for i in range(60)]), Cohort(calibration().cohort, 200)
    with pytest.raises(UsageError, match="Only 20 declared subjects"):
        fit_calibration(ENCODER, "few", cohort, LabelledPrints(unit_vectors(1, 60), names))
    with pytest.raises(UsageError, match="Only 1 declared subjects"):
        fit_calibration(ENCODER, "one", cohort, LabelledPrints(unit_vectors(1, 60), np.full(60, "the same")))
