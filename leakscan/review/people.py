"""Which images of a run belong to one person: what is declared, what is one study, and what leaks link."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from leakscan.harmless import csv_text
from leakscan.review.judged_run import JudgedRun

Unit = Literal["subject", "study", "image"]
UNITS: tuple[Unit, ...] = get_args(Unit)
"""What goes together: all images of a subject and of its studies; of a study; nothing but the image."""

Image = tuple[str, str]
"""Dataset and image id."""


@dataclass(frozen=True)
class Owners:
    """The images of a run, and which of them are one person's.

    Attributes:
        images: The rows of ``images.parquet`` that were read, blank ones included.
        person: ``(n,)`` the number of the person of each image, from 0.
    """

    images: tuple[dict[str, Any], ...]
    person: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls,
        images: Sequence[dict[str, Any]],
        links: Iterable[tuple[Image, Image]] = (),
        unit: Unit = "subject",
        same_ids: bool = False,
    ) -> Owners:
        """Joins images that are one person's.

        Args:
            images: Rows of ``images.parquet``.
            links: Pairs of images of one person, as dataset and image id.
            unit: What else goes together.
            same_ids: Whether an identifier means the same in every dataset.

        Example:
            >>> rows = [
            ...     {"dataset": "A", "image_id": str(i), "subject": s, "study_uid_hash": None, "status": "ok"}
            ...     for i, s in enumerate(["P1", "P1", None, None])
            ... ]
            >>> Owners.of(rows, [(("A", "1"), ("A", "2"))]).person.tolist()
            [0, 0, 0, 1]
        """
        kept = tuple(row for row in images if row["status"] in ("ok", "blank"))
        at = {(row["dataset"], row["image_id"]): i for i, row in enumerate(kept)}
        ends = [(at[a], at[b]) for a, b in links if a in at and b in at]
        columns = {"subject": ("subject", "study_uid_hash"), "study": ("study_uid_hash",), "image": ()}[unit]
        for column in columns:
            first: dict[Hashable, int] = {}
            for i, row in enumerate(kept):
                if row[column]:
                    key = (None if same_ids else row["dataset"], row[column])
                    ends.append((first.setdefault(key, i), i))
        one, other = np.array(ends, np.int64).reshape(-1, 2).T
        graph = coo_matrix((np.ones(len(one), np.int8), (one, other)), shape=(len(kept), len(kept)))
        _, person = connected_components(graph, directed=False)
        return cls(kept, np.asarray(person, np.int64))

    @classmethod
    def of_run(cls, run: JudgedRun, unit: Unit = "subject", decisions: Sequence[str] = ("leak",)) -> Owners:
        """The people of a run folder.

        Args:
            run: The run.
            unit: What goes together beside what pairs link.
            decisions: Which pairs link.

        Example::

            people = Owners.of_run(JudgedRun.open(Path("run")))
            len(set(people.person.tolist()))  # as many people, as far as anybody knows
        """
        links = [
            ((p["dataset_a"], p["image_a"]), (p["dataset_b"], p["image_b"]))
            for p in run.pairs
            if p["decision"] in decisions
        ]
        same_ids = bool(run.summary.get("identity", {}).get("same_ids", "audit" in run.summary))
        return cls.of(list(run.images.values()), links, unit, same_ids)

    @property
    def members(self) -> dict[int, list[int]]:
        """The places of the images of every person, in order."""
        out: dict[int, list[int]] = defaultdict(list)
        for i, person in enumerate(self.person.tolist()):
            out[person].append(i)
        return dict(out)


def to_csv(table: pa.Table) -> str:
    """A table as the text of a CSV file; lists are joined by spaces, and no cell is a formula.

    Example:
        >>> print(to_csv(pa.table({"path": ["a, b.png"], "split": ["test"]})).strip())
        path,split
        "a, b.png",test
    """
    rows = table.to_pylist()
    joined = (
        {n: " ".join(map(str, v)) if isinstance(v, list) else v for n, v in row.items()} for row in rows
    )
    return csv_text(table.column_names, joined)
