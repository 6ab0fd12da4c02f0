"""``leakscan evaluate`` from a manifest of drawn films to the page."""

from __future__ import annotations

import builtins
import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from leakscan import tables
from leakscan.decide.calibration.likelihood import JointEvidence
from leakscan.evaluation import embeddings
from leakscan.evaluation.detail_ranking import detail_ranking_figures
from leakscan.evaluation.evaluation_report import EVALUATION
from leakscan.evaluation.labelled_images import LabelledImage, prepare_image, reduced
from leakscan.settings import DecodeOptions
from leakscan.sources.open import open_source
from leakscan.synthetic.films import draw_film
from leakscan.types import Silent
from support.makers import Leakscan, save

SUBJECTS, FILMS = 8, 4
COLUMNS = ("path", "subject_id", "split", "source_width_px", "view", "sex", "follow_up")


@pytest.fixture(scope="session")
def drawn_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 films of 8 subjects: a subject's films are one drawing, cropped and exposed in four ways.

    In split ``test`` each subject has 4; split ``lone`` lists one of each.
    """
    root = tmp_path_factory.mktemp("archive")
    rows = []
    for s in range(SUBJECTS):
        film = np.asarray(draw_film(np.random.default_rng([9, s]), height=224), np.float64)
        rng = np.random.default_rng([10, s])
        for n in range(FILMS):
            top, left = rng.integers(0, 24, 2)
            picture = film[top : top + 192, left : left + 176] / 255
            picture = np.rint(picture ** rng.uniform(0.7, 1.4) * 255).astype(np.uint8)
            wide = 176 if n % 2 else 132
            picture = cv2.resize(picture, (wide, round(192 * wide / 176)), interpolation=cv2.INTER_AREA)
            name = f"images/{s:02d}_{n}.png"
            save(root / name, picture)
            split = "test" if n else "lone"
            view = ("PA", "AP", "AP Supine", "")[n]
            rows.append((name, f"person-{s:03d}", split, wide, view, "MF"[s % 2], n))
    write(root / "films.csv", rows)
    return root


def write(path: Path, rows: list[tuple[Any, ...]], columns: tuple[str, ...] = COLUMNS) -> Path:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])
    return path


@pytest.fixture
def evaluate(
    leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch, loaded_once: Callable[..., Any]
) -> Leakscan:
    """The command without worker processes, its encoder loaded once."""
    monkeypatch.setattr(embeddings, "load_encoder", loaded_once)

    def call(command: str, *arguments: object) -> Any:
        return leakscan(command, *arguments, "--workers", 0)

    return call


def rows_of(folder: Path) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    rows = tables.read(folder / "evaluation.parquet", EVALUATION).to_pylist()
    keys = [(r["system"], r["protocol"], r["metric"], r["weighting"]) for r in rows]
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, rows, strict=True))


@pytest.fixture(scope="session")
def whole_run(drawn_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """One run over everything with one encoder and all baselines, shared by several tests."""
    from leakscan.evaluation.evaluate import EvaluateOptions
    from leakscan.evaluation.evaluate import evaluate as run

    folder = tmp_path_factory.mktemp("evaluated") / "out"
    return folder, run(
        drawn_archive / "films.csv", folder, EvaluateOptions(encoders=("cxr-lite0",), workers=0, draws=50)
    )


def test_every_system_is_measured_under_every_protocol(whole_run: tuple[Path, dict[str, Any]]) -> None:
    folder, document = whole_run
    rows = rows_of(folder)
    roles = document["systems"]
    assert {"encoder", "untrained", "phash"} <= set(roles.values())
    for system in roles:
        protocols = {p for s, p, _, _ in rows if s == system}
        assert {"all", "unequal_width", "reduced_128", "view=same", "view=different", "sex=same"} <= protocols
        assert {"gap=1", "gap=2-4"} <= protocols
        for protocol in ("all", "unequal_width"):
            for metric in ("auc", "eer", "p_at_1", "map_at_r", "miasd"):
                for weighting in ("subjects", "pairs"):
                    row = rows[system, protocol, metric, weighting]
                    assert row["low"] <= row["value"] <= row["high"]
    assert all(r["n_subjects"] <= SUBJECTS for r in rows.values())


def test_the_counts_are_those_of_the_films(whole_run: tuple[Path, dict[str, Any]]) -> None:
    folder, document = whole_run
    assert (document["images"], document["subjects"]) == (SUBJECTS * FILMS, SUBJECTS)
    assert document["unread"] == []
    by_protocol = {p: r for (_, p, m, _), r in rows_of(folder).items() if m == "auc"}
    n, pairs = SUBJECTS * FILMS, SUBJECTS * FILMS * (FILMS - 1) // 2
    everything = by_protocol["all"]
    assert (everything["n_genuine"], everything["n_impostor"]) == (pairs, n * (n - 1) // 2 - pairs)
    assert by_protocol["unequal_width"]["n_genuine"] == SUBJECTS * 4  # two of each width
    assert by_protocol["view=different"]["n_genuine"] == SUBJECTS * 2  # PA against two AP
    assert by_protocol["view=same"]["n_genuine"] == SUBJECTS  # AP, AP Supine
    assert by_protocol["gap=1"]["n_genuine"] == SUBJECTS * 3


def test_the_encoder_beats_chance_on_copies_that_were_cropped(whole_run: tuple[Path, dict[str, Any]]) -> None:
    folder, document = whole_run
    (encoder,) = (s for s, role in document["systems"].items() if role == "encoder")
    assert rows_of(folder)[encoder, "all", "auc", "subjects"]["value"] > 0.6


def test_every_encoder_of_the_kind_is_measured_unless_some_are_named() -> None:
    systems = embeddings.systems_for("chest_radiograph", (), baselines=False)
    assert [system.name.partition("@")[0] for system in systems] == ["cxr-lite0", "cxr-resnet50"]


def test_an_encoder_with_details_has_a_row_for_them(whole_run: tuple[Path, dict[str, Any]]) -> None:
    folder, document = whole_run
    rows = rows_of(folder)
    by_detail = {s for s, protocol, metric, _ in rows if metric == "looked.p_at_1" and protocol == "all"}
    assert [name.partition("@")[0] for name in by_detail] == ["cxr-lite0"]
    row = rows[by_detail.pop(), "all", "looked.p_at_1", "subjects"]
    assert row["low"] <= row["value"] <= row["high"] and row["n_subjects"] == SUBJECTS
    assert "detail match ranks the ten nearest again" in document["answer"][0]


def test_detail_matches_rank_the_nearest_again() -> None:
    """Every film's nearest is a stranger: a match that knows better finds its subject, a blind one not."""
    around = np.arange(12) * np.pi / 6
    vectors = np.stack([np.cos(around), np.sin(around)], axis=1).astype(np.float32)
    subjects = np.array([0, 1, 2] * 4, np.int64)  # the nearest of one subject is three steps away
    joint = JointEvidence(
        bias=0.0, score=1.0, detail=1.0, alone_bias=0.0, alone_score=1.0, subjects=100.0, impostors=100
    )
    draws = np.ones((2, 3), np.float32)

    def found(match: Callable[[Any], Any]) -> list[float]:
        figures = detail_ranking_figures(vectors, subjects, match, joint, draws)
        assert [f.weighting for f in figures] == ["subjects", "pairs"]
        return [f.estimate.value for f in figures]

    def knows(pairs: Any) -> Any:
        return np.where(subjects[pairs[:, 0]] == subjects[pairs[:, 1]], 5.0, -5.0)

    assert found(knows) == [1.0, 1.0]
    assert found(lambda pairs: np.zeros(len(pairs))) == [0.0, 0.0]
    assert found(lambda pairs: np.where(subjects[pairs[:, 0]] == 0, knows(pairs), 0.0)) == pytest.approx(
        [1 / 3, 1 / 3]
    )


def test_the_page_answers_in_words_and_shows_no_film_and_no_subject(
    whole_run: tuple[Path, dict[str, Any]],
) -> None:
    folder, document = whole_run
    page = (folder / "evaluation.html").read_text()
    assert document["answer"][0].split(" gives ")[0] in page
    assert "person-0" not in page and "images/" not in page
    assert "person-0" not in (folder / "evaluation.json").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert page.count("data:image/png;base64,") == 4
    for name in ("det", "distances", "tsne", "similarity"):
        with Image.open(folder / f"{name}.png") as picture:
            assert min(picture.size) > 200


def test_what_there_are_too_few_subjects_for_is_said(whole_run: tuple[Path, dict[str, Any]]) -> None:
    _, document = whole_run
    assert any("20_way_1_shot: needs 20 subjects" in words for words in document["not_measured"])
    assert f"Subjects with two or more images: {SUBJECTS}." in document["answer"][-1]


def test_figures_by_pairs_stand_beside_those_by_subjects(whole_run: tuple[Path, dict[str, Any]]) -> None:
    folder, document = whole_run
    for weighting, key in (("subjects", "headlines"), ("pairs", "by_pairs")):
        for system in document["systems"]:
            row = rows_of(folder)[system, "all", "auc", weighting]
            assert document[key][system]["all"]["auc"] == pytest.approx(
                [row["value"], row["low"], row["high"]], abs=1e-4
            )


def test_images_to_train_on_are_mentioned(evaluate: Leakscan, drawn_archive: Path) -> None:
    rows = [
        (f"images/{s:02d}_{n}.png", f"p{s}", "train" if s < 2 else "test") for s in range(4) for n in range(3)
    ]
    listed = write(drawn_archive / "mixed.csv", rows, ("path", "subject_id", "split"))
    quick = ("--encoder", "cxr-lite0", "--no-baselines", "--no-looks", "--json")
    all_of_it = evaluate("evaluate", listed, *quick, "-o", "all").json
    assert all_of_it["of_split_train"] == 6
    assert any("6 of its images to the split train" in words for words in all_of_it["answer"])
    test = evaluate("evaluate", listed, "--split", "test", *quick, "-o", "test").json
    assert test["of_split_train"] == 0
    assert not any("split train" in words for words in test["answer"])


def test_the_command_writes_the_folder_and_prints_the_headlines(
    evaluate: Leakscan, drawn_archive: Path, tmp_path: Path
) -> None:
    films, one = drawn_archive / "films.csv", ("--encoder", "cxr-lite0")
    arguments = ("evaluate", films, "--split", "test", *one, "--no-baselines", "-o", "out")
    ran = evaluate(*arguments, "--no-looks")
    assert ran.code == 0, ran.error
    for words in (
        "AUC",
        "P@1",
        "unequal_width",
        "reduced_128",
        f"{3 * SUBJECTS} images of {SUBJECTS} subjects",
        "evaluation.html",
    ):
        assert words in ran.out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "evaluation.parquet",
        "evaluation.json",
        "evaluation.html",
        "det.png",
        "distances.png",
        "tsne.png",
        "similarity.png",
    }
    again = evaluate(*arguments)
    assert again.code == 2
    assert "exists already" in again.error
    replaced = evaluate(*arguments, "--overwrite", "--json")
    assert replaced.code == 0
    assert list(replaced.json["systems"].values()) == ["encoder"]
    (lines,) = replaced.json["headlines"].values()
    assert "looked.p_at_1" in lines["all"]
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["images"] == 3 * SUBJECTS


def test_what_is_measured_is_what_a_store_would_hold(
    evaluate: Leakscan, leakscan: Leakscan, drawn_archive: Path, loaded_once: Callable[..., Any]
) -> None:
    """The fingerprints are those that ``leakscan fingerprint`` writes, to the last bit of float16."""
    made = leakscan("fingerprint", drawn_archive / "films.csv", "-o", "a.fps", "--kind", "chest_radiograph")
    assert made.code == 0, made.error
    (shard,) = Path("a.fps/shards").glob("*.parquet")
    stored = {
        r["path"]: np.array(r["fingerprint"], np.float32)
        for r in pq.read_table(shard, columns=["path", "fingerprint"]).to_pylist()
    }
    system = embeddings.systems_for("chest_radiograph", (), baselines=False)[0]
    refs = list(open_source(str(drawn_archive / "films.csv"), DecodeOptions()).scan(Silent()))
    images = [prepare_image(LabelledImage(ref, {}), (system.side,), DecodeOptions()) for ref in refs]
    vectors, _ = system.vectors(images, reduced=False)
    for ref, vector in zip(refs, vectors, strict=True):
        assert np.abs(vector - stored[ref.path]).max() <= 2e-3  # batches of other sizes round otherwise


def test_a_reduced_film_is_the_mean_over_areas() -> None:
    film = np.random.default_rng(0).random((256, 200)).astype(np.float32)
    small = reduced(film)
    assert small.shape == (128, 100)
    assert small[0, 0] == pytest.approx(film[:2, :2].mean(), abs=1e-6)
    assert reduced(small) is small


def test_unreadable_films_are_counted_and_named(evaluate: Leakscan, drawn_archive: Path) -> None:
    rows = list(csv.reader((drawn_archive / "films.csv").open()))[1:]
    (drawn_archive / "images" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    save(drawn_archive / "images" / "flat.png", np.full((64, 64), 7, np.uint8))
    extra = [
        ("images/broken.png", "person-000", "test", "", "", "", ""),
        ("images/flat.png", "person-000", "test", "", "", "", ""),
        ("images/gone.png", "person-000", "test", "", "", "", ""),
        (*rows[1][:1], "", *rows[1][2:]),
    ]
    lateral = [(rows[2][0], rows[2][1], "test", "", "LATERAL", "", "")]
    films = [tuple(r) for r in rows if r[0] not in (rows[1][0], rows[2][0])]
    listed = write(drawn_archive / "more.csv", [*films, *extra, *lateral])
    one = ("--encoder", "cxr-lite0")
    ran = evaluate("evaluate", listed, *one, "--no-baselines", "--no-looks", "-o", "out", "--json")
    assert ran.code == 0, ran.error
    document = ran.json
    assert document["images"] == SUBJECTS * FILMS - 2
    assert {u["path"] for u in document["unread"]} == {f"images/{n}.png" for n in ("broken", "flat", "gone")}
    assert (document["of_unknown_subject"], document["of_other_views"]) == (1, 1)


@pytest.mark.parametrize(
    ("manifest", "arguments", "words"),
    [
        ("films.csv", ("--split", "nowhere"), ["'nowhere'", "lone, test"]),
        ("films.csv", ("--split", "lone"), ["No subject", "two readable images"]),
        ("shared.csv", ("--split", "test"), ["1 subject of the split 'train'", "is also in 'test' (a)"]),
        ("films.csv", ("--encoder", "no-such"), ["no-such", "known are"]),
        ("films.csv", ("--kind", "brain_mri"), [f"{FILMS * SUBJECTS} images of", "needs volumes", "--kind"]),
        ("no-subjects.csv", (), ["no column 'subject_id'"]),
        ("no-split.csv", ("--split", "test"), ["no column 'split'"]),
        ("unread.csv", (), ["No image of", "cannot be read", "does not exist"]),
        ("one.csv", (), ["one subject"]),
        ("absent.csv", (), ["cannot be read"]),
        ("images", (), ["no manifest"]),
    ],
)
def test_a_users_mistake_is_a_sentence(
    evaluate: Leakscan,
    drawn_archive: Path,
    tmp_path: Path,
    manifest: str,
    arguments: tuple[str, ...],
    words: list[str],
) -> None:
    some = [(f"images/00_{n}.png", "a") for n in range(3)]
    write(drawn_archive / "no-subjects.csv", [r[:1] for r in some], ("path",))
    write(drawn_archive / "no-split.csv", some, ("path", "subject_id"))
    write(drawn_archive / "one.csv", some, ("path", "subject_id"))
    both = [(*row, split) for row, split in zip(some, ("train", "test", "test"), strict=True)]
    write(drawn_archive / "shared.csv", both, ("path", "subject_id", "split"))
    write(drawn_archive / "unread.csv", [("x.png", "a"), ("y.png", "a")], ("path", "subject_id"))
    ran = evaluate("evaluate", drawn_archive / manifest, *arguments, "--no-baselines", "-o", "out")
    assert ran.code == 2
    for word in words:
        assert word in ran.error
    assert not (tmp_path / "out").exists()


def test_a_missing_package_names_the_extra(
    evaluate: Leakscan, drawn_archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "sklearn":
            raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    ran = evaluate("evaluate", drawn_archive / "films.csv", "-o", "out")
    assert ran.code == 2
    assert "sklearn" in ran.error
    assert "leakscan[train]" in ran.error


def test_a_folder_of_other_files_is_never_overwritten(
    evaluate: Leakscan, drawn_archive: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    ran = evaluate("evaluate", drawn_archive / "films.csv", "-o", "out", "--overwrite")
    assert ran.code == 2
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_an_untrained_network_tells_films_apart_at_all_and_is_the_same_every_time(
    drawn_archive: Path,
) -> None:
    refs = list(open_source(str(drawn_archive / "films.csv"), DecodeOptions()).scan(Silent()))[:8]
    images = [prepare_image(LabelledImage(ref, {}), (64,), DecodeOptions()) for ref in refs]
    first, again = (
        embeddings.UntrainedSystem("untrained", "efficientnet_lite0", 32, 64).vectors(images, False)[0]
        for _ in range(2)
    )
    assert np.allclose(first, again, atol=1e-5)
    assert (first @ first.T).min() < 0.999
