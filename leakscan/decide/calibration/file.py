"""A calibration as one safetensors file, beside an encoder's card or wherever a user wants it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from leakscan.decide.calibration.calibration import MOST_DETAIL_P, Calibration, Genuine, Strangers
from leakscan.decide.calibration.flaws import flaw_of
from leakscan.decide.calibration.likelihood import JointEvidence
from leakscan.decide.calibration.tail import Tail
from leakscan.errors import ModelError, OutputError, reason
from leakscan.writable import remove_old

FORMAT = 1
FILE = "calibration.safetensors"
"""The name of an encoder's own calibration, beside its card."""


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Writes one file, whole or not at all.

    Raises:
        OutputError: The file cannot be written.

    Example:
        ``write_calibration(fitted, Path("ours.safetensors"))``
    """
    about: dict[str, Any] = {
        "format": FORMAT,
        "encoder": calibration.encoder,
        "source": calibration.source,
        "top": calibration.top,
        "decides": calibration.decides,
        "one_collection": calibration.one_collection,
        "tail": calibration.tail.to_json(),
    }
    if calibration.joint is not None and calibration.joint_tail is not None:
        about |= {
            "joint": calibration.joint.to_json(),
            "joint_tail": calibration.joint_tail.to_json(),
            "look_p": calibration.detail_p,
            "look": calibration.detail_digest,
            "strangers_found": None
            if calibration.strangers is None
            else [calibration.strangers.at, calibration.strangers.rise],
        }
    tensors: dict[str, npt.NDArray[Any]] = {
        "cohort": np.ascontiguousarray(calibration.cohort),
        "genuine_score": np.ascontiguousarray(calibration.genuine.score),
        "genuine_owner": np.ascontiguousarray(calibration.genuine.owner),
    }
    if calibration.genuine.found is not None:
        tensors["genuine_found"] = np.ascontiguousarray(calibration.genuine.found)
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_old(part)
        save_file(tensors, part, {"leakscan": json.dumps(about)})
        part.replace(path)
    except (OSError, SafetensorError) as e:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise OutputError(f"The calibration {{path}} cannot be written: {reason(e)}.", path=path) from e


def is_calibration(path: Path) -> bool:
    """Whether a file is a calibration, of whatever encoder.

    Example:
        >>> _ = Path("notes.txt").write_text("Not a calibration.")
        >>> is_calibration(Path("notes.txt"))
        False
    """
    try:
        with safe_open(path, "numpy") as f:
            return "leakscan" in (f.metadata() or {})
    except (OSError, SafetensorError):
        return False


def read_calibration(path: Path, encoders: Collection[str]) -> Calibration:
    """Reads a calibration and checks that it is this encoder's.

    Args:
        path: The file.
        encoders: The encoders in use as name@digest, one of which it must belong to.

    Raises:
        ModelError: The file is missing, damaged, of another format, or of another encoder.

    Example:
        ``calibration = read_calibration(folder / FILE, [card.encoder])``
    """
    try:
        with safe_open(path, "numpy") as f:
            about = json.loads((f.metadata() or {})["leakscan"])
            tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118
        if about["format"] != FORMAT:
            raise ModelError(
                f"{{path}} is written in another format than {FORMAT}.", "Update leakscan.", path=path
            )
        found = Calibration(
            encoder=about["encoder"],
            source=about["source"],
            cohort=tensors["cohort"],
            top=_whole_number(about["top"]),
            tail=Tail.from_json(about["tail"]),
            genuine=Genuine(tensors["genuine_score"], tensors["genuine_owner"], tensors.get("genuine_found")),
            decides=_yes_or_no(about["decides"]),
            one_collection=_yes_or_no(about.get("one_collection", False)),
            joint=JointEvidence.from_json(about["joint"]) if "joint" in about else None,
            joint_tail=Tail.from_json(about["joint_tail"]) if "joint_tail" in about else None,
            detail_p=float(about.get("look_p", MOST_DETAIL_P)),
            detail_digest=about.get("look", ""),
            strangers=_strangers(about.get("strangers_found")),
        )
        flaw = flaw_of(found)
    except ModelError as e:  # of a part, which does not know its file
        sentence = e.sentence if "{path}" in e.sentence else f"{{path}} cannot be used. {e.sentence}"
        raise ModelError(sentence, e.hint_sentence, code=e.code, path=path) from e
    except FileNotFoundError:
        raise ModelError(
            "There is no calibration {path}.",
            "calibrate(source, output) makes one.",
            code="calibration_missing",
            path=path,
        ) from None
    except (
        OSError,
        SafetensorError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as e:
        raise ModelError(f"{{path}} is no calibration, or it is damaged: {reason(e)}.", path=path) from e
    if flaw:
        raise ModelError(
            f"{{path}} is damaged or was altered: {flaw}.",
            "Make it again with calibrate(source, output).",
            code="calibration_of_another_encoder",
            path=path,
        )
    if found.encoder not in encoders:
        raise ModelError(
            f"{{path}} calibrates {found.encoder}, but the fingerprints are made by "
            f"{', '.join(encoders) or 'no encoder'}.",
            "Make it again with calibrate(source, output).",
            code="calibration_of_another_encoder",
            path=path,
        )
    return found


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("a field that is true or false is neither")
    return value


def _whole_number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("a field that is a whole number is none")
    return value


def _strangers(found: Any) -> Strangers | None:
    """How well strangers match in detail; files of earlier versions have one number, that of all of them."""
    if found is None:
        return None
    return Strangers(*map(float, found)) if isinstance(found, list) else Strangers(float(found))
