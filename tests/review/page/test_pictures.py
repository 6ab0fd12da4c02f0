"""What the page shows is what the run saw: found wherever it is now, laid on each other, and kept."""

from __future__ import annotations

import json
import shutil
import unicodedata
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from blake3 import blake3
from PIL import Image

from leakscan.decide.copies.picture_features import describe_picture
from leakscan.decide.copies.transform import TURNS
from leakscan.fingerprint.store import Store, StoreInfo
from leakscan.report.run_folder import RunFolder
from leakscan.review.page.alignment import lay
from leakscan.review.page.deck import Deck
from leakscan.review.page.originals import Missing, Originals
from leakscan.review.page.pictures import pack, unpack
from leakscan.review.page.shelf import Shelf
from leakscan.review.page.volumes import frame_pixels, laid_pixels
from leakscan.synthetic.heads import draw_brain
from leakscan.types import DecodedImage
from support.makers import NO_ENCODER, Leakscan, Picture, save, scene
from support.review_page import Open, Reader
from support.review_run import MadeRun


def levels(reader: Reader, address: str) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    answer = reader.client.get(address)
    assert answer.status_code == 200, answer.text
    return unpack(zlib.compress(answer.content))


def originals(run: Path, **moved: str) -> tuple[Originals, dict[str, Any]]:
    folder = RunFolder.open(run)
    found = Originals.of(folder, json.loads(folder.summary.read_text()), moved)
    return found, {image.row["path"]: image for card in Deck.of(folder) for image in card.images}


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("turn", list(TURNS))
def test_flips_turns_and_inversion_are_undone(films: list[Picture], turn: str, inverted: bool) -> None:
    film = films[0]
    turned = np.ascontiguousarray(
        {
            "": film,
            "hflip": film[:, ::-1],
            "vflip": film[::-1],
            "rot90": np.rot90(film),
            "rot180": np.rot90(film, 2),
            "rot270": np.rot90(film, 3),
            "transpose": film.T,
            "antitranspose": np.rot90(film, 2).T,
        }[turn]
    )
    other = 255 - turned if inverted else turned
    a, b = (describe_picture(p.astype(np.float32)) for p in (film, other))
    laid = lay(a, b, film.shape, other.shape, "")
    assert (laid.turn, laid.inverted, laid.how) == (turn, inverted, "keypoints")
    # The page draws as this does: b through the map lies on a.
    corners = laid.aligned.copy()
    corners[:, 2] += corners[:, :2] @ np.array([0.5, 0.5]) - 0.5
    drawn = cv2.warpAffine(turned, corners, film.shape[::-1])
    inner = (slice(8, -8), slice(8, -8))
    assert np.abs(drawn[inner].astype(int) - film[inner]).mean() < 4
    assert laid.agreeing > 30
    upright = laid.upright.copy()
    upright[:, 2] += upright[:, :2] @ np.array([0.5, 0.5]) - 0.5
    assert np.abs(cv2.warpAffine(turned, upright, film.shape[::-1]).astype(int) - film)[inner].mean() < 4


def test_two_films_of_different_people_are_laid_by_outline_or_size_never_by_keypoints(
    films: list[Picture],
) -> None:
    a, b = (describe_picture(p.astype(np.float32)) for p in films[:2])
    laid = lay(a, b, films[0].shape, films[1].shape, "")
    assert laid.how in ("shape", "size")
    assert laid.agreeing == 0
    assert "keypoints" not in laid.words


def test_the_column_transform_decides_where_nothing_is_found(films: list[Picture]) -> None:
    smooth = np.tile(np.linspace(0, 255, 90, dtype=np.float32), (60, 1))
    a, b = describe_picture(smooth), describe_picture(255 - smooth.T)
    laid = lay(a, b, (60, 90), (90, 60), "rot90+invert")
    assert (laid.turn, laid.inverted) == ("rot90", True)
    width, height = laid.upright @ np.array([60, 0, 1]) - laid.upright @ np.array([0, 90, 1])
    assert (abs(width), abs(height)) == (pytest.approx(90), pytest.approx(60))


def test_blank_pictures_are_laid_without_a_word_of_agreement() -> None:
    blank = describe_picture(np.zeros((40, 30), np.float32))
    assert lay(blank, blank, (40, 30), (40, 30), "").how == "size"


def test_a_flipped_and_moved_volume_comes_to_lie_on_the_other() -> None:
    head = draw_brain(np.random.default_rng(0), (40, 48, 40), 4.0).astype(np.float32)
    other = np.roll(head[::-1], 2, axis=1)
    one, two = (DecodedImage(v, np.ascontiguousarray(v), (4.0, 4.0, 4.0)) for v in (head, other))
    header, laid = unpack(laid_pixels(one, two))
    _, frame = unpack(frame_pixels(one))
    assert header["how"] == "aligned"
    assert laid.shape == frame.shape
    assert np.corrcoef(laid.ravel(), frame.ravel())[0, 1] > 0.97


def test_volumes_of_odd_spacing_keep_their_shape_in_millimetres() -> None:
    slab = DecodedImage(
        np.zeros((1, 1)), np.random.default_rng(0).random((60, 60, 12), np.float32), (1.0, 1.0, 5.0)
    )
    header, frame = unpack(frame_pixels(slab))
    assert frame.shape == (60, 60, 60)
    assert header["step_mm"] == 1.0


def test_grey_levels_keep_more_than_eight_bits_and_stray_pixels_take_no_room() -> None:
    values = np.linspace(0, 4095, 400 * 300, dtype=np.float32).reshape(300, 400)
    values[0, 0] = 1e9
    header, found = unpack(pack(values, {}))
    assert len(np.unique(found)) > 3000
    assert header["low"] + header["per_level"] * float(found[150, 200]) == pytest.approx(
        values[150, 200], abs=3
    )
    assert unpack(pack(np.full((5, 5), 7.0, np.float32), {}))[1].max() == 0


def test_the_page_gets_pictures_of_every_level(reader: Reader, films: list[Picture]) -> None:
    line = reader.titled("bob")
    _, found = levels(reader, f"/api/film/{line['key']}/{line['a']}/screen")
    assert found.shape == films[3].shape
    assert np.corrcoef(found.ravel(), films[3].ravel())[0, 1] > 0.999
    assert max(levels(reader, f"/api/film/{line['key']}/{line['a']}/thumb")[1].shape) == 96
    answer = reader.client.get(f"/api/film/{line['key']}/{line['a']}/full")
    assert answer.headers["content-encoding"] == "deflate"


def test_the_page_learns_how_the_two_lie_and_where_they_agree(reader: Reader) -> None:
    line = reader.titled("ann")
    laid = reader.get(f"/api/laid/{line['key']}/{line['a']}/{line['b']}")
    assert laid["how"] == "keypoints"
    assert laid["inverted"]
    assert laid["words"].startswith("The right one was mirrored and made negative; that is undone here.")
    assert 30 < len(laid["points"]) <= 151
    xa, ya, xb, yb = np.array(laid["points"]).T
    assert np.abs(xa + xb - xb.max() - xa.min()).max() < 12
    assert np.abs(ya - yb).max() < 4


def test_an_image_that_is_gone_or_changed_since_the_run_is_a_sentence(
    films: list[Picture], tmp_path: Path, open_review: Open
) -> None:
    made = MadeRun(tmp_path)
    a, b = (made.image(d, "1.png", f, d) for d, f in (("A", films[0]), ("B", films[1])))
    made.pair(a, b)
    run = made.write()
    reader = Reader(open_review(run))
    (line,) = reader.lines()
    (tmp_path / "A" / "1.png").unlink()
    Image.fromarray(films[2]).save(tmp_path / "B" / "1.png")
    assert "gone since the run" in reader.get(f"/api/film/{line['key']}/{line['a']}/screen", 410)["error"]
    assert "changed since the run" in reader.get(f"/api/film/{line['key']}/{line['b']}/screen", 410)["error"]
    assert reader.get(f"/api/laid/{line['key']}/{line['a']}/{line['b']}", 410)["error"].endswith(".")
    (tmp_path / "A" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    assert "no longer be read" in reader.get(f"/api/film/{line['key']}/{line['a']}/screen", 410)["error"]
    assert reader.say(line["key"], "unsure")["card"]["word"] == "unsure"  # it can be judged all the same


def test_images_that_moved_are_found_by_name_or_beside_the_run(films: list[Picture], tmp_path: Path) -> None:
    made = MadeRun(tmp_path / "old")
    a, b = (made.image(d, f"x/{d}.png", f, d) for d, f in (("A", films[0]), ("B", films[1])))
    made.pair(a, b)
    made.write()
    (tmp_path / "old").rename(tmp_path / "new")  # run and images together
    found, images = originals(tmp_path / "new" / "run")
    assert found.troubles == []
    assert found.pixels(images["x/A.png"]).values.shape == films[0].shape
    (tmp_path / "new" / "A").rename(tmp_path / "elsewhere")
    found, _ = originals(tmp_path / "new" / "run")
    (trouble,) = found.troubles
    assert trouble == "The images of A are not where they were."
    found, images = originals(tmp_path / "new" / "run", A=str(tmp_path / "elsewhere"))
    assert found.troubles == []
    for image in images.values():
        assert found.pixels(image).values.ndim == 2


def test_a_run_that_does_not_say_where_its_images_are_says_that(films: list[Picture], tmp_path: Path) -> None:
    made = MadeRun(tmp_path)
    a, b = (made.image(d, "1.png", f, d) for d, f in (("A", films[0]), ("B", films[1])))
    made.pair(a, b)
    found, images = originals(made.write(sources={}))
    assert len(found.troubles) == 2
    with pytest.raises(Missing, match="does not say where"):
        found.pixels(images["1.png"])


@pytest.mark.parametrize(
    "path", ["../secret.png", "/secret.png", "sub/../../secret.png", "link.png", "\0", "a" * 5000]
)
def test_a_path_in_a_strangers_table_opens_nothing_outside_its_folder(tmp_path: Path, path: str) -> None:
    made = MadeRun(tmp_path)
    secret = save(tmp_path / "secret.png", scene(9))
    a = made.image("A", "1.png", scene(1), "p")
    b = made.row("B", path, scene(9), "q")
    made.image("B", "2.png", scene(2))
    (tmp_path / "B" / "link.png").symlink_to(secret)
    made.pair(a, b)
    found, images = originals(made.write())
    with pytest.raises(Missing):
        found.pixels(images[path])


def test_names_in_another_unicode_form_are_found(tmp_path: Path, films: list[Picture]) -> None:
    composed = unicodedata.normalize("NFC", "Röntgen.png")
    made = MadeRun(tmp_path)
    a = made.image("A", "x.png", films[0], "p", path=composed, image_id=blake3(composed.encode()).hexdigest())
    (tmp_path / "A" / "x.png").rename(tmp_path / "A" / unicodedata.normalize("NFD", composed))
    made.pair(a, made.image("B", "1.png", films[1]))
    found, images = originals(made.write())
    assert found.pixels(images[composed]).values.shape == films[0].shape


def test_a_comparison_says_where_its_images_are_unless_paths_are_hidden(
    tmp_path: Path, films: list[Picture], leakscan: Leakscan, open_review: Open
) -> None:
    save(tmp_path / "A" / "1.png", films[0])
    save(tmp_path / "B" / "1.png", films[0][:, ::-1])
    (tmp_path / "A.csv").write_text("path,subject_id,split\nA/1.png,p1,test\n")
    assert leakscan("compare", "A.csv?split=test", "B", "-o", "run", *NO_ENCODER).code == 1
    found, images = originals(tmp_path / "run")
    assert {found.pixels(image).values.shape for image in images.values()} == {films[0].shape}
    assert leakscan("compare", "A", "B", "-o", "quiet", "--hide-paths", *NO_ENCODER).code == 1
    assert str(tmp_path) not in (tmp_path / "quiet" / "summary.json").read_text()
    found, _ = originals(tmp_path / "quiet")
    assert len(found.troubles) == 2
    # Who knows where they are can name the places; the tables hold no path, so the folders are scanned.
    reader = Reader(
        open_review(tmp_path / "quiet", moved={"A": str(tmp_path / "A"), "B": str(tmp_path / "B")})
    )
    (line,) = reader.lines()
    assert levels(reader, f"/api/film/{line['key']}/{line['a']}/screen")[1].shape == films[0].shape


@pytest.mark.parametrize("previews", [True, False])
def test_a_store_shows_its_previews_or_says_that_it_has_none(
    tmp_path: Path, films: list[Picture], previews: bool
) -> None:
    made = MadeRun(tmp_path)
    a, b = made.row("A", "1.png", films[0]), made.image("B", "1.png", films[0])
    made.pair(a, b)
    store = Store.create(tmp_path / "A.fps", StoreInfo("A", "k"))
    png = cv2.imencode(".png", films[0])[1].tobytes() if previews else None
    store.append([{"image_id": a, "path": "1.png", "prepared_with": "way", "preview": png}])
    run = made.write(sources={"A": str(tmp_path / "A.fps"), "B": str(tmp_path / "B")})
    found, _ = originals(run)
    (card,) = Deck.of(RunFolder.open(run))
    assert found.pixels(card.images_b[0]).values.shape == films[0].shape
    if previews:
        assert found.troubles == []
        assert found.pixels(card.images_a[0]).values.shape == films[0].shape
    else:
        assert ["without previews" in trouble for trouble in found.troubles] == [True]
        with pytest.raises(Missing):
            found.pixels(card.images_a[0])


def test_an_unknown_dataset_to_look_elsewhere_is_named(run: Path, open_review: Open) -> None:
    from leakscan.errors import UsageError

    with pytest.raises(UsageError, match=r"'C'.*A, B"):
        open_review(moved={"C": "x"})


def test_what_is_rendered_is_kept_and_the_oldest_makes_room(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf", most_bytes=10_000)
    for i in range(30):
        assert shelf.get(f"picture {i}", lambda i=i: bytes([i]) * 1000) == bytes([i]) * 1000
    files = list((tmp_path / "shelf").iterdir())
    assert sum(f.stat().st_size for f in files) <= 10_000
    again = Shelf(tmp_path / "shelf", most_bytes=10_000)
    assert again.get("picture 29", lambda: b"made again") == bytes([29]) * 1000
    assert again.get("picture 0", lambda: b"made again") == b"made again"
    assert not any("picture" in f.name for f in files)


def test_a_damaged_file_on_the_shelf_is_made_again(tmp_path: Path) -> None:
    Shelf(tmp_path, 10_000).get("x", lambda: b"right" * 10)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-3])
    assert Shelf(tmp_path, 10_000).get("x", lambda: b"anew") == b"anew"


def test_a_shelf_that_cannot_be_written_only_makes_the_page_slower(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert Shelf(tmp_path / "file" / "x", 10_000).get("x", lambda: b"made") == b"made"
    Shelf(tmp_path / "none", 0).get("x", lambda: b"made")
    assert not (tmp_path / "none").exists()


def test_what_comes_next_is_rendered_ahead(reader: Reader, tmp_path: Path) -> None:
    import time

    bob, dot = (reader.titled(name)["key"] for name in ("bob", "ann"))
    reader.post("/api/opened", {"card": bob, "next": [dot]})
    for _ in range(100):
        if len(list((tmp_path / "cache" / "review").glob("*.bin"))) >= 3:
            break
        time.sleep(0.1)
    assert len(list((tmp_path / "cache" / "review").glob("*.bin"))) == 3  # two films and how they lie
    shutil.rmtree(tmp_path / "cache")
