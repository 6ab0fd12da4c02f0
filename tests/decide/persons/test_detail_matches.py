"""What detail matches promise: honest p-values, one match a pair, nothing lost where there are no pixels."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from leakscan.decide.calibration.calibration import Calibration, against_cohort
from leakscan.decide.calibration.file import read_calibration, write_calibration
from leakscan.decide.calibration.fit import Cohort, LabelledPrints, fit_calibration
from leakscan.decide.calibration.fit_detail import match_impostors
from leakscan.decide.calibration.impostors import impostor_pairs
from leakscan.decide.calibration.tail import fit_tail
from leakscan.decide.columns import Columns, DatasetPair
from leakscan.decide.comparison import Comparison
from leakscan.decide.copies import CopyCheck
from leakscan.decide.copies.describing import load_pixels
from leakscan.decide.persons.detail_matches import FilmSide, detail_match_of, due
from leakscan.decide.persons.film_details import FilmDetails, FilmPair
from leakscan.decide.persons.scores import DatasetPeople, score_pairs
from leakscan.decide.persons.subjects import subjects_of
from leakscan.decide.table import PairTable
from leakscan.engines.local import LocalEngine
from leakscan.fingerprint.pipeline import Dataset
from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph
from leakscan.match.pictures import distinct_pictures
from leakscan.run.memory import PairMemory
from leakscan.settings import DecodeOptions
from leakscan.types import Silent
from support import drawn_subjects
from support.made_up_encoder import ENCODER, MadeUpModels, decided, made_up_context, rows_of
from support.makers import store_rows, unit_vectors

Floats = npt.NDArray[np.float64]
COHORT = unit_vectors(7, 300).astype(np.float16)
NEAREST_MEMBERS = Cohort(COHORT, 200)
SPREAD = 3.0  # of the pictures of one person: many of them lie among strangers


def crowd(seed: int, subjects: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.str_]]:
    """Two pictures of everybody, most too far apart for the score alone."""
    centres = unit_vectors(seed, subjects)
    near = centres + SPREAD * unit_vectors(seed + 1, subjects)
    prints = np.concatenate([centres, near / np.linalg.norm(near, axis=1, keepdims=True)])
    return prints.astype(np.float32), np.array([f"s{i}" for i in range(subjects)] * 2)


def drawn_match(names: npt.NDArray[np.str_], seed: int = 0) -> Any:
    """Detail matches that are drawn, higher for one person."""

    def match(pairs: npt.NDArray[np.int64]) -> Floats:
        rng = np.random.default_rng(seed)
        same = names[pairs[:, 0]] == names[pairs[:, 1]]
        return rng.normal(-2.0, 1.0, len(pairs)) + 2.5 * same

    return match


@functools.cache
def calibration() -> Calibration:
    prints, names = crowd(5, 500)
    people = LabelledPrints(prints, names, drawn_match(names))
    return fit_calibration(ENCODER, "drawn people", NEAREST_MEMBERS, people)


def test_details_find_people_that_the_score_misses() -> None:
    fitted = calibration()
    assert fitted.matches_details
    alone, both = fitted.missed(1e-4, reach=0.0)[0], fitted.missed(1e-4)[0]
    assert both < alone - 0.05
    assert alone == pytest.approx(fitted.genuine.missed(fitted.tail.score_at(1e-4))[0], abs=0.01)


def test_p_values_of_other_strangers_are_as_stated_with_detail_matches() -> None:
    """Score, selection and detail match of strangers that nothing was fitted on."""
    fitted = calibration()
    prints, names = crowd(55, 700)
    impostors = impostor_pairs(prints, names, against_cohort(prints, COHORT, 200), keep=10**7)
    assert impostors.images is not None
    due = fitted.tail.p_value(impostors.score) <= fitted.detail_p
    found = np.full(len(due), np.nan)
    found[due] = drawn_match(names, seed=9)(impostors.images[due].astype(np.int64))
    p = fitted.p_value(impostors.score, found)
    for level in (3e-3, 1e-3, 1e-4):
        rate = float(impostors.weight[p <= level].sum()) / impostors.n_subject_pairs
        assert level / 4 < rate < 2 * level


def test_strangers_who_match_better_are_called_no_more_often() -> None:
    """As films of another hospital: every finding is higher, of strangers and of one person."""
    fitted = calibration()
    assert fitted.strangers is not None
    prints, names = crowd(55, 700)
    statistics = against_cohort(prints, COHORT, 200)
    impostors = impostor_pairs(prints, names, statistics, keep=10**7)
    assert impostors.images is not None
    p_of_score = fitted.tail.p_value(impostors.score)
    due = np.flatnonzero(p_of_score <= fitted.detail_p)
    at_home = drawn_match(names, seed=9)(impostors.images[due].astype(np.int64))
    more = at_home + 2.0 - fitted.strangers.expected(p_of_score[due])
    shift = float(fitted.detail_shift(more).of(1))
    assert shift == pytest.approx(2.0, abs=0.15)
    assert fitted.detail_shift(more - 2.0).of(1) == pytest.approx(0, abs=0.15)
    assert fitted.detail_shift([5.0] * 99 + [np.nan] * 500).of(7) == 0.0  # too few to tell
    assert fitted.detail_shift([-50.0] * 300).of(1) == 0.0  # no credit where strangers match less well
    rates = []
    for found in (at_home + 2.0, at_home + 2.0 - shift):
        p = fitted.p_value(impostors.score[due], found)
        rates.append(float(impostors.weight[due[p <= 1e-3]].sum()) / impostors.n_subject_pairs)
    raw, mended = rates
    assert raw > 2e-3 > mended


def test_no_p_value_passes_the_floor_and_pairs_without_a_detail_match_keep_theirs() -> None:
    fitted = calibration()
    assert fitted.joint_tail is not None
    z = np.array([1.0, 5.0, 40.0])
    nobody = np.full(3, np.nan)
    np.testing.assert_array_equal(fitted.p_value(z, nobody), fitted.tail.p_value(z))
    seen = fitted.p_value(z, [30.0] * 3)
    assert fitted.joint_tail.least <= seen[2] <= fitted.joint_tail.floor
    assert seen[0] == fitted.tail.p_value(1.0)  # such a score gets no detail match, whatever is claimed


def test_fewer_matches_keep_the_weight_and_raise_the_smallest_p_value() -> None:
    prints, names = crowd(5, 300)
    sample = impostor_pairs(prints, names, against_cohort(prints, COHORT, 200))
    tail = fit_tail(sample, draws=20)
    every = match_impostors(sample, tail, drawn_match(names))
    some = match_impostors(sample, tail, drawn_match(names), most=500)
    assert every.support == 1.0
    assert some.matched.sum() <= 500 < every.matched.sum()
    assert some.sample.weight.sum() == pytest.approx(every.sample.weight.sum())
    assert some.support == pytest.approx(some.matched.sum() / every.matched.sum(), rel=0.1)


def test_a_calibration_with_details_reads_back_and_one_without_stays_readable(tmp_path: Path) -> None:
    fitted = calibration()
    write_calibration(replace(fitted, detail_digest="abc"), tmp_path / "with")
    again = read_calibration(tmp_path / "with", [ENCODER])
    assert (again.joint, again.joint_tail, again.detail_p) == (
        fitted.joint,
        fitted.joint_tail,
        fitted.detail_p,
    )
    assert again.detail_digest == "abc"
    assert again.strangers == fitted.strangers is not None
    assert again.missed(1e-4) == fitted.missed(1e-4)
    plain = replace(fitted, joint=None, joint_tail=None, genuine=replace(fitted.genuine, found=None))
    write_calibration(plain, tmp_path / "without")
    older = read_calibration(tmp_path / "without", [ENCODER])
    assert not older.matches_details
    assert older.missed(1e-4) == fitted.missed(1e-4, reach=0.0)


def test_too_few_people_to_learn_from_leave_details_out() -> None:
    prints, names = crowd(5, 60)
    names[60:] = [f"t{i}" for i in range(60)]  # nobody twice
    people = LabelledPrints(prints, names, drawn_match(names))
    assert not fit_calibration(ENCODER, "x", NEAREST_MEMBERS, people).matches_details


@pytest.mark.parametrize("people", [220, 130])  # enough and too few for a map of the scores
def test_a_run_takes_off_what_its_own_strangers_match_better(
    people: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every detail match of these datasets finds 3 more."""
    monkeypatch.setattr("leakscan.decide.crossing.check_copies", lambda tasks, *_: [None] * len(tasks))

    class Elsewhere:
        digest, side, more, for_workers = "elsewhere", 32, 0.0, None

        def describe(self, canonical: npt.NDArray[np.uint8]) -> npt.NDArray[np.float16]:
            return canonical.reshape(len(canonical), -1)[:, :8].astype(np.float16)

        def compare(self, a: npt.NDArray[np.float16], b: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
            return np.full(len(a), -2.0 + self.more, np.float32)

    def crowded(name: str, day: int) -> Dataset:
        near = unit_vectors(1, people) + 0.25 * unit_vectors(20 + day, people)
        near /= np.linalg.norm(near, axis=1, keepdims=True)
        rows = [
            {"fingerprint": v, "path": f"{name}{i}.png", "preview": film(i % FILMS, day)}
            for i, v in enumerate(near)
        ]
        return Dataset(name, store_rows(rows), {}, {}, "k1")

    def gains(more: float) -> list[Any]:
        matcher = Elsewhere()
        matcher.more = more
        found = compared(crowded("a", 0), crowded("b", 1), PairMemory(None), matcher=matcher)
        assert found.persons[0].details_matched and (found.persons[0].bulk is None) == (people < 200)
        return {(r["path_a"], r["path_b"]): r["p_value"] for r in rows_of(found)}

    assert calibration().strangers is not None
    assert gains(0.0) == pytest.approx(gains(3.0), rel=0.02)


def test_the_more_pictures_there_are_to_choose_from_the_more_is_taken_off() -> None:
    fitted = calibration()
    choices = np.random.default_rng(0).integers(1, 30, 400)
    noise = np.random.default_rng(1).normal(0, 0.3, 400)
    shift = fitted.detail_shift(0.5 + 0.7 * np.log(choices) + noise, choices)
    assert shift.of([1, 20]) == pytest.approx([0.5, 0.5 + 0.7 * np.log(20)], abs=0.2)
    fewer = fitted.detail_shift(2.0 - 0.7 * np.log(choices) + noise, choices)
    assert fewer.by_choice == 0.0


# Two datasets of drawn films

FILMS = 4


@functools.cache
def film(subject: int, day: int) -> bytes:
    moved = drawn_subjects.second_film(subject, day) if day else drawn_subjects.film(subject)
    encoded = cv2.imencode(".png", moved.astype(np.uint8))[1]
    return bytes(encoded.tobytes())


def dataset(name: str, day: int, pixels: bool = True) -> Dataset:
    """Films of four people, whose fingerprints are alike from day to day."""
    near = unit_vectors(1, FILMS) + 0.25 * unit_vectors(20 + day, FILMS)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    rows = [
        {"fingerprint": v, "path": f"{name}{i}.png", "preview": film(i, day) if pixels else None}
        for i, v in enumerate(near)
    ]
    return Dataset(name, store_rows(rows), {}, {}, "k1")


class MadeUpMatcher:
    """Takes the correlation of two small pictures for a detail match."""

    digest, side, for_workers = "made-up", 48, None

    def describe(self, canonical: npt.NDArray[np.uint8]) -> npt.NDArray[np.float16]:
        flat = canonical.reshape(len(canonical), -1).astype(np.float32)
        flat -= flat.mean(axis=1, keepdims=True)
        return (flat / np.linalg.norm(flat, axis=1, keepdims=True)).astype(np.float16)

    def compare(self, a: npt.NDArray[np.float16], b: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
        return np.asarray(10.0 * (a.astype(np.float32) * b).sum(axis=1) - 6.0, np.float32)


MATCHER = MadeUpMatcher()


class Counting(LocalEngine):
    """Counts what it is asked to do."""

    def __init__(self) -> None:
        super().__init__(0)
        self.items = 0

    def map(self, function: Any, items: Any, chunk: int = 8) -> Iterator[Any]:
        for result in super().map(function, items, chunk):
            self.items += 1
            yield result


def compared(a: Dataset, b: Dataset, memory: PairMemory, **kept: Any) -> Comparison:
    models = MadeUpModels(calibration(), kept.get("matcher", MATCHER))
    return decided([a, b], made_up_context(models, kept.get("engine"), memory))


def said_of(found: Comparison) -> dict[tuple[str, str], str]:
    return {
        (r["path_a"], r["path_b"]): sentence
        for r in rows_of(found)
        for sentence in r["evidence"]
        if sentence.startswith("the detail match of both films ")
    }


def test_candidates_get_a_detail_match_and_the_evidence_says_what_it_found() -> None:
    found = compared(dataset("a", 0), dataset("b", 1), PairMemory(None))
    said = said_of(found)
    assert {(f"a{i}.png", f"b{i}.png") for i in range(FILMS)} <= set(said)
    assert re.fullmatch(r".* makes one person [\d.,]+ times (likelier|less likely)", said["a0.png", "b0.png"])
    (test,) = found.persons
    assert test.details_matched == test.details_due >= FILMS


def test_a_second_run_reads_nothing_again(tmp_path: Path) -> None:
    a, b = dataset("a", 0), dataset("b", 1)
    first = compared(a, b, PairMemory(tmp_path / "pairs.sqlite3"))
    engine = Counting()
    again = compared(a, b, PairMemory(tmp_path / "pairs.sqlite3"), engine=engine)
    assert engine.items == 0
    assert rows_of(again) == rows_of(first)


def test_swapping_the_datasets_changes_no_figure() -> None:
    a, b = dataset("a", 0), dataset("b", 1)
    one, two = compared(a, b, PairMemory(None)), compared(b, a, PairMemory(None))
    figures = ("score", "p_value", "q_value", "decision", "evidence")
    assert [(r["path_a"], r["path_b"], *(r[f] for f in figures)) for r in rows_of(one)] == [
        (r["path_b"], r["path_a"], *(r[f] for f in figures)) for r in rows_of(two)
    ]


def test_without_pixels_the_score_decides_alone() -> None:
    found = compared(dataset("a", 0, pixels=False), dataset("b", 1), PairMemory(None))
    assert not said_of(found)
    (test,) = found.persons
    assert test.details_matched == 0 < test.details_due
    assert all(r["p_value"] == pytest.approx(calibration().tail.p_value(r["score"])) for r in rows_of(found))


def test_the_memory_saves_time_and_changes_no_answer() -> None:
    """Stores without pixels: what an earlier run over the images saw of two films does not count in this
    one.
    """
    a, b = dataset("a", 0, pixels=False), dataset("b", 1, pixels=False)
    names = [Columns(d, distinct_pictures(d.rows)).picture_keys for d in (a, b)]
    memory = PairMemory(None)
    memory.keep_detail_matches(MATCHER.digest, [(one, other, 9.0) for one in names[0] for other in names[1]])
    memory.keep_copy_checks([(names[0][0], names[1][0], CopyCheck(True, 0.99, 300, "", 1.0))])
    assert rows_of(compared(a, b, memory)) == rows_of(compared(a, b, PairMemory(None)))


def test_an_encoder_without_details_decides_by_the_score() -> None:
    found = compared(dataset("a", 0), dataset("b", 1), PairMemory(None), matcher=None)
    assert not said_of(found)
    (test,) = found.persons
    assert test.details_matched == 0


def test_films_that_are_not_at_hand_are_not_matched() -> None:
    films = [film(0, 0), None, film(0, 1), b"no picture"]
    match = detail_match_of(films, MATCHER, LocalEngine(0), DecodeOptions(), Silent())
    found = match(np.array([[0, 1], [0, 2], [3, 0], [2, 0]]))
    assert np.isnan(found).tolist() == [True, False, True, False]
    assert found[1] == found[3]


def test_every_pair_gets_the_finding_of_its_own_two_films() -> None:
    films = {str(i): film(i % FILMS, i // FILMS) for i in range(2 * FILMS)}
    tasks = [FilmPair((a, b), (films[a], films[b])) for a in films for b in films if a != b]
    found = FilmDetails(MATCHER, LocalEngine(0), DecodeOptions())(tasks, np.inf, Silent())
    values = {k: load_pixels(f, DecodeOptions()).values for k, f in films.items()}
    seen = {
        k: np.rint(canonical_radiograph(v, MATCHER.side) * 255).astype(np.uint8) for k, v in values.items()
    }
    details = {k: MATCHER.describe(picture[None]) for k, picture in seen.items()}
    want = [float(MATCHER.compare(*(details[key] for key in t.keys))[0]) for t in tasks]
    assert found == pytest.approx(want, abs=1e-4)
    assert np.ptp(want) > 1.0


def test_films_are_described_again_where_too_few_are_kept() -> None:
    films = {str(i): film(i % FILMS, i // FILMS) for i in range(2 * FILMS)}
    tasks = [FilmPair((a, b), (films[a], films[b])) for a in films for b in films if a < b]
    some, every = (FilmDetails(MATCHER, LocalEngine(0), DecodeOptions(), kept) for kept in (3, 100))
    want = every(tasks, np.inf, Silent())
    assert [some([task], np.inf, Silent())[0] for task in tasks] == want
    assert every(tasks, -1.0, Silent()) == [None] * len(tasks)


def test_what_was_matched_before_a_kill_is_in_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the details of the last pair are computed."""
    monkeypatch.setattr("leakscan.decide.persons.film_details._WINDOW", 1)
    a, b = dataset("a", 0), dataset("b", 1)

    class Interrupted(MadeUpMatcher):
        left = 3

        def compare(self, a: npt.NDArray[np.float16], b: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return super().compare(a, b)

    with pytest.raises(KeyboardInterrupt):
        compared(a, b, PairMemory(tmp_path / "pairs.sqlite3"), matcher=Interrupted())
    columns = [Columns(d, distinct_pictures(d.rows)).picture_keys for d in (a, b)]
    known = PairMemory(tmp_path / "pairs.sqlite3").detail_matches(
        MATCHER.digest, [(one, other) for one in columns[0] for other in columns[1]]
    )
    assert len(known) == 3


def test_the_best_pair_of_two_subjects_is_matched_and_ties_go_by_name() -> None:
    """Of two subjects the pair of pictures most alike; the order of the datasets changes nothing."""
    near = unit_vectors(1, 3)

    def one(name: str, order: list[int]) -> Dataset:
        rows = [
            {"fingerprint": near[i % 3], "subject": f"{name}{i // 2}", "pixel_hash": f"px1:{name}{i}"}
            for i in order
        ]
        return Dataset(name, store_rows(rows), {}, {}, "k1")

    def chosen(first: Dataset, second: Dataset) -> list[tuple[str, str]]:
        pair = DatasetPair(
            *(Columns(d, distinct_pictures(d.rows)) for d in (first, second)), ids_are_proof=False
        )
        a, b = pair.a.side, pair.b.side
        everything = np.divmod(np.arange(len(a) * len(b)), len(b))
        no, none = np.zeros(len(everything[0]), bool), np.full(len(everything[0]), np.nan, np.float32)
        table = PairTable(
            a=everything[0],
            b=everything[1],
            score=none,
            bits=none,
            equal=no,
            declared=no,
            to_check=np.arange(0),
        )
        ends_of = [DatasetPeople(side, subjects_of(side, calibration())) for side in (a, b)]
        scored = score_pairs(*ends_of, table, calibration(), None)
        ends = [FilmSide(c.side, c.picture_keys, np.ones(len(c.side), bool)) for c in (pair.a, pair.b)]
        rows = due(scored, table, *ends)
        assert len(rows) == len(np.unique(scored.pair_of_subjects[np.searchsorted(scored.at, rows)]))
        return [
            tuple(sorted((pair.a.picture_keys[table.a[r]], pair.b.picture_keys[table.b[r]]))) for r in rows
        ]

    found = chosen(one("a", [0, 1, 2, 3]), one("b", [0, 1, 2, 3, 4]))
    assert ("px1:a0", "px1:b0") in found
    assert found == chosen(one("b", [4, 2, 0, 3, 1]), one("a", [3, 1, 2, 0]))
