"""Writes an evaluation: the long table, its headlines as JSON, and one page for people."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from jinja2 import Environment, PackageLoader, select_autoescape

from leakscan import tables
from leakscan.errors import OutputError
from leakscan.writable import check_writable

EVALUATION = tables.table_schema(
    "evaluation",
    [
        ("system", pa.string()),
        ("protocol", pa.string()),
        ("metric", pa.string()),
        ("weighting", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("n_images", pa.int64()),
        ("n_subjects", pa.int64()),
        ("n_genuine", pa.int64()),
        ("n_impostor", pa.int64()),
    ],
)
"""One row per system, protocol, metric and weighting; ``low`` and ``high`` bound 95 %."""

HEADLINES = {
    "auc": "AUC",
    "eer": "EER",
    "tar@fmr=0.01": "TAR at FMR 1e-2",
    "tar@fmr=0.001": "TAR at FMR 1e-3",
    "tar@fmr=0.0001": "TAR at FMR 1e-4",
    "tar@fmr=1e-05": "TAR at FMR 1e-5",
    "p_at_1": "P@1",
    "looked.p_at_1": "P@1, ten nearest ranked by detail",
    "map_at_r": "mAP@R",
    "20_way_1_shot.mean_recall": "20-way 1-shot",
    "100_way_1_shot.mean_recall": "100-way 1-shot",
    "250_way_1_shot.mean_recall": "250-way 1-shot",
    "80_way_5_shot.mean_recall": "80-way 5-shot, Mean-Recall@5",
    "80_way_5_shot.all_k": "80-way 5-shot, all 5",
    "80_way_5_shot.hit": "80-way 5-shot, Hit@5",
    "one_of_5.tar@fmr=0.001": "TAR at FMR 1e-3, one of 5 images",
    "fused_5.tar@fmr=0.001": "TAR at FMR 1e-3, the 5 together",
    "miasd": "mean distance within subjects (MIASD)",
    "miesd": "mean distance between subjects (MIESD)",
    "silhouette": "silhouette",
}
"""Metric -> what people call it, in the order of tables."""

_FEW = (
    30  # subjects; resampling fewer is known to give intervals that hold the truth less than 95 % of the time
)

_FILE = "evaluation.json"  # written last: a folder that has it is complete
_PICTURES = {
    "det.png": "Detection error trade-off: lower is better. Solid lines are encoders.",
    "distances.png": "Distances within and between subjects. What overlaps cannot be told apart.",
    "tsne.png": "t-SNE of images before and after training; some subjects in colours. Axes mean nothing.",
    "similarity.png": "Similarities of some subjects' images, sorted by subject: bright squares on the "
    "diagonal are what is wanted.",
}


def check_folder(folder: Path, overwrite: bool) -> None:
    """Refuses a folder that cannot be written, before any work is done.

    Raises:
        OutputError: It exists and may not be overwritten, holds files that are no evaluation's, or lies
            where nothing may be written.

    Example:
        >>> Path("notes").mkdir()
        >>> _ = Path("notes/notes.txt").write_text("mine")
        >>> check_folder(Path("notes"), overwrite=True)
        Traceback (most recent call last):
        leakscan.errors.OutputError: notes holds no evaluation, so it is not overwritten.
        Choose another folder.
    """
    check_writable(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(
            "{path} is a file, not a folder.", "Choose another folder.", code="output_taken", path=folder
        )
    if not any(folder.iterdir()):
        return
    if not overwrite:
        raise OutputError(
            "{path} exists already.",
            "Choose another folder, or pass overwrite=True.",
            code="output_exists",
            path=folder,
        )
    if not (folder / _FILE).is_file():
        raise OutputError(
            "{path} holds no evaluation, so it is not overwritten.",
            "Choose another folder.",
            code="output_taken",
            path=folder,
        )


def write_evaluation(
    folder: Path,
    document: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    pictures: Mapping[str, bytes],
) -> dict[str, Any]:
    """Writes everything beside the folder and then moves it in, ``evaluation.json`` last.

    Args:
        folder: The folder to write; it is made where there is none.
        document: What was evaluated.
        rows: The rows of the table.
        pictures: File name -> PNG.

    Returns:
        The document with ``answer``, ``headlines`` and ``by_pairs``, as ``evaluation.json`` holds it.

    Raises:
        OutputError: The disk is full or the folder cannot be written.

    Example::

        complete = write_evaluation(Path("evaluation"), document, rows, {"det.png": png})
        print(*complete["answer"])  # and evaluation/evaluation.html says it with pictures
    """
    complete = {
        **document,
        "answer": _plain_words(document, rows),
        "headlines": headlines(rows),
        "by_pairs": headlines(_by_pairs(rows)),
    }
    part = folder.with_name(folder.name + ".part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        tables.write(tables.from_rows(rows, EVALUATION), part / "evaluation.parquet")
        for name, png in pictures.items():
            (part / name).write_bytes(png)
        (part / "evaluation.html").write_text(_page(complete, rows, pictures), encoding="utf-8")
        (part / _FILE).write_text(json.dumps(complete, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        folder.mkdir(exist_ok=True)
        (folder / _FILE).unlink(missing_ok=True)
        for path in sorted(part.iterdir(), key=lambda p: p.name == _FILE):
            path.replace(folder / path.name)
    except OSError as e:
        raise OutputError(f"The folder {folder} cannot be written: {e.strerror or e}.") from e
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(part, ignore_errors=True)
    return complete


def headlines(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """System -> protocol -> metric -> ``[value, low, high]``, subjects weighted equally.

    MIESD has no such weighting; it is that of all pairs.

    Example:
        >>> row = {"system": "cxr-lite0", "protocol": "all", "metric": "auc", "weighting": "subjects"}
        >>> headlines([{**row, "value": 0.99512, "low": 0.9937, "high": 0.9964}])
        {'cxr-lite0': {'all': {'auc': [0.9951, 0.9937, 0.9964]}}}
    """
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        if row["weighting"] == "subjects" or row["metric"] == "miesd":
            figure = [None if v is None else round(v, 4) for v in (row["value"], row["low"], row["high"])]
            out.setdefault(row["system"], {}).setdefault(row["protocol"], {})[row["metric"]] = figure
    return out


def _by_pairs(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows in which every pair counts the same, for :func:`headlines`."""
    return [{**row, "weighting": "subjects"} for row in rows if row["weighting"] == "pairs"]


def _plain_words(document: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was found, in sentences, one encoder after the other.

    Args:
        document: What was evaluated.
        rows: The rows of the table.
    """
    out = []
    for system, role in document["systems"].items():
        if role != "encoder":
            continue
        found = {
            r["metric"]: r
            for r in rows
            if r["system"] == system and r["protocol"] == "all" and r["weighting"] == "subjects"
        }
        words = [
            f"{system} gives a pair of one subject a higher score than a pair of strangers "
            f"{_percent(found['auc'])} of the time."
        ]
        for rate in (1e-3, 1e-2):
            if tar := found.get(f"tar@fmr={rate:g}"):
                words.append(
                    f"Where 1 in {round(1 / rate):,} pairs of strangers passes for one subject, it "
                    f"recognises {_percent(tar)} of an average subject's pairs."
                )
                break
        words.append(f"The nearest image is of the same subject in {_percent(found['p_at_1'])} of cases.")
        if by_detail := found.get("looked.p_at_1"):
            words.append(
                f"Where a detail match ranks the ten nearest again, the first is in {_percent(by_detail)}."
            )
        if shot := found.get("20_way_1_shot.mean_recall"):
            words.append(f"Among 20 subjects with one image each it picks the right one {_percent(shot)}.")
        refused = document["gate_refused"].get(system)
        if refused is not None:
            words.append(
                f"Its gate would refuse {refused:.1%} of these images; the figures are of all of them."
            )
        out.append(" ".join(words))
    if trained_on := document["of_split_train"]:
        out.append(
            f"The manifest gives {trained_on:,} of its images to the split train. "
            "Of an encoder that was trained on them, these figures mean nothing; choose another split."
        )
    if (several := document["subjects_with_two_or_more"]) < _FEW:
        out.append(
            f"Subjects with two or more images: {several}. Intervals come of resampling them and are too "
            "narrow for so few."
        )
    return out


def _percent(row: Mapping[str, Any]) -> str:
    text = f"{row['value']:.1%}"
    return text if row["low"] is None else f"{text} ({row['low']:.1%} to {row['high']:.1%})"


def _figure_text(figure: Sequence[float | None] | None) -> str:
    """``0.631 (0.588 to 0.673)``, or nothing."""
    if figure is None or figure[0] is None:
        return ""
    value, low, high = figure
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


def headline_table(
    lines: Mapping[str, Mapping[str, Mapping[str, Sequence[float | None]]]], protocol: str
) -> tuple[list[str], list[list[str]]]:
    """Columns and rows for one protocol: a metric a row, a system a column.

    Args:
        lines: What :func:`headlines` gives.
        protocol: The name of the protocol.

    Example:
        >>> columns, rows = headline_table({"cxr-lite0": {"all": {"auc": [0.9951, 0.9937, 0.9964]}}}, "all")
        >>> columns, rows
        (['', 'cxr-lite0'], [['AUC', '0.995 (0.994 to 0.996)']])
    """
    systems = [s for s in lines if protocol in lines[s]]
    rows = []
    for metric, words in HEADLINES.items():
        cells = [_figure_text(lines[s][protocol].get(metric)) for s in systems]
        if any(cells):
            rows.append([words, *cells])
    return ["", *systems], rows


def _page(
    document: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], pictures: Mapping[str, bytes]
) -> str:
    environment = Environment(
        loader=PackageLoader("leakscan.evaluation"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
    )
    protocols = []
    for name, words in document["protocols"].items():
        columns, body = headline_table(document["headlines"], name)
        first = next((r for r in rows if r["protocol"] == name and r["metric"] == "auc"), None)
        if first is None:
            continue
        protocols.append(
            {
                "name": name,
                "words": words,
                "columns": columns,
                "rows": body,
                "pairs": headline_table(document["by_pairs"], name),
                "genuine": first["n_genuine"],
                "impostor": first["n_impostor"],
                "subjects": max(
                    r["n_subjects"] for r in rows if r["protocol"] == name and r["metric"] == "auc"
                ),
            }
        )
    shown = [
        {"data": base64.b64encode(pictures[name]).decode(), "words": words}
        for name, words in _PICTURES.items()
        if name in pictures
    ]
    return environment.get_template("evaluation.html.jinja").render(
        document=document, protocols=protocols, pictures=shown
    )
