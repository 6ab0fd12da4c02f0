"""What only an audit can say: shared declared subjects, and one person under two names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pyarrow as pa

from leakscan.fingerprint.pipeline import Dataset

_PAIRS_LISTED = 100  # in the summary; all of them are in pairs.parquet
_OUTSIDE_LISTED = 20


@dataclass(frozen=True)
class AuditFacts:
    """The ``audit`` section of a summary.

    Attributes:
        outside: Names of what stands outside every split.
        hide_paths: Whether those names and the source stay out of the summary.
        source: The folder or manifest.
        split_column: The column of a manifest that names the split.
    """

    outside: Sequence[str]
    hide_paths: bool
    source: str
    split_column: str

    def of(self, pairs: pa.Table, splits: Sequence[Dataset]) -> dict[str, Any]:
        """The section, from the pairs that were found between the splits.

        Args:
            pairs: A table of the schema ``tables.PAIRS``.
            splits: The splits as datasets.
        """
        declared = [{s for s in split.rows["subject"].to_pylist() if s} for split in splits]
        shared: dict[str, int] = {}
        for one, other in combinations(range(len(splits)), 2):
            if common := len(declared[one] & declared[other]):
                shared[f"{splits[one].name} × {splits[other].name}"] = common
        everywhere = {s for one, other in combinations(declared, 2) for s in one & other}
        contradictions = _contradictions(pairs)
        readable = self.source.isprintable() and self.source.encode(errors="replace").decode() == self.source
        return {
            "source": self.source if readable and not self.hide_paths else None,
            "split_column": self.split_column,
            "n_outside_splits": len(self.outside),
            "outside_splits": [] if self.hide_paths else list(self.outside[:_OUTSIDE_LISTED]),
            "shared_subjects": len(everywhere),
            "shared_subjects_by_pair": shared,
            "contradictions": len(contradictions),
            "contradicting_pairs": contradictions[:_PAIRS_LISTED],
        }


def _contradictions(pairs: pa.Table) -> list[dict[str, str]]:
    """Leaks that join two declared subjects: a label error, or a false pair."""
    return [
        {
            "a": f"{p['dataset_a']}/{p['path_a'] or p['image_a']}",
            "b": f"{p['dataset_b']}/{p['path_b'] or p['image_b']}",
            "relation": p["relation"],
        }
        for p in pairs.to_pylist()
        if p["decision"] == "leak" and p["subject_a"] and p["subject_b"] and p["subject_a"] != p["subject_b"]
    ]
