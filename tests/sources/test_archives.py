"""Archives are read without unpacking; what a hostile one may cost is bounded, and nothing is silent."""

from __future__ import annotations

import gzip
import io
import resource
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from leakscan.errors import ImageError
from leakscan.fingerprint.hashing import file_hash
from leakscan.settings import DecodeOptions
from leakscan.sources import unpacking
from leakscan.sources.directory import DirectorySource
from leakscan.sources.formats import decode
from leakscan.types import ImageRef, Silent
from support import dicom_maker
from support.dicom_maker import CT
from support.makers import save, scene
from support.odd_files import as_text, dicom, hugging_face, parquet, png, tarred, zipped
from support.packed_files import arrow
from support.rare_files import by_pillow

OPTIONS = DecodeOptions()


def scan(root: Path, **keywords: object) -> dict[str, ImageRef]:
    refs = list(DirectorySource(root, "d", OPTIONS, **keywords).scan(Silent()))  # type: ignore[arg-type]
    assert len({r.image_id for r in refs}) == len(refs), "ids are unique"
    return {f"{r.path}#{r.frame}" if r.frame else r.path: r for r in refs}


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_members_are_files_of_the_source_and_equal_plain_ones(tmp_path: Path) -> None:
    save(tmp_path / "plain.png", scene(1))
    write(tmp_path / "z.zip", zipped(**{"ward/a.png": png(scene(1)), "notes.txt": b"x", ".b.png": b"x"}))
    rows = scan(tmp_path)
    assert {p: r.status for p, r in rows.items()} == {
        "plain.png": "ok",
        "z.zip/ward/a.png": "ok",
        "z.zip/notes.txt": "ignored",
        "z.zip/.b.png": "unsupported",
    }
    assert file_hash(rows["z.zip/ward/a.png"].files) == file_hash(rows["plain.png"].files)
    np.testing.assert_array_equal(decode(rows["z.zip/ward/a.png"], OPTIONS).stored, scene(1))


def test_patterns_and_rules_reach_into_archives(tmp_path: Path) -> None:
    from leakscan.sources.subject_rules import parse_subject_rule

    write(tmp_path / "z.zip", zipped(**{"sub-07/a.png": png(scene(1)), "masks/b.png": png(scene(2))}))
    rows = scan(tmp_path, exclude=["masks/"], subjects=parse_subject_rule("bids"))
    assert {p: r.tags.subject for p, r in rows.items()} == {"z.zip/sub-07/a.png": "07"}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_series_in_a_tar_is_one_volume(tmp_path: Path, mode: str) -> None:
    files = dicom_maker.series(tmp_path / "plain", count=5)
    write(tmp_path / "t" / "t.tar", tarred(mode, **{p.name: p.read_bytes() for p in reversed(files)}))
    (packed,), (plain,) = scan(tmp_path / "t").values(), scan(tmp_path / "plain").values()
    assert packed.image_id == plain.image_id and packed.ndim == 3
    np.testing.assert_array_equal(decode(packed, OPTIONS).stored, decode(plain, OPTIONS).stored)


def test_a_pair_of_header_and_voxels_is_one_image_in_an_archive(tmp_path: Path) -> None:
    import nibabel as nib

    voxels = np.random.default_rng(0).integers(0, 999, (4, 5, 6)).astype(np.int16)
    nib.save(nib.Nifti1Pair(voxels, np.eye(4)), tmp_path / "v.hdr")
    both = {n: (tmp_path / n).read_bytes() for n in ("v.hdr", "v.img")}
    write(tmp_path / "z" / "z.zip", zipped(**both))
    write(tmp_path / "z" / "t.tar", tarred(**both))
    rows = scan(tmp_path / "z")
    assert sorted(rows) == ["t.tar/v.hdr", "z.zip/v.hdr"]
    for row in rows.values():
        np.testing.assert_array_equal(decode(row, OPTIONS).stored, voxels)


def test_the_signature_of_a_member_changes_with_its_archive(tmp_path: Path) -> None:
    write(tmp_path / "z.zip", zipped(a=png(scene(1))))
    (before,) = scan(tmp_path).values()
    write(tmp_path / "z.zip", zipped(a=png(scene(2))))
    (after,) = scan(tmp_path).values()
    assert before.signature != after.signature
    np.testing.assert_array_equal(decode(after, OPTIONS).stored, scene(2))


@pytest.mark.parametrize("name", ["../up.png", "/root.png", "a/../../up.png"])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_name_that_leads_out_is_refused_by_a_sentence(tmp_path: Path, name: str, pack: object) -> None:
    write(tmp_path / "x.tar", pack(**{name: png(scene(1)), "in.png": png(scene(2))}))  # type: ignore[operator]
    rows = {p: r.status for p, r in scan(tmp_path).items()}
    assert rows.pop("x.tar/in.png") == "ok"
    assert list(rows.values()) == ["unsupported"]


def test_links_and_pipes_in_a_tar_do_no_harm(tmp_path: Path) -> None:
    stream, data = io.BytesIO(), png(scene(1))
    members = [
        (tarfile.SYMTYPE, "s.png", "/etc/passwd"),
        (tarfile.LNKTYPE, "h.png", "in/a.png"),
        (tarfile.SYMTYPE, "in/t.png", "a.png"),
        (tarfile.FIFOTYPE, "p.png", ""),
        (tarfile.REGTYPE, "in/a.png", ""),
    ]
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for kind, name, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            member.size = len(data) if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(data))
    write(tmp_path / "t.tar", stream.getvalue())
    assert {p: r.status for p, r in scan(tmp_path).items()} == {
        "t.tar/s.png": "unsupported",
        "t.tar/h.png": "ignored",
        "t.tar/in/t.png": "ignored",
        "t.tar/in/a.png": "ok",
    }


@pytest.mark.parametrize("cut", [10, 100, 700, -30])
@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
def test_an_archive_that_is_cut_short_is_said(tmp_path: Path, name: str, cut: int) -> None:
    make = {"x.zip": zipped, "x.tar": tarred}.get(name, lambda **f: tarred("w:gz", **f))
    noise = np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8)
    data = make(**{"a.png": png(scene(1)), "b.png": png(noise)})
    write(tmp_path / name, data[:cut] if cut > 0 or name != "x.tar" else data[:1300])
    rows = scan(tmp_path)
    bad = [r for r in rows.values() if r.status in ("unreadable", "unsupported")]
    for row in rows.values():
        if row.status == "ok":
            try:
                decode(row, OPTIONS)
            except Exception as error:
                assert type(error).__name__ == "ImageError"
                bad.append(row)
    assert bad


def test_an_encrypted_member_is_named(tmp_path: Path) -> None:
    data = bytearray(zipped(**{"a.png": png(scene(1))}))
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + offset] |= 1
    write(tmp_path / "z.zip", bytes(data))
    (row,) = scan(tmp_path).values()
    assert row.status == "unsupported" and "password" in row.error


def test_of_documents_that_are_zip_files_only_the_pictures_are_read(tmp_path: Path) -> None:
    pictures = {"word/media/a.png": png(scene(1)), "docProps/thumbnail.png": png(scene(2))}
    write(tmp_path / "letter.docx", zipped(**{"word/document.xml": b"<x/>", **pictures}))
    write(tmp_path / "empty.docx", zipped(**{"word/document.xml": b"<x/>"}))
    found = {path: row.status for path, row in scan(tmp_path).items()}
    assert found == {"letter.docx/word/media/a.png": "ok", "empty.docx": "ignored"}


def test_a_zip_bomb_costs_neither_time_nor_memory(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        head = png(scene(1))[:60]
        with archive.open("film.png", "w") as member:
            member.write(head)
            for _ in range(320):
                member.write(bytes(1 << 20))
        archive.writestr("a.png", png(scene(2)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = scan(tmp_path)
    assert rows["bomb.zip/a.png"].status == "ok"
    with pytest.raises(ImageError, match="bomb"):
        decode(rows["bomb.zip/film.png"], OPTIONS)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000, f"{grown} kB more"


def test_a_compressed_bomb_ends(tmp_path: Path) -> None:
    block = gzip.compress(bytes(1 << 24))
    write(tmp_path / "x.dcm.gz", gzip.compress(b"\0" * 128 + b"DICM" + bytes(1000)) + block * 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (row,) = scan(tmp_path).values()
    assert row.status in ("unsupported", "unreadable")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 700_000


def test_archives_in_archives_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = zipped(**{"a.png": png(scene(1))})
    for _ in range(6):
        data = zipped(**{"x.zip": data, "b.png": png(scene(2))})
    write(tmp_path / "x.zip", data)
    status = [r.status for r in scan(tmp_path).values()]
    assert status.count("ok") == 4 and status.count("unsupported") == 1
    monkeypatch.setattr("leakscan.sources.packed._MOST_ARCHIVES", 3)
    many = {f"{i}.zip": zipped(a=png(scene(i))) for i in range(5)}
    write(tmp_path / "x.zip", zipped(**many))
    status = [r.status for r in scan(tmp_path).values()]
    assert status.count("ok") == 3 and status.count("unsupported") == 2


def test_a_table_with_rows_of_a_million_pixels_is_read_row_by_row(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 4, (1000, 1000)).astype(np.uint8)
    rows = [{"bytes": png(np.roll(noise, i)), "path": None} for i in range(3)]
    pq.write_table(pa.table({"image": rows}), tmp_path / "t.parquet", row_group_size=1)
    found = scan(tmp_path)
    assert [r.status for r in found.values()] == ["ok"] * 3
    np.testing.assert_array_equal(decode(list(found.values())[2], OPTIONS).stored, np.roll(noise, 2))


def test_a_row_group_that_does_not_fit_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "t.parquet", hugging_face(scene(1)))
    (fine,) = scan(tmp_path).values()
    assert fine.status == "ok"
    monkeypatch.setattr("leakscan.sources.grouped_tables._MOST_AT_ONCE", 100)
    rows = list(scan(tmp_path).values())
    assert all(r.status != "ok" for r in rows) and any("page or cell" in r.error for r in rows)


def test_a_table_of_numbers_is_no_image(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [[0.5] * 100_000], "y": [b"no picture"]}), tmp_path / "t.parquet")
    assert [r.status for r in scan(tmp_path).values()] == ["ignored"]


def test_a_member_larger_than_what_is_unpacked_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "MOST_BYTES", 500)
    write(tmp_path / "z.zip", zipped(**{"a.dcm": dicom(scene(1))}))
    (row,) = scan(tmp_path).values()
    assert row.status == "unsupported" and "unpack it" in row.error


@pytest.mark.parametrize(("times", "status"), [(4, "ok"), (5, "unsupported")])
def test_what_is_compressed_over_and_over_is_a_row(tmp_path: Path, times: int, status: str) -> None:
    data = png(scene(1))
    for _ in range(times):
        data = gzip.compress(data)
    write(tmp_path / ("a.png" + ".gz" * times), data)
    (row,) = scan(tmp_path).values()
    assert row.status == status and ("unpack the outer one" in row.error) == (status != "ok")


# Random nesting


def lost_series() -> bytes:
    """Five slices of one series that say nowhere where they lie, in a tar."""
    slices = {}
    for k in range(5):
        names = {"Modality": "CT", "SeriesInstanceUID": "1.2.3", "InstanceNumber": k + 1}
        slices[f"{k}.dcm"] = dicom(scene(10 + k), SOPClassUID=CT, SOPInstanceUID=f"1.2.3.{k}", **names)
    return tarred(**slices)


def shard() -> bytes:
    """One sample of a WebDataset shard."""
    return tarred(**{"0.png": png(scene(5)), "0.json": b"{}", "0.cls": b"1"})


def two_in_a_jpeg() -> bytes:
    return by_pillow(scene(6), "MPO", save_all=True, append_images=[Image.fromarray(scene(7))])


def in_a_letter() -> bytes:
    return zipped(**{"[Content_Types].xml": b"<x/>", "word/media/a.png": png(scene(5))})


HOLDS_OTHERS = ("parquet", "map", "series", "shard", "docx", "union", "json.parquet")
UNION = (pa.array([0], pa.int8()), pa.array([0], pa.int32()))
LEAVES = st.sampled_from(
    [
        ("series", lost_series),
        ("shard", shard),
        (
            "twice",
            lambda: by_pillow(scene(6), "MPO", save_all=True, append_images=[Image.fromarray(scene(7))]),
        ),
        ("squashed", lambda: dicom(scene(8), PixelSpacing=["2", "1"])),
        ("map", lambda: parquet(i=pa.array([[("a", png(scene(9)))]], pa.map_(pa.string(), pa.binary())))),
        ("docx", in_a_letter),
        ("union", lambda: arrow(i=pa.UnionArray.from_dense(*UNION, [pa.array([png(scene(1))])]))),
        ("json.parquet", lambda: parquet(i=['{"a": "' + as_text(png(scene(1))) + '"}'])),
        ("png", lambda: png(scene(1))),
        ("dcm", lambda: dicom(scene(2), b"II*\0")),
        ("parquet", lambda: hugging_face(scene(3))),
        ("txt", lambda: b"two films"),
        ("cut", lambda: png(scene(4))[:50]),
        ("zero", lambda: b""),
        ("noise", lambda: np.random.default_rng(1).bytes(700)),
    ]
)
WRAPPERS = st.sampled_from(["zip", "tar", "tar.gz", "gz", "zst", "folder", "link", "parts"])


def wrapped(kind: str, name: str, data: bytes) -> tuple[str, bytes]:
    if kind == "zip":
        return "a.zip", zipped(**{f"in/{name}": data, "notes.txt": b"x"})
    if kind.startswith("tar"):
        return f"a.{kind}", tarred("w:gz" if kind == "tar.gz" else "w", **{f"in/{name}": data})
    if kind == "gz":
        return f"{name}.gz", gzip.compress(data)
    return f"{name}.zst", pa.compress(data, codec="zstd", asbytes=True)


@example(leaf=("series", lost_series), layers=["gz", "zip"], plain_name=False)
@example(leaf=("png", lambda: png(scene(1))), layers=["tar.gz", "tar.gz", "zip", "zip"], plain_name=False)
@example(leaf=("docx", in_a_letter), layers=["gz", "tar", "parts"], plain_name=True)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(leaf=LEAVES, layers=st.lists(WRAPPERS, max_size=5), plain_name=st.booleans())
def test_however_kinds_are_nested_every_file_is_a_row(
    tmp_path_factory: pytest.TempPathFactory, leaf: tuple, layers: list[str], plain_name: bool
) -> None:
    kind, make = leaf
    name, data = ("IM1" if plain_name else f"a.{kind}"), make()
    archives_deep = 0
    for layer in layers:
        if layer in ("folder", "link", "parts"):
            continue
        name, data = wrapped(layer, name, data)
        archives_deep += layer not in ("gz", "zst")
    root = tmp_path_factory.mktemp("nest")
    depth = layers.count("folder")
    folder = root.joinpath(*["deep"] * depth) if depth else root
    if "parts" in layers and name.endswith((".zip", ".tar", ".gz", ".zst")):
        half = len(data) // 2
        write(folder / f"{name}.ab", data[half:])
        name, data = f"{name}.aa", data[:half]
    write(folder / name, data)
    if "link" in layers:
        (root / "linked").symlink_to(folder / name)
    rows = scan(root)
    assert rows, "nothing passes in silence"
    for row in rows.values():
        assert row.status == "ok" or row.error.endswith(".")
        if row.status == "ok" and kind != "cut":
            shape = decode(row, OPTIONS).values.shape
            assert shape == {"series": (48, 48, 5), "squashed": (96, 48)}.get(kind, (48, 48))
        elif row.status == "ok":
            with pytest.raises(ImageError):
                decode(row, OPTIONS)
    read = [r for r in rows.values() if r.status == "ok"]
    deep = archives_deep + (kind in HOLDS_OTHERS)
    if kind not in ("txt", "cut", "zero", "noise") and deep <= 4 and len(layers) < 5:
        assert len(read) == (2 if kind == "twice" else 1), {p: (r.status, r.error) for p, r in rows.items()}


def test_an_archive_without_files_is_said_to_be_empty(tmp_path: Path) -> None:
    """Tar writes nothing but zeros then, which are no damage; what is cut to nothing is, and counts."""
    for name, mode in (("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tbz2", "w:bz2"), ("a.tar.xz", "w:xz")):
        tarfile.open(tmp_path / name, mode).close()
    (tmp_path / "one-block.tar").write_bytes(bytes(512))
    zipfile.ZipFile(tmp_path / "a.zip", "w").close()
    (tmp_path / "wiped.tar").write_bytes(bytes(3 << 20))
    (tmp_path / "odd.tar").write_bytes(bytes(1000))
    (tmp_path / "cut.zip").write_bytes(b"")
    save(tmp_path / "plain.png", scene(1))
    rows = scan(tmp_path)
    empty = {"a.tar", "a.tar.gz", "a.tbz2", "a.tar.xz", "a.zip", "one-block.tar"}
    assert {rows[name].error for name in empty} == {"It is an archive without files."}
    assert {rows[name].status for name in empty} == {"ignored"}
    assert {rows[name].status for name in ("wiped.tar", "odd.tar", "cut.zip")} == {"unreadable"}
    assert rows["cut.zip"].error == "The file is empty."
