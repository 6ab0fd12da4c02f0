"""The folder of a training run: what it was begun with, and files that are written whole or not at all.

``config.json`` holds the settings and what else must not change between sittings. The files that a run
fills as it goes are described in :mod:`leakscan.training.trainer`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from safetensors.torch import save as safetensors_bytes
from torch import nn

from leakscan.errors import OutputError, StoreError, UsageError
from leakscan.training.settings import TrainingSettings, from_names, may_go_on
from leakscan.writable import remove_old

S = TypeVar("S", bound=TrainingSettings)

CONFIG = "config.json"
SUMMARY = "summary.json"


def claim(folder: Path, config: TrainingSettings, about: Mapping[str, Any]) -> None:
    """Makes the folder of a run, or checks that a run goes on with what it was begun with.

    Args:
        folder: The folder of the run.
        config: The settings of this sitting. Those that are its ``pace`` may differ from before.
        about: What else must not change between sittings, by name: images, start weights.

    Raises:
        UsageError: The folder is something else, or the run was begun with other settings.
        StoreError: The folder's ``config.json`` is damaged.
        OutputError: The folder cannot be written.

    Example:
        >>> from leakscan.training.detail.config import DetailConfig
        >>> claim(Path("run"), DetailConfig(anchors=16), {"films": "8c1f"})
        >>> claim(Path("run"), DetailConfig(anchors=32), {"films": "8c1f"})
        Traceback (most recent call last):
        ...
        leakscan.errors.UsageError: run was begun with other settings: anchors was 16 and is now 32.
        Go on with those it was begun with, or choose another run folder.
    """
    file = folder / CONFIG
    if file.is_file():
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            begun, begun_about = from_names(type(config), raw["config"]), dict(raw["about"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            raise StoreError(f"{file} is damaged: {e}.", "Choose another run folder.") from e
        other = may_go_on(begun, config) | {
            name: (begun_about.get(name), value)
            for name, value in about.items()
            if json.dumps(begun_about.get(name)) != json.dumps(value)
        }
        if other:
            words = "; ".join(f"{name} was {a!r} and is now {b!r}" for name, (a, b) in other.items())
            raise UsageError(
                f"{folder} was begun with other settings: {words}.",
                "Go on with those it was begun with, or choose another run folder.",
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is no training run.", "Choose another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise OutputError(f"Cannot make the folder {folder}: {e.strerror or e}.") from e
    write_json(file, {"config": config.model_dump(mode="json"), "about": dict(about)})


def read_config(folder: Path, model: type[S]) -> S:
    """The settings that a run was begun with.

    Args:
        folder: The folder of the run.
        model: The kind of settings.

    Raises:
        StoreError: The folder holds no readable ``config.json``.

    Example:
        >>> from leakscan.training.detail.config import DetailConfig
        >>> claim(Path("run"), DetailConfig(anchors=16), {})
        >>> read_config(Path("run"), DetailConfig).anchors
        16
    """
    try:
        return from_names(model, json.loads((folder / CONFIG).read_text(encoding="utf-8"))["config"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise StoreError(f"{folder} is no training run: its config.json cannot be read.") from e


def write_json(path: Path, value: Any) -> None:
    """Writes a document whole or not at all.

    Raises:
        OutputError: The file cannot be written.

    Example:
        >>> write_json(Path("summary.json"), {"steps": 100})
        >>> json.loads(Path("summary.json").read_text())
        {'steps': 100}
    """
    whole(path, lambda part: part.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8"))


def save_weights(path: Path, net: nn.Module, about: Mapping[str, Any]) -> None:
    """Writes the weights of a network as safetensors.

    Args:
        path: The file to write.
        net: The network.
        about: What the file says of itself, as text beside the tensors.

    Raises:
        OutputError: The file cannot be written.

    Example:
        >>> from safetensors.torch import load_file
        >>> save_weights(Path("net.safetensors"), nn.Linear(3, 2), {"step": 100})
        >>> load_file("net.safetensors")["weight"].shape
        torch.Size([2, 3])
    """
    state = {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}
    raw = safetensors_bytes(state, {k: str(v) for k, v in about.items()})
    whole(path, lambda part: part.write_bytes(raw))


def whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Lets ``write`` fill a file of another name, then gives it its own.

    Args:
        path: The file to make.
        write: Fills the file that it gets the path of.

    Raises:
        OutputError: The disk is full or the folder cannot be written.

    Example:
        >>> whole(Path("words.txt"), lambda part: part.write_text("all or nothing"))
        >>> Path("words.txt").read_text()
        'all or nothing'
    """
    part = path.with_name(path.name + ".part")
    try:
        remove_old(part)
        write(part)
        part.replace(path)
    except (OSError, RuntimeError) as e:  # torch.save turns a full disk into a RuntimeError
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        is_torchs = isinstance(e, RuntimeError) and "inline_container" in str(e)  # which hides the reason
        words = getattr(e, "strerror", None) or ("the disk is full, or fails" if is_torchs else e)
        raise OutputError(
            f"Cannot write {path}: {words}.",
            "Free some space; the last checkpoint is whole, and the same command goes on from it.",
        ) from e
