"""What a run found, for Python callers and notebooks."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pyarrow as pa

from leakscan.errors import UsageError
from leakscan.report.notebook import FirstPictures, render_notebook
from leakscan.report.run_folder import RunFolder
from leakscan.report.run_tables import RunTables
from leakscan.review.lists import Policy, exclusions, write_list
from leakscan.run.open_review import OpenReview
from leakscan.setting_words import nearest

W = TypeVar("W")


@dataclass(frozen=True, kw_only=True, repr=False)
class Result:
    """What a run found; the tables are those of the run folder.

    The tables are Arrow tables: ``result.pairs.to_pandas()``, ``polars.from_arrow(result.pairs)``, and with
    ``pairs = result.pairs`` also ``duckdb.sql("from pairs")``.

    Attributes:
        images: One row per image of every dataset.
        fingerprints: One row per image; null where it has no fingerprint.
        pairs: The pairs that are leaks or for review: leaks first, each by probability.
        subjects: Images that leaks link to one subject.
        summary: What ``summary.json`` holds.
        exit_code: 0 no leak, 1 leak, 3 could not vouch.
        folder: The run folder, ``None`` where none was written.
        pictures: Makes the pictures of the first pairs for a notebook; ``None`` shows none.

    Example::

        result = leakscan.compare("hospital_a", "hospital_b", output="run")
        result  # in a notebook: the answer, and the first pairs as pictures
        result.review()  # a page for deciding about the pairs
        drop = result.exclude("hospital_b").to_pandas()
        splits = result.split("80/10/10", stratify="diagnosis", manifest="films.csv").to_pandas()
    """

    images: pa.Table
    fingerprints: pa.Table
    pairs: pa.Table
    subjects: pa.Table
    summary: dict[str, Any]
    exit_code: int
    folder: Path | None = None
    pictures: FirstPictures | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        """The answer, not the tables."""
        told = self.summary["answer"]["headline"]
        where = f", folder={str(self.folder)!r}" if self.folder is not None else ""
        return f"<Result exit_code={self.exit_code}: {told}; {self.pairs.num_rows:,} pairs{where}>"

    def _repr_html_(self) -> str:
        """The answer and the first pairs, for a notebook."""
        folder = None if self.folder is None else RunFolder(self.folder)
        return render_notebook(self.summary, self.pairs, folder, self.pictures)

    def exclude(
        self, dataset: str | None = None, *, output: str | os.PathLike[str] | None = None, **policy: Any
    ) -> pa.Table:
        """The images to drop; see :func:`leakscan.review.lists.exclusions`.

        Args:
            dataset: The dataset to drop from; ``None`` chooses for each person the one that loses least.
            output: The stem of a list to write, ``.csv`` and ``.parquet``; ``None`` writes nothing.
            policy: More fields of :class:`leakscan.review.lists.Policy`, such as ``unit="study"``.

        Raises:
            UsageError: The run has no such dataset, or a wish is unknown.

        Example::

            keep = set(paths) - set(result.exclude("train")["path"].to_pylist())
        """
        with self._as_folder() as run:
            drop = exclusions(run, _wishes(Policy, {"dataset": dataset, **policy})).drop
        if output is not None:
            write_list(drop, Path(output))
        return drop

    def split(
        self, ratios: str = "80/10/10", *, output: str | os.PathLike[str] | None = None, **wishes: Any
    ) -> pa.Table:
        """A split that nobody crosses; see :func:`leakscan.run.split.split`.

        Args:
            ratios: Shares such as ``80/10/10`` or ``train=70/test=30``.
            output: The stem of a list to write, ``.csv`` and ``.parquet``; ``None`` writes nothing.
            wishes: More fields of :class:`leakscan.run.split.SplitWishes`, such as ``stratify="folder"``.

        Raises:
            UsageError: The wishes do not fit.

        Example::

            result.split("70/30", stratify="diagnosis", manifest="films.csv", output="split")
        """
        from leakscan.run.split import SplitWishes, split_run

        if wishes.get("manifest") is not None:
            wishes["manifest"] = Path(wishes["manifest"])
        with self._as_folder() as run:
            table = split_run(run, _wishes(SplitWishes, {"ratios": ratios, **wishes})).table
        if output is not None:
            write_list(table, Path(output))
        return table

    def review(self, **options: Any) -> OpenReview:
        """Opens the page for deciding about the pairs, while the program or notebook goes on.

        Args:
            options: Fields of :class:`leakscan.review.page.server.ReviewOptions`, such as ``blind=True``.

        Returns:
            The open review: its link, and :meth:`~leakscan.run.open_review.OpenReview.stop`.

        Raises:
            UsageError: The run wrote no folder, an option is unknown, or a package of the extra ``review`` is
                missing.

        Example::

            with result.review(reviewer="ann") as review:
                print(review.link)
                input("Press Enter when you are done. ")
        """
        from leakscan.review.page.server import ReviewOptions

        if options.get("verdicts") is not None:
            options["verdicts"] = Path(options["verdicts"])
        if self.folder is None:
            raise UsageError(
                "This run wrote no folder, and a review keeps its verdicts in one.",
                'Name one: leakscan.compare(..., output="run").',
            )
        return OpenReview(self.folder, _wishes(ReviewOptions, options))

    @contextmanager
    def _as_folder(self) -> Iterator[Path]:
        """The run folder; where none was written, one with the same tables that goes again."""
        if self.folder is not None:
            yield self.folder
            return
        with TemporaryDirectory() as place:
            folder = RunFolder(Path(place) / "run")
            found = RunTables(self.images, self.fingerprints, self.pairs, self.subjects, ())
            folder.write(found, self.summary, page="")
            yield folder.path


def _wishes(kind: type[W], given: dict[str, Any]) -> W:
    """Wishes of a kind by name.

    Raises:
        UsageError: There is no such wish.
    """
    known = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for name in given:
        if name not in known:
            raise UsageError(f"There is no choice {name!r}.", nearest(name, known, "Choices"))
    return kind(**given)
