"""What of a finished run a person can say something about, and the verdict that comes of it."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from leakscan import tables
from leakscan.errors import StoreError, UsageError
from leakscan.report.run_folder import RunFolder
from leakscan.review.verdicts import Scope, Verdict, Word
from leakscan.types import RELATIONS

Person = str
"""One person of a run: a declared subject of one dataset, else a picture without one."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a person says, before it is known of what.

    Attributes:
        by: The name of the person.
        verdict: The word.
        note: A remark.
        reason: Why an overlap is wanted.
        until: The last day on which it holds.
        blind: Whether scores and labels were hidden until it was given.
    """

    by: str
    verdict: Word
    note: str = ""
    reason: str = ""
    until: dt.date | None = None
    blind: bool = False


class _Images(dict[tuple[str, str], dict[str, Any]]):
    """The images of a run, which says so where its tables do not belong together."""

    def __init__(self, path: Path, rows: Mapping[tuple[str, str], dict[str, Any]]) -> None:
        super().__init__(rows)
        self._path = path

    def __missing__(self, key: tuple[str, str]) -> dict[str, Any]:
        raise StoreError(
            "The tables of {path} do not belong together: pairs.parquet names an image that images.parquet "
            "does not hold.",
            "Make the run again.",
            path=self._path,
        )


class JudgedRun:
    """The pairs of a run folder as things to give verdicts on. The images are not needed.

    A row is the place of a pair in ``pairs.parquet``, from 0.

    Args:
        folder: A complete run folder.

    Example::

        run = JudgedRun.open(Path("run"))
        for rows in run.person_pairs.values():  # each is one pair of people, with the rows of all their films
            verdict = run.verdict(rows, Said(by="ann", verdict="different"), scope="subjects")
            VerdictFile(Path("verdicts.parquet")).append([verdict])
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.pairs: list[dict[str, Any]] = folder.read(tables.PAIRS).to_pylist()
        """The rows of ``pairs.parquet``."""

    @classmethod
    def open(cls, run: Path) -> JudgedRun:
        """The run of a folder, wherever that lies now.

        Raises:
            StoreError: It is no run folder, or a table of it is damaged.
        """
        return cls(RunFolder.open(run))

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What ``summary.json`` holds."""
        return self.folder.read_summary()

    @cached_property
    def images(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The row of ``images.parquet`` of every image, by dataset and image id."""
        rows = self.folder.read(tables.IMAGES).to_pylist()
        return _Images(self.folder.path, {(row["dataset"], row["image_id"]): row for row in rows})

    @cached_property
    def person_pairs(self) -> dict[tuple[Person, Person], list[int]]:
        """The rows of every two people, in the order of their strongest row; both names are sorted."""
        out: dict[tuple[Person, Person], list[int]] = defaultdict(list)
        for row in range(len(self.pairs)):
            one, other = sorted((self.person(row, "a"), self.person(row, "b")))
            out[one, other].append(row)
        return dict(out)

    def person(self, row: int, side: Literal["a", "b"]) -> Person:
        """Who one side of a pair is: the declared subject, else the picture."""
        pair = self.pairs[row]
        subject = pair[f"subject_{side}"]
        return f"{pair[f'dataset_{side}']}\n{subject}" if subject else self.picture(row, side)

    def picture(self, row: int, side: Literal["a", "b"]) -> str:
        """The pixel hash of one side of a pair."""
        pair = self.pairs[row]
        image = self.images[pair[f"dataset_{side}"], pair[f"image_{side}"]]
        return str(image["pixel_hash"] or "")

    def verdict(
        self, rows: Sequence[int], said: Said, scope: Scope = "pair", side: Literal["a", "b"] = "a"
    ) -> Verdict:
        """A verdict on some pairs of the run, with the evidence for them.

        Args:
            rows: One row for a pair; all rows of two people for ``subjects``, of one person for
                ``subject``, of two datasets for ``datasets``. The strongest comes first.
            said: What the person says.
            scope: What it is about.
            side: Which side of the first row is meant, where the verdict is on one subject.

        Raises:
            UsageError: The rows are not all about the same thing, or the verdict cannot be given of that.
        """
        if not rows:
            raise UsageError("A verdict needs at least one pair.")
        first = self.pairs[rows[0]]
        ends = {"a": self.person(rows[0], "a"), "b": self.person(rows[0], "b")}
        if scope == "subjects" and any(self._people(row) != set(ends.values()) for row in rows):
            raise UsageError("The pairs of one verdict must be of the same two people.")
        if scope == "pair" and len(rows) != 1:
            raise UsageError("A verdict of scope pair is about one pair.")
        if scope == "subject" and any(ends[side] not in self._people(row) for row in rows):
            raise UsageError("The pairs of one verdict must all be of that person.")
        own, other = ("b", "a") if side == "b" else ("a", "b")
        sides = {"a": self._pictures(rows, ends[own]), "b": self._pictures(rows, ends[other])}
        strongest = min((self.pairs[row]["relation"] for row in rows), key=RELATIONS.index)
        clear = self._in_clear
        alone = scope == "subject"
        by_name = scope == "datasets"
        return Verdict(
            by=said.by,
            verdict=said.verdict,
            scope=scope,
            dataset_a=first[f"dataset_{own}"],
            dataset_b=None if alone else first[f"dataset_{other}"],
            subject_a=None if clear or by_name else first[f"subject_{own}"],
            subject_b=None if clear or alone or by_name else first[f"subject_{other}"],
            key_id=self._key_of(first[f"dataset_{own}"]),
            pictures_a=() if by_name else tuple(sides["a"]),
            pictures_b=() if alone or by_name else tuple(sides["b"]),
            members=None if alone or by_name else tuple(sorted(self._members(rows))),
            relation=None if by_name else strongest,
            decision=first["decision"],
            score=first["score"],
            p_value=first["p_value"],
            probability=first.get("probability"),
            evidence=tuple(first["evidence"] or ()),
            note=said.note,
            reason=said.reason,
            until=said.until,
            blind=said.blind,
        )

    def named(
        self, said: Said, images: Sequence[str], datasets: tuple[str, str] | None = None, pair: bool = False
    ) -> Verdict:
        """A verdict on what a person names.

        Args:
            said: What the person says.
            images: One image for its subject wherever it is found, two for their two subjects, each as
                ``dataset/path``, a path, an image id, or a file that lies where it lay.
            datasets: Two datasets, all of whose overlap is meant, in place of images.
            pair: Whether two images are meant alone, not with all pictures of their subjects.

        Raises:
            UsageError: There is no such image, dataset, or pair in the run.
        """
        if datasets is not None and not images:
            rows = [i for i, p in enumerate(self.pairs) if {p["dataset_a"], p["dataset_b"]} == set(datasets)]
            if not rows:
                raise UsageError(f"The run has no pair of {datasets[0]} and {datasets[1]}.")
            return self.verdict(rows, said, "datasets")
        if datasets is not None or not 1 <= len(images) <= 2:
            raise UsageError("Name one image, two images, or two datasets.")
        ends = [self._image(text) for text in images]
        touched = [
            {(p[f"dataset_{side}"], p[f"image_{side}"]): side for side in ("a", "b")} for p in self.pairs
        ]
        rows = [i for i, sides in enumerate(touched) if all(end in sides for end in ends)]
        if not rows:
            raise UsageError(f"The run has no pair of {' and '.join(images)}.")
        side: Literal["a", "b"] = "a" if touched[rows[0]][ends[0]] == "a" else "b"
        if len(ends) == 2 and pair:
            return self.verdict(rows[:1], said, "pair")
        person = self.person(rows[0], side)
        if len(ends) == 2:
            two = next(own for own in self.person_pairs.values() if rows[0] in own)
            return self.verdict([rows[0], *(row for row in two if row != rows[0])], said, "subjects")
        own = [i for i in range(len(self.pairs)) if person in self._people(i) and i != rows[0]]
        return self.verdict([rows[0], *own], said, "subject", side)

    @cached_property
    def paths_of_pictures(self) -> dict[str, list[str]]:
        """Where each picture lies, as ``dataset/path``, by pixel hash; without those whose path is hidden."""
        out: dict[str, list[str]] = defaultdict(list)
        for row in self.images.values():
            if row["pixel_hash"] and row["path"]:
                out[row["pixel_hash"]].append(f"{row['dataset']}/{row['path']}")
        return dict(out)

    def _image(self, text: str) -> tuple[str, str]:
        found = [
            key
            for key, row in self.images.items()
            if text in (f"{row['dataset']}/{row['path']}", row["path"], row["image_id"])
        ]
        if len(found) != 1:  # perhaps it is named as the shell sees it
            file = str(Path(text).absolute())
            found = [key for key, row in self.images.items() if file == self._file_of(row)] or found
        if len(found) != 1:
            raise UsageError(
                f"{len(found) or 'No'} images of the run are called {text}.",
                "Name one as dataset/path, as pairs.parquet has it, or by its file.",
            )
        return found[0]

    def _file_of(self, row: Mapping[str, Any]) -> str | None:
        """Where the file of an image was when the run was made; ``None`` where the run does not say."""
        place = (self.summary.get("sources") or {}).get(row["dataset"])
        if not place or not row["path"]:
            return None
        source = Path(place.partition("?")[0])
        return str((source.parent if source.is_file() else source) / row["path"])

    def _people(self, row: int) -> set[Person]:
        return {self.person(row, "a"), self.person(row, "b")}

    def _pictures(self, rows: Iterable[int], person: Person) -> list[str]:
        """The pictures of one person among the sides of some pairs."""
        found = {
            self.picture(row, side) for row in rows for side in ("a", "b") if self.person(row, side) == person
        }
        return sorted(found - {""})

    def _members(self, rows: Sequence[int]) -> set[str]:
        """The pictures of all pairs of the same people, and of the groups that they stand in."""
        people = {tuple(sorted(self._people(row))) for row in rows}
        own = {row for pair in people for row in self.person_pairs.get((pair[0], pair[-1]), rows)}
        found = {self.picture(row, side) for row in own for side in ("a", "b")}
        for row in rows:
            for side in ("a", "b"):
                key = self.pairs[row][f"dataset_{side}"], self.pairs[row][f"image_{side}"]
                found |= self._groups.get(key, set())
        return found - {""}

    @cached_property
    def _groups(self) -> Mapping[tuple[str, str], set[str]]:
        """The pictures of the group of every image that takes part in a leak."""
        rows = self.folder.read(tables.SUBJECTS).to_pylist()
        pictures: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            image = self.images[row["dataset"], row["image_id"]]
            pictures[row["group"]].add(str(image["pixel_hash"] or ""))
        return {(row["dataset"], row["image_id"]): pictures[row["group"]] for row in rows}

    @property
    def _in_clear(self) -> bool:
        """Whether the run shows subjects as they are declared, which no verdict may."""
        return bool(self.summary.get("identity", {}).get("subjects_in_clear", False))

    def _key_of(self, dataset: str) -> str | None:
        known: Mapping[str, str] = self.summary.get("identity", {}).get("key_ids", {})
        return known.get(dataset)
