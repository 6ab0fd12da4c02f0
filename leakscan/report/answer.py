"""The answer of a run, counted in people: who is shared, as what, and what dropping them would cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from leakscan.counted import counted
from leakscan.report.listed_people import listed_people
from leakscan.report.none_found import NONE
from leakscan.report.not_done import not_done
from leakscan.report.run_tables import RunTables
from leakscan.types import RELATIONS

Person = tuple[str, str]
_COPIES = ("same_file", "same_pixels", "same_image")
_NAMED = 5  # images that were not judged as persons, of each dataset


def answer(found: RunTables, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What ``summary.json`` holds under ``answer``.

    A declared subject of one dataset is one person. A picture without a subject stands for itself, and equal
    pictures for one.

    Args:
        found: The tables of the run.
        summary: The rest of the summary.

    Returns:
        ``headline`` (a sentence); ``pairs_of_datasets``, worst first: ``a``, ``b``, ``people`` ("shared" and
        "of" for each side), ``images`` likewise, ``copies``, ``other_pictures``, ``possible`` (people of the
        side with fewer), ``expected_true`` (how many of these are shared by their probabilities, or null),
        ``listed`` (how many of all these people are shared by their probabilities: ``value``, ``low`` and
        ``high``), ``accepted`` and ``different`` (pairs of people whom verdicts cleared, as a wanted overlap
        or as different people), ``expected_false`` (among ``other_pictures``, or null), ``estimate``
        (with ``low`` and ``high``, how many people are shared in all, or null), ``missed_share`` (or null),
        ``missed_share_of_this_run`` (whether it was measured on people of this run),
        ``subject_comparisons``, ``drop`` (people and images of each side); ``not_judged`` (dataset to images
        that no encoder could judge as persons); ``not_done`` (sentences: what was not compared, not checked,
        or cut).

    Example::

        answer(found, summary)["headline"]  # '10 of 76 subjects of hospital are also in research'
    """
    people = _PeopleOf(found)
    pairs = [people.between(c) for c in summary["comparisons"]]
    pairs.sort(key=lambda p: (-p["copies"] - p["other_pictures"], -p["possible"]))
    return {
        "headline": _headline(pairs),
        "pairs_of_datasets": pairs,
        "not_judged": people.not_judged(),
        "not_done": not_done(summary["comparisons"]),
    }


def _headline(pairs: list[dict[str, Any]]) -> str:
    if not pairs:
        return "Nothing was compared"
    worst = pairs[0]
    if worst["copies"] + worst["other_pictures"] == 0:
        if possible := sum(p["possible"] for p in pairs):
            return f"No leak is certain; {counted(possible, 'possible person', 'possible people')} to look at"
        accepted = sum(p["accepted"] for p in pairs)
        beyond = f" beyond {counted(accepted, 'accepted overlap')}" if accepted else ""
        return f"{NONE}{beyond}"
    side = min(("a", "b"), key=lambda s: worst["people"][s]["of"])
    other = "b" if side == "a" else "a"
    told = worst["people"][side]
    if worst["a"] == worst["b"]:
        return (
            f"{told['shared']:,} of {told['of']:,} {worst['unit'][side]} of {worst['a']} have a double in it"
        )
    where = "is" if told["shared"] == 1 else "are"
    others = sum(p["copies"] + p["other_pictures"] > 0 for p in pairs[1:])
    overlap = "overlaps" if others == 1 else "overlap"
    return (
        f"{told['shared']:,} of {told['of']:,} {worst['unit'][side]} of {worst[side]} {where} "
        f"also in {worst[other]}"
        + (f"; {counted(others, 'more pair', 'more pairs')} of datasets {overlap}" if others else "")
    )


class _PeopleOf:
    """The people of a run and their images."""

    def __init__(self, found: RunTables) -> None:
        self._found = found
        self._images: dict[Person, int] = defaultdict(int)
        self._of: dict[tuple[str, str], Person] = {}
        self._declared: dict[str, int] = defaultdict(int)
        columns = ["dataset", "image_id", "subject", "pixel_hash", "status"]
        images = found.images.select(columns)
        paired = [found.pairs[f"image_{side}"] for side in ("a", "b")]
        met = pa.chunked_array([chunk for column in paired for chunk in column.chunks], pa.string())
        # A million files may hold no image: they are nobody's.
        concerned = pc.or_(pc.equal(images["status"], "ok"), pc.is_in(images["image_id"], met))
        images = images.filter(concerned)
        for dataset, image, subject, pixels, status in zip(
            *(images[name].to_pylist() for name in columns), strict=True
        ):
            person = (dataset, f"subject {subject}" if subject else f"picture {pixels or image}")
            self._of[dataset, image] = person
            if status == "ok":
                self._images[person] += 1
        for person in self._images:
            self._declared[person[0]] += person[1].startswith("subject ")
        self._rows: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        names = [
            "dataset_a",
            "dataset_b",
            "image_a",
            "image_b",
            "relation",
            "decision",
            "verdict",
            "probability",
        ]
        for row in found.pairs.select(names).to_pylist():
            self._rows[row["dataset_a"], row["dataset_b"]].append(row)

    def between(self, comparison: Mapping[str, Any]) -> dict[str, Any]:
        """The answer for two datasets."""
        a, b = comparison["a"], comparison["b"]
        best: dict[str, dict[Person, str]] = {"a": {}, "b": {}}
        possible: dict[str, dict[Person, float | None]] = {"a": {}, "b": {}}
        likely: dict[str, dict[Person, float]] = {"a": {}, "b": {}}
        cleared: dict[tuple[Person, Person], bool] = {}
        still: set[tuple[Person, Person]] = set()
        images: dict[str, set[str]] = {"a": set(), "b": set()}
        for row in self._rows[a, b]:
            ends = {side: self._of[row[f"dataset_{side}"], row[f"image_{side}"]] for side in ("a", "b")}
            if row["decision"] == "cleared":
                wanted = row["verdict"] == "wanted"
                cleared[ends["a"], ends["b"]] = cleared.get((ends["a"], ends["b"]), False) or wanted
                continue
            still.add((ends["a"], ends["b"]))
            for side, person in ends.items():
                if row["decision"] == "review":
                    known = (possible[side].get(person), row["probability"])
                    possible[side][person] = max((p for p in known if p is not None), default=None)
                    continue
                images[side].add(row[f"image_{side}"])
                sure = 1.0 if row["probability"] is None or row["verdict"] == "same" else row["probability"]
                likely[side][person] = max(likely[side].get(person, 0.0), sure)
                before = best[side].get(person, RELATIONS[-1])
                best[side][person] = min(before, row["relation"], key=_strength)
        shared = {side: len(best[side]) for side in ("a", "b")}
        side = min(("a", "b"), key=lambda s: shared[s])
        copies = sum(relation in _COPIES for relation in best[side].values())
        accepted = sum(wanted for both, wanted in cleared.items() if wanted or both not in still)
        waiting = {s: [p for person, p in possible[s].items() if person not in best[s]] for s in possible}
        fewest = min(waiting.values(), key=len)
        missed, measured = _missed(comparison)
        return {
            "a": a,
            "b": b,
            "unit": {s: self._unit(name) for s, name in (("a", a), ("b", b))},
            "people": {s: {"shared": shared[s], "of": self._people(n)} for s, n in (("a", a), ("b", b))},
            "images": {s: {"shared": len(images[s]), "of": self._all(n)} for s, n in (("a", a), ("b", b))},
            "copies": copies,
            "other_pictures": shared[side] - copies,
            "possible": len(fewest),
            "expected_true": None if None in fewest else round(sum(p or 0.0 for p in fewest), 1),
            "listed": listed_people([*likely[side].values(), *fewest]),
            "accepted": accepted,
            "different": sum(not wanted for both, wanted in cleared.items() if both not in still),
            "expected_false": _summed(comparison, "leak_expected_false"),
            "estimate": _estimate(comparison),
            "missed_share": missed,
            "missed_share_of_this_run": measured,
            "subject_comparisons": sum(comparison["subject_comparisons"].values()),
            "drop": {
                s: {"people": shared[s], "images": sum(self._images[p] for p in best[s])} for s in ("a", "b")
            },
        }

    def not_judged(self) -> dict[str, list[str]]:
        """Images that no encoder judged, of datasets others of whose images were judged."""
        of_use = pc.equal(self._found.images["status"], "ok")
        images, prints = (t.filter(of_use) for t in (self._found.images, self._found.fingerprints))
        out: dict[str, list[str]] = defaultdict(list)
        judged: set[str] = set()
        for dataset, path, image, encoder in zip(
            *(images[name].to_pylist() for name in ("dataset", "path", "image_id")),
            prints["encoder"].to_pylist(),
            strict=True,
        ):
            if encoder:
                judged.add(dataset)
            else:
                out[dataset].append(path or image)
        return {dataset: names for dataset, names in out.items() if dataset in judged}

    def _unit(self, dataset: str) -> str:
        """What is counted: subjects where all are declared, images where none is."""
        declared, people = self._declared[dataset], self._people(dataset)
        if declared == people:
            return "subjects"
        return "subjects and unnamed pictures" if declared else "pictures"

    def _people(self, dataset: str) -> int:
        return sum(person[0] == dataset for person in self._images)

    def _all(self, dataset: str) -> int:
        return sum(n for person, n in self._images.items() if person[0] == dataset)


def _strength(relation: str) -> int:
    return next(i for i, name in enumerate(RELATIONS) if name == relation)


def _summed(comparison: Mapping[str, Any], key: str) -> float | None:
    known = [t[key][0] for t in comparison["thresholds"].values() if t.get(key)]
    return round(sum(known), 2) if known else None


def _estimate(comparison: Mapping[str, Any]) -> dict[str, float] | None:
    found = comparison.get("shared_subjects")
    return None if not found else {key: found[key] for key in ("estimate", "low", "high")}


def _missed(comparison: Mapping[str, Any]) -> tuple[float | None, bool]:
    """The share of shared people who are on no list, and whether people of this run tell it."""
    shares = []
    for told in comparison["thresholds"].values():
        share = told.get("leak_missed_share") or told.get("review_missed_share")
        if share and share[0] is not None:
            shares.append((share[0], bool(told["missed_shares_of_this_run"])))
    return max(shares, default=(None, False))
