"""Nothing that looks like an image passes in silence: it is counted, named, and reaches the exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.makers import NO_ENCODER, Leakscan, fill, rows_of, save, scene

NOT_COMPARED = "that look like images were not compared"


def test_links_that_leave_the_folder_fail_the_run_and_are_counted(
    leakscan: Leakscan, tmp_path: Path, two_folders: tuple[Path, Path]
) -> None:
    a, _ = two_folders
    fill(tmp_path / "elsewhere", range(10, 14))
    for seed in range(10, 14):
        (a / f"x{seed}.png").symlink_to(tmp_path / "elsewhere" / f"{seed}.png")
    (a / "folder").symlink_to(tmp_path / "elsewhere")
    ran = leakscan("compare", "A", "B", *NO_ENCODER, "--fail-on", "same_file", "--json")
    assert ran.code == 3
    (dataset, _) = ran.json["datasets"]
    assert dataset["left_out"] == {"link that leaves the folder": 8}
    assert dataset["unread_share"] == pytest.approx(8 / 12)
    (said,) = [r for r in ran.json["reasons"] if NOT_COMPARED in r]
    assert said.startswith("8 files of A") and "8 links that leave the folder (66.7%" in said


def test_what_is_known_and_not_read_counts_like_what_is_damaged(
    leakscan: Leakscan, tmp_path: Path, two_folders: tuple[Path, Path]
) -> None:
    a, _ = two_folders
    (a / "loop.avi").write_bytes(b"RIFF\0\0\0\0AVI LIST" + bytes(100))
    (a / "cut.png").write_bytes((a / "0.png").read_bytes()[:60])
    (a / ".hidden.png").write_bytes((a / "0.png").read_bytes() + b"not a copy")
    (a / "notes.txt").write_text("two films")
    ran = leakscan("compare", "A", "B", *NO_ENCODER, "-o", "run", "--fail-on", "same_file")
    assert ran.code == 3
    for words in ("3 files of A", "1 AVI video", "1 unreadable PNG", "1 hidden file"):
        assert words in " ".join(ran.out.split())
    found = {r["path"]: r["left_out"] for r in rows_of(tmp_path / "run", "images") if r["dataset"] == "A"}
    assert found.pop("loop.avi") == "AVI video"
    assert found.pop("cut.png") == "unreadable PNG"
    assert found.pop(".hidden.png") == "hidden file"
    assert set(found.values()) == {None}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "1 AVI video" in page


def test_a_share_that_is_allowed_is_said_all_the_same(
    leakscan: Leakscan, tmp_path: Path, two_folders: tuple[Path, Path]
) -> None:
    (two_folders[0] / "loop.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    ran = leakscan("compare", "A", "B", *NO_ENCODER, "--max-unread", "0.5", "--json")
    assert not any(NOT_COMPARED in r for r in ran.json["reasons"])
    assert ran.json["warnings"] == ["1 file of A that looks like an image was not compared: 1 MP4 video."]


def test_a_leak_does_not_hide_what_was_not_compared(
    leakscan: Leakscan, tmp_path: Path, two_folders: tuple[Path, Path]
) -> None:
    (two_folders[0] / "loop.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    ran = leakscan("compare", "A", "B", *NO_ENCODER)
    assert ran.code == 1
    assert "1 MP4 video" in " ".join(ran.out.split())


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"/annex/objects/MD5E-s1--0.png\n", "git annex get"),
        (b"../../.git/annex/objects/aa/MD5E-s1--0.png", "git annex get"),
    ],
)
def test_what_was_not_fetched_says_how_to_fetch_it(
    leakscan: Leakscan, tmp_path: Path, two_folders: tuple[Path, Path], content: bytes, advice: str
) -> None:
    (two_folders[0] / "p.png").write_bytes(content)
    ran = leakscan("compare", "A", "B", *NO_ENCODER, "--json")
    (row,) = ran.json["datasets"][0]["unread"]
    assert row["status"] == "unreadable" and advice in row["error"]
    assert ran.json["datasets"][0]["left_out"] == {"pointer to a file that was not fetched": 1}


def test_an_annex_link_says_how_to_fetch_it(
    leakscan: Leakscan, tmp_path: Path, two_folders: tuple[Path, Path]
) -> None:
    (two_folders[0] / "p.png").symlink_to(".git/annex/objects/x1/MD5E--s1.png")
    ran = leakscan("compare", "A", "B", *NO_ENCODER, "--json")
    (row,) = ran.json["datasets"][0]["unread"]
    assert "git annex get" in row["error"]


def test_frames_that_were_not_asked_for_are_said(leakscan: Leakscan, tmp_path: Path) -> None:
    from PIL import Image

    pages = [Image.fromarray(scene(i)) for i in range(3)]
    (tmp_path / "A").mkdir()
    pages[0].save(tmp_path / "A" / "x.tiff", save_all=True, append_images=pages[1:])
    save(tmp_path / "B" / "x.png", scene(9))
    ran = leakscan("compare", "A", "B", *NO_ENCODER, "--frames", "first", "--json")
    assert ran.json["warnings"] == ["1 file of A holds more frames than the first, which were not compared."]
    everything = leakscan("compare", "A", "B", *NO_ENCODER, "--frames", "all", "--json")
    assert everything.json["warnings"] == []


def test_a_source_of_blank_pictures_is_not_called_unreadable(leakscan: Leakscan, tmp_path: Path) -> None:
    import numpy as np

    save(tmp_path / "A" / "x.png", np.zeros((20, 20), np.uint8))
    save(tmp_path / "B" / "x.png", scene(9))
    ran = leakscan("compare", "A", "B", "--json")
    assert ran.code == 3
    assert "could be read" not in " ".join(ran.json["reasons"])
    assert "No image of A has anything in it" in " ".join(ran.json["reasons"])
    assert ran.json["datasets"][0]["kinds"] == {"other_2d": 1}
