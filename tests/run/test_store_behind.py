"""A store on object storage is the store of a folder: made in the cache, sent whole, brought up to date."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import fsspec
import pytest

from leakscan.sources import remote
from support.makers import NO_ENCODER, Leakscan, save, scene

URL = "memory://bucket/stores/ward.fps"


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[None]:
    for seed in (1, 2, 3):
        save(tmp_path / "A" / f"{seed}.png", scene(seed))
        save(tmp_path / "B" / f"{seed}.png", scene(seed), compress_level=1)
    yield
    system = fsspec.filesystem("memory")
    if system.exists("/bucket"):
        system.rm("/bucket", recursive=True)


def sent() -> dict[str, int]:
    return remote.names_behind(URL)


def test_a_store_is_sent_and_compared(ward: None, leakscan: Leakscan, tmp_path: Path) -> None:
    made = leakscan("fingerprint", "A", "-o", URL, "--json", *NO_ENCODER)
    assert made.code == 0, made.err
    assert made.json["store"] == URL and made.json["images"] == 3
    assert sorted(name.partition("/")[0] for name in sent()) == ["shards", "store.json"]
    found = leakscan("compare", URL, "B", "--json", *NO_ENCODER).json
    assert sum(c["leak"] for c in found["decisions"].values()) == 3


@pytest.mark.parametrize("fresh_cache", [False, True])
def test_only_new_files_are_read_and_old_rows_go(
    ward: None, leakscan: Leakscan, tmp_path: Path, fresh_cache: bool
) -> None:
    assert leakscan("fingerprint", "A", "-o", URL, "--cache", "one", *NO_ENCODER).code == 0
    before = sent()
    save(tmp_path / "A" / "4.png", scene(4))
    (tmp_path / "A" / "1.png").unlink()
    cache = "two" if fresh_cache else "one"
    key = ["--key", "one/identity.key"]
    made = leakscan("fingerprint", "A", "-o", URL, "--json", "--cache", cache, *key, *NO_ENCODER)
    assert made.json["images_read"] == 1 and made.json["images"] == 3
    assert len(sent()) == len(before) and sent() != before, "the shard of before is gone"
    found = leakscan("compare", URL, "B", "--json", *NO_ENCODER).json
    assert sum(c["leak"] for c in found["decisions"].values()) == 2


def test_where_nothing_may_be_written_nothing_is_read(
    ward: None, leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    with monkeypatch.context() as patched:
        patched.setattr(type(fsspec.filesystem("memory")), "pipe_file", refuse)
        made = leakscan("fingerprint", "A", "-o", URL, *NO_ENCODER)
    assert made.code == 2 and f"{URL} cannot be written: there is no permission" in made.error
    assert "AWS_ACCESS_KEY_ID" in made.error and "Traceback" not in made.err


def test_what_was_made_is_kept_where_sending_fails(
    ward: None, leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("the line is down")

    with monkeypatch.context() as patched:
        patched.setattr(type(fsspec.filesystem("memory")), "put_file", fail)
        made = leakscan("fingerprint", "A", "-o", URL, *NO_ENCODER)
    assert made.code == 2 and f"{URL} cannot be written" in made.error
    assert sent() == {}
    again = leakscan("fingerprint", "A", "-o", URL, "--json", *NO_ENCODER)
    assert again.code == 0 and again.json["images_read"] == 0
    assert "store.json" in sent()


def test_nothing_is_mixed_into_other_files(ward: None, leakscan: Leakscan) -> None:
    with fsspec.open(f"{URL}/thesis.txt", "wb") as stream:
        stream.write(b"years of work")
    made = leakscan("fingerprint", "A", "-o", URL, *NO_ENCODER)
    assert made.code == 2 and "exists and is no fingerprint store" in made.error
    assert sent() == {"thesis.txt": 13}


def test_a_cache_is_purged_of_what_was_sent(ward: None, leakscan: Leakscan, tmp_path: Path) -> None:
    assert leakscan("fingerprint", "A", "-o", URL, "--cache", "c", *NO_ENCODER).code == 0
    assert list((tmp_path / "c" / "sent").rglob("*.parquet"))
    assert leakscan("purge", "c", "--yes").code == 0
    assert not list(tmp_path.glob("c/**/*.parquet"))


ON_S3 = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(port=0)
server.start()
host, port = server.get_host_and_port()
import os
os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
import fsspec
fsspec.filesystem("s3").mkdir("hospital")
fsspec.filesystem("s3").put("A", "hospital/A", recursive=True)
from leakscan.cli.app import run
plain = ["--kind", "other_2d", "--quiet"]
codes = [
    run(["fingerprint", "s3://hospital/A", "-o", "s3://hospital/stores/a.fps", *plain]),
    run(["compare", "s3://hospital/stores/a.fps", "B", "-o", "run", *plain]),
    run(["fingerprint", "A", "-o", "s3://nobody/stores/a.fps", *plain]),
]
from pathlib import Path
fs = fsspec.filesystem("s3")
fs.invalidate_cache()
Path("buckets").write_text(" ".join(fs.ls("")))
server.stop()
print(codes)
"""


@pytest.mark.skipif(not (find_spec("moto") and find_spec("s3fs")), reason="moto or s3fs is not installed.")
def test_a_bucket_of_s3_holds_images_and_stores(ward: None, tmp_path: Path) -> None:
    """In a process of its own, as tests may not open connections."""
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    ran = subprocess.run(
        [sys.executable, "-c", ON_S3],
        cwd=tmp_path, env=os.environ | keys, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.stdout.splitlines()[-1:] == ["[0, 1, 2]"], ran.stderr
    assert b"nobody" not in (tmp_path / "buckets").read_bytes(), "no bucket is made for anybody"
    assert "s3://nobody/stores/a.fps cannot be written" in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
