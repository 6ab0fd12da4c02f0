"""What a training run leaves behind, and what it goes on from.

``config.json`` (settings, films, start), ``metrics.parquet`` (one row per validation),
``curves.png``, ``checkpoint.pt`` (everything a resumed run needs), ``best.safetensors`` and
``last.safetensors`` (averaged weights), ``summary.json``. Every file is written whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from safetensors.torch import save as safetensors_bytes
from torch import nn

from leakscan import tables
from leakscan.errors import OutputError, StoreError, UsageError
from leakscan.training.films.config import TrainConfig, from_json, may_go_on, to_json

METRICS = tables.table_schema(
    "training_metrics",
    [
        ("step", pa.int64()),
        ("loss", pa.float64()),
        ("learning_rate", pa.float64()),
        ("films_per_second", pa.float64()),
        ("val_auc", pa.float64()),
        ("val_fmr", pa.float64()),
        ("val_tar", pa.float64()),
        ("val_tar_1e3", pa.float64()),
        ("val_precision_at_1", pa.float64()),
        ("val_20_way_1_shot", pa.float64()),
        ("best", pa.bool_()),
    ],
)
"""One row per validation; ``loss`` is the mean since the last. ``val_tar`` is at ``val_fmr``."""

Row = dict[str, Any]


def claim(run: Path, config: TrainConfig, about: Mapping[str, Any]) -> None:
    """Makes a run folder, or checks that one goes on with what it began with.

    Args:
        run: the folder.
        config: of this run.
        about: what else must not change between sittings, by name (films, start weights).

    Raises:
        UsageError: the folder is something else, or was begun with other settings.
        OutputError: it cannot be written.
    """
    begin(run, to_json(config), about, lambda begun: may_go_on(from_json(begun), config))


def begin(
    run: Path, config: Any, about: Mapping[str, Any], differs: Callable[[Any], Mapping[str, tuple[Any, Any]]]
) -> None:
    """:func:`claim` for settings of any form.

    Args:
        run: the folder.
        config: of this run, as JSON holds it.
        about: what else must not change between sittings, by name.
        differs: settings that a run was begun with -> which of them must not be otherwise now, by name, with
            both values.
    """
    file = run / "config.json"
    if file.is_file():
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            other, begun_about = {**differs(raw["config"])}, raw["about"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            raise StoreError(f"{file} is damaged: {e}.", "Choose another run folder.") from e
        other |= {
            k: (begun_about.get(k), about[k])
            for k in about
            if json.dumps(begun_about.get(k)) != json.dumps(about[k])
        }
        if other:
            words = "; ".join(f"{k} was {a!r} and is now {b!r}" for k, (a, b) in other.items())
            raise UsageError(
                f"{run} was begun with other settings: {words}.",
                "Go on with those it was begun with, or choose another run folder.",
            )
    elif run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise UsageError(f"{run} exists and is no training run.", "Choose another folder with --output.")
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise OutputError(f"Cannot make the folder {run}: {e.strerror or e}.") from e
    write_json(file, {"config": config, "about": dict(about)})


def read_config(run: Path) -> TrainConfig:
    """The settings a run was begun with.

    Raises:
        StoreError: the folder holds no readable ``config.json``.
    """
    try:
        return from_json(json.loads((run / "config.json").read_text(encoding="utf-8"))["config"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise StoreError(f"{run} is no training run: its config.json cannot be read.") from e


def write_json(path: Path, value: Any) -> None:
    """Writes a document whole or not at all."""
    whole(path, lambda part: part.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8"))


def whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Lets ``write`` fill a file of another name, then gives it its own.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        write(part)
        part.replace(path)
    except (OSError, RuntimeError) as e:  # torch.save turns a full disk into a RuntimeError
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise OutputError(
            f"Cannot write {path}: {getattr(e, 'strerror', None) or e}.",
            "Free some space; the last checkpoint is whole, and the same command goes on from it.",
        ) from e


def read_rows(run: Path, up_to: int) -> list[Row]:
    """Rows of metrics of steps up to ``up_to``; later ones will be made again."""
    path = run / "metrics.parquet"
    if not path.is_file():
        return []
    rows: list[Row] = tables.read(path, METRICS).to_pylist()
    return [row for row in rows if row["step"] <= up_to]


def write_rows(run: Path, rows: Sequence[Row]) -> None:
    """Writes ``metrics.parquet`` and ``curves.png``."""
    tables.write(tables.from_rows(rows, METRICS), run / "metrics.parquet")
    whole(run / "curves.png", lambda part: _draw(rows, part))


def _draw(rows: Sequence[Row], path: Path) -> None:
    from matplotlib.figure import Figure

    steps = [r["step"] for r in rows]
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(steps, [r["loss"] for r in rows], color="tab:gray", marker=".")
    left.set(xlabel="step", ylabel="loss (mean since the last validation)", title="Training")
    rates = [r["val_fmr"] for r in rows if r["val_fmr"] is not None]
    lines = {
        "val_auc": "AUC",
        "val_tar": f"TAR at FMR {rates[0]:g}" if rates else "TAR",
        "val_precision_at_1": "P@1",
        "val_20_way_1_shot": "20-way 1-shot",
    }
    for column, label in lines.items():
        if any(r[column] is not None for r in rows):
            values = [math.nan if r[column] is None else r[column] for r in rows]
            right.plot(steps, values, label=label, marker=".")
    for row in [r for r in rows if r["best"]][-1:]:
        right.axvline(row["step"], color="black", linestyle=":", label=f"best: step {row['step']}")
    right.set(xlabel="step", ylim=(0, 1.02), title="Validation, subjects weighted equally")
    right.legend(loc="lower right")
    figure.savefig(path, format="png", dpi=100)


def save_checkpoint(run: Path, state: Mapping[str, Any]) -> None:
    """Writes ``checkpoint.pt``: tensors and plain numbers only."""
    whole(run / "checkpoint.pt", lambda part: torch.save(dict(state), part))


def load_checkpoint(run: Path) -> dict[str, Any] | None:
    """The last checkpoint, ``None`` before the first.

    Raises:
        StoreError: it is damaged.
    """
    path = run / "checkpoint.pt"
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:  # torch raises half a dozen kinds for a damaged file
        raise StoreError(
            f"The checkpoint {path} cannot be read: {e}.", "Delete it to start the run anew."
        ) from e
    return state


def save_weights(path: Path, net: nn.Module, about: Mapping[str, Any]) -> None:
    """Weights of a network as safetensors, with what ``about`` says as text beside them."""
    state = {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}
    raw = safetensors_bytes(state, {k: str(v) for k, v in about.items()})
    whole(path, lambda part: part.write_bytes(raw))
