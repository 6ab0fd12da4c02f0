"""Manifests that nothing can be learned from are refused in words, and films are decoded once."""

import csv

import numpy as np
import pytest

from leakscan.errors import OutputError, SourceError, UsageError
from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph
from leakscan.training.films import pack as pack_module
from leakscan.training.films.archive import packed_films
from leakscan.training.films.form import Form
from leakscan.training.films.manifests import check_manifests
from leakscan.types import Silent
from support.makers import save, scene


def _manifest(folder, rows, columns=("path", "subject_id", "split"), name="films.csv"):
    folder.mkdir(exist_ok=True)
    with (folder / name).open("w", newline="") as f:
        csv.writer(f).writerows([columns, *rows])
    return folder / name


GOOD = [("a.png", "p1", "train"), ("b.png", "p1", "train"), ("c.png", "p2", "val"), ("d.png", "p2", "val")]
GOOD += [("e.png", "p3", "val"), ("f.png", "p4", "test")]


def test_a_fair_manifest_is_counted(tmp_path):
    listing = check_manifests([_manifest(tmp_path, [*GOOD, ("g.png", "", "train")])])
    assert listing.images == {"train": 2, "val": 3, "test": 1}
    assert listing.subjects == {"train": 1, "val": 2, "test": 1} and listing.unknown == 1


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([r for r in GOOD if r[2] != "val"], "split 'val': there is nothing to choose"),
        ([r for r in GOOD if r[2] != "train"], "split 'train': there is nothing to train on"),
        ([(p, p, s) for p, _, s in GOOD], "No subject of the split 'train' .* has two images"),
        ([(p, f"{s}-{p}" if s == "val" else i, s) for p, i, s in GOOD], "split 'val' .* has two images"),
        ([r for r in GOOD if r[1] != "p3"], "one subject"),
        ([*GOOD, ("h.png", "p1", "test")], "1 subject of the split 'train' .* is also in 'test' .p1."),
        ([*GOOD, ("h.png", "p1", "calibration"), ("i.png", "p1", "val")], "is also in 'calibration'"),
        ([*GOOD, *((f"{i}{s}.png", f"x{i}", s) for i in range(5) for s in ("train", "test"))], "^5 subjects"),
    ],
    ids=["no val", "no train", "one image each", "val singles", "val alone", "in test", "in three", "many"],
)
def test_what_cannot_be_learned_from_fairly_is_refused(tmp_path, rows, words):
    with pytest.raises(SourceError, match=words):
        check_manifests([_manifest(tmp_path, rows)])


def test_a_subject_of_one_manifest_may_not_be_tested_in_another(tmp_path):
    one = _manifest(tmp_path / "one", GOOD)
    other = _manifest(tmp_path / "other", [("z.png", "p1", "test")])
    with pytest.raises(SourceError, match="also in 'test'") as refused:
        check_manifests([one, other])
    assert "prefix" in refused.value.hint


def test_what_is_no_manifest_gets_a_sentence(tmp_path):
    with pytest.raises(UsageError, match="is no manifest"):
        check_manifests([tmp_path])
    with pytest.raises(SourceError, match="cannot be read"):
        check_manifests([tmp_path / "none.csv"])
    with pytest.raises(SourceError, match="no column 'subject_id'"):
        check_manifests([_manifest(tmp_path, [("a.png", "train")], ("path", "split"))])
    good = _manifest(tmp_path, GOOD)
    with pytest.raises(UsageError, match="named twice"):
        check_manifests([good, tmp_path / "." / "films.csv"])


@pytest.fixture
def folder(tmp_path):
    """Three films that can be read, and every kind that cannot."""
    for i, name in enumerate("abc"):
        save(tmp_path / f"{name}.png", scene(i))
    save(tmp_path / "blank.png", np.full((48, 48), 7, np.uint8))
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    (tmp_path / "words.txt").write_text("no image")
    return tmp_path


ROWS = [
    ("a.png", "p1", "train", "64", "F", "PA", "43"),
    ("broken.png", "p1", "train", "", "", "", ""),
    ("b.png", "p2", "train", "", "M", "AP", "?"),
    ("missing.png", "p2", "train", "", "", "", ""),
    ("words.txt", "p2", "train", "", "", "", ""),
    ("blank.png", "p2", "train", "", "", "", ""),
    ("a.png", "p1", "train", "", "", "", ""),
    ("c.png", "", "train", "", "", "", ""),
    ("c.png", "p9", "val", "", "", "", ""),
]
COLUMNS = ("path", "subject_id", "split", "source_width_px", "sex", "view", "age_years")


def test_readable_films_are_packed_and_all_others_named(folder):
    manifest = _manifest(folder, ROWS, COLUMNS)
    pack = packed_films([manifest], "train", Form((40, 40)), folder / "cache", Silent(), workers=0)
    for film, seed in zip(pack.films, range(2), strict=True):
        assert (film == np.rint(canonical_radiograph(scene(seed), 40) * 255)).all()
    assert len(set(pack.subjects)) == 2
    assert pack.widths.tolist() == [64, 48]  # as declared, else as found
    assert pack.groups.tolist() == ["F PA 40", "M AP "]
    left = dict(pack.unread)
    assert set(left) == {"broken.png", "missing.png", "words.txt", "blank.png", "a.png"}
    assert "does not exist" in left["missing.png"] and "blank" in left["blank.png"]
    assert "more than once" in left["a.png"]


def test_the_packed_films_lie_in_a_plain_npy_without_names_of_subjects(folder):
    manifest = _manifest(folder, ROWS, COLUMNS)
    pack = packed_films([manifest], "train", Form((40, 40)), folder / "cache", Silent(), workers=0)
    assert isinstance(pack.films, np.memmap) and pack.films.shape == (2, 40, 40)
    (table,) = (folder / "cache").glob("*.parquet")
    assert b"p1" not in table.read_bytes()


def test_films_are_decoded_once_until_the_manifest_changes(folder, monkeypatch):
    manifest = _manifest(folder, ROWS, COLUMNS)
    decoded = []
    real = pack_module.canonical_film
    monkeypatch.setattr(
        pack_module, "canonical_film", lambda film, form: decoded.append(form) or real(film, form)
    )

    def pack(side=40, split="train"):
        decoded.clear()
        found = packed_films([manifest], split, Form((side, side)), folder / "cache", Silent(), workers=0)
        return len(decoded), found

    assert pack()[0] == 7
    again, found = pack()
    assert again == 0 and len(found.films) == 2 and len(found.unread) == 5
    assert pack(side=48)[0] == 7
    assert pack(split="val")[0] == 1
    _manifest(folder, ROWS[:4], COLUMNS)
    assert pack()[0] == 4


def test_no_readable_film_is_an_error_that_names_the_first(folder):
    manifest = _manifest(folder, [("broken.png", "p1", "train"), ("missing.png", "p1", "train")])
    with pytest.raises(SourceError, match=r"None of the 2 films .* First: broken.png: "):
        packed_films([manifest], "train", Form((40, 40)), folder / "cache", Silent(), workers=0)


def test_a_cache_that_cannot_be_written_is_an_error_in_words(folder):
    manifest = _manifest(folder, ROWS, COLUMNS)
    (folder / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write"):
        packed_films([manifest], "train", Form((40, 40)), folder / "file" / "cache", Silent(), workers=0)
