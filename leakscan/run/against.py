"""Datasets that an earlier run compared with each other, for a run that adds one more."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from leakscan.errors import StoreError, UsageError
from leakscan.report.run_folder import RunFolder
from leakscan.sources.spec import SourceSpec


@dataclass(frozen=True)
class EarlierRun:
    """The datasets of an earlier run.

    Attributes:
        run: The folder of the run.
        names: What the run calls them.
        specs: Where they are.
    """

    run: Path
    names: tuple[str, ...]
    specs: tuple[SourceSpec, ...]

    @classmethod
    def read(cls, run: Path) -> EarlierRun:
        """The datasets of a run folder.

        Args:
            run: The folder.

        Raises:
            StoreError: It is no run folder, or is damaged.
            UsageError: The run does not say where its datasets are.

        Example::

            EarlierRun.read(Path("run")).names  # ('hospital_a', 'hospital_b')
        """
        folder = RunFolder.open(run)
        try:
            sources = dict(json.loads(folder.summary.read_text(encoding="utf-8")).get("sources") or {})
        except (OSError, ValueError, TypeError) as e:
            raise StoreError("{path} is damaged: it is no JSON document.", path=folder.summary) from e
        unknown = [name for name, place in sources.items() if not place]
        if unknown or not sources:
            raise UsageError(
                "The run {path} does not say where its datasets are, because it hides paths or is of an "
                "earlier version.",
                "Compare all datasets by name.",
                code="against_hidden",
                path=run,
            )
        return cls(run, tuple(sources), tuple(map(SourceSpec.parse, sources.values())))

    def name_all(self, names: tuple[str, ...]) -> list[str]:
        """The names of all datasets, those of the run as it has them.

        Args:
            names: The names that the new ones would have.

        Example:
            >>> EarlierRun(Path("run"), ("a",), ()).name_all(("a", "b"))
            ['a', 'a (2)', 'b']
        """
        out = list(self.names)
        for name in names:
            number, own = 1, name
            while own in out:
                number += 1
                own = f"{name} ({number})"
            out.append(own)
        return out
