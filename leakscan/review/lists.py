"""The list of images to drop from one dataset of a run, so that nobody stands on both sides."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow as pa

from leakscan import tables
from leakscan.errors import UsageError
from leakscan.report.run_folder import RunFolder, write_text
from leakscan.types import RELATIONS

EXCLUSIONS = pa.schema(
    [
        ("dataset", pa.string()),
        ("image_id", pa.string()),
        ("path", pa.string()),
        ("relation", pa.string()),
        ("decision", pa.string()),
        ("because_of", pa.string()),
    ]
)
"""One row per image to drop; ``because_of`` is the strongest partner, as ``dataset/path``."""


def exclusions(run: Path, dataset: str, with_review: bool = False) -> pa.Table:
    """The images of a dataset that leak into another one.

    Args:
        run: A run folder that ``compare`` or ``audit`` wrote.
        dataset: The name of the dataset in the run.
        with_review: Whether images that are only for review are listed too.

    Raises:
        StoreError: ``run`` is no run folder.
        UsageError: The run has no dataset of that name.

    Example::

        drop = exclusions(Path("run"), "test")  # the images of "test" that are in another dataset too
        keep = set(test_paths) - set(drop["path"].to_pylist())
    """
    folder = RunFolder.open(run)
    pairs = folder.read(tables.PAIRS).to_pylist()
    names = sorted(set(folder.read(tables.IMAGES)["dataset"].to_pylist()))
    if dataset not in names:
        raise UsageError(f"The run has no dataset {dataset!r}; it has: {', '.join(names)}.")
    rows: dict[str, dict[str, str | None]] = {}
    ranked = sorted(pairs, key=lambda p: (p["decision"] != "leak", RELATIONS.index(p["relation"])))
    for pair in ranked:
        if pair["decision"] != "leak" and not (with_review and pair["decision"] == "review"):
            continue
        for own, other in (("a", "b"), ("b", "a")):
            if pair[f"dataset_{own}"] != dataset:
                continue
            partner = pair[f"path_{other}"] or pair[f"image_{other}"]
            rows.setdefault(
                pair[f"image_{own}"],
                {
                    "dataset": dataset,
                    "image_id": pair[f"image_{own}"],
                    "path": pair[f"path_{own}"],
                    "relation": pair["relation"],
                    "decision": pair["decision"],
                    "because_of": f"{pair[f'dataset_{other}']}/{partner}",
                },
            )
    ordered = sorted(rows.values(), key=lambda r: (r["path"] or "", r["image_id"] or ""))
    return tables.from_rows(ordered, EXCLUSIONS)


def write_exclusions(table: pa.Table, stem: Path) -> list[Path]:
    """Writes ``STEM.csv`` and ``STEM.parquet`` and returns their paths.

    Raises:
        OutputError: They cannot be written.

    Example:
        >>> row = {"dataset": "test", "image_id": "9f", "path": "b.png", "relation": "same_image"}
        >>> row |= {"decision": "leak", "because_of": "train/a.png"}
        >>> csv_file, _ = write_exclusions(tables.from_rows([row], EXCLUSIONS), Path("drop"))
        >>> print(csv_file.read_text().strip())
        dataset,image_id,path,relation,decision,because_of
        test,9f,b.png,same_image,leak,train/a.png
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, table.column_names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.to_pylist())
    if stem.name in ("", "..") or stem.is_dir():
        raise UsageError(
            "{path} is a folder; name the files in it.",
            "For example {inside}.",
            code="list_is_folder",
            path=stem,
            inside=stem / "exclude",
        )
    paths = [stem.with_name(stem.name + ".csv"), stem.with_name(stem.name + ".parquet")]
    write_text(paths[0], text.getvalue())
    tables.write(table, paths[1])
    return paths
