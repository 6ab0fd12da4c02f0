"""The jobs that ``kills`` interrupts, each with what it works on and what it makes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import safe_open

from leakscan.errors import LeakscanError
from leakscan.review.verdicts import Verdict, VerdictFile
from leakscan.synthetic.films import draw_film

if TYPE_CHECKING:
    from leakscan.review.page.server import ReviewServer

_VERDICTS = 40
_PAPER = Path("../paper")
FILMS = 16
"""Films of A."""
PEOPLE = 60
"""People of the list; a calibration needs as many."""
_LEFT_ASIDE = ("prepared_with", "signature")
"""Columns of a store that hold the times of files."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Something that is killed.

    Attributes:
        name: What it is called.
        work: Does it, in the current folder; it returns the exit code.
        made: Folders and files of its own, which a new attempt begins without.
        tables: Finds its tables, by name.
        ends_well: The exit codes of an undisturbed run.
        before: Makes what it works on, once, where that takes longer than drawing pictures.
    """

    name: str
    work: Callable[[], int]
    made: tuple[str, ...]
    tables: Callable[[], Mapping[str, pa.Table]]
    ends_well: tuple[int, ...] = (0,)
    before: Callable[[], int] | None = None


def draw_inputs(folder: Path, seed: int, people: int = PEOPLE) -> None:
    """Two folders of small films with shared people, and a list of films of declared people with its folder.

    Args:
        folder: Where to draw them.
        seed: The seed of all draws.
        people: How many people the list declares.

    Example::

        draw_inputs(Path("inputs"), seed=0)  # inputs/A, inputs/B, inputs/C, inputs/films.csv
    """
    for name in ("A", "B", "C"):
        (folder / name).mkdir(parents=True)
    lines = ["path,subject_id,split"]
    for number in range(people):
        film = draw_film(np.random.default_rng([seed, number]), height=96)
        small, other = cv2.resize(film, (72, 72)), cv2.resize(film[2:, 3:], (64, 64))
        if number < FILMS:
            cv2.imwrite(str(folder / "A" / f"{number:02d}.png"), small)
            cv2.imwrite(str(folder / "B" / f"other{number:02d}.png"), 255 - other if number % 2 else other)
            if number % 3 == 0:
                cv2.imwrite(str(folder / "B" / f"{number:02d}.png"), np.ascontiguousarray(small[:, ::-1]))
        split = ("train", "train", "val", "calibration")[number % 4]
        for visit, picture in enumerate((small, other)[: 2 if number < FILMS else 1]):
            cv2.imwrite(str(folder / "C" / f"{number}-{visit}.png"), picture)
            lines.append(f"C/{number}-{visit}.png,p{number},{split}")
    (folder / "films.csv").write_text("\n".join(lines) + "\n")
    (folder / "identity.key").write_bytes(bytes(range(32)))
    (folder / "A" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")


def cli_job(*words: str) -> Callable[[], int]:
    """A job that is one command.

    Example::

        cli_job("exclude", "run", "--from", "B")()  # its exit code
    """

    def work() -> int:
        from leakscan.cli.app import run

        return run([*words])

    return work


def _tables_in(folder: str) -> Callable[[], Mapping[str, pa.Table]]:
    return lambda: {path.name: pq.read_table(path) for path in sorted(Path(folder).glob("*.parquet"))}


def _store() -> Mapping[str, pa.Table]:
    from leakscan.fingerprint.store import Store

    rows = Store.open(Path("a.fps")).load().drop_columns(list(_LEFT_ASIDE))
    return {"store": rows.sort_by("image_id")}


def _calibration() -> Mapping[str, pa.Table]:
    with safe_open("own.safetensors", "np") as file:
        return {name: pa.table({"n": np.ravel(file.get_tensor(name))}) for name in sorted(file.keys())}


def _weights() -> Mapping[str, pa.Table]:
    with safe_open("trained/last.safetensors", "np") as file:
        return {name: pa.table({"n": np.ravel(file.get_tensor(name))}) for name in sorted(file.keys())}


def _give_verdicts() -> int:
    """Gives verdicts one by one and notes each on paper once it is said to be on disk."""
    file = VerdictFile(Path("verdicts.parquet"))
    known = {v.id for v in file.read()} if file.path.exists() else set()
    for number in range(_VERDICTS):
        name = f"{number:032d}"
        if name not in known:
            pictures = (f"a{number}",), (f"b{number}",)
            file.append([_verdict(name, *pictures)])
        _note(name)
    return 0


def _review() -> int:
    """Reviews a run as a browser does, card by card, and notes each verdict once the page has said yes."""
    from leakscan.review.page.server import ReviewOptions, ReviewServer
    from leakscan.settings import Settings

    options = ReviewOptions(reviewer="ann", verdicts=Path("verdicts.parquet"))
    server = ReviewServer(Path("run"), options, Settings.of(cache=Path("pictures")), say=lambda link: None)
    # Not starlette's TestClient: a signal while its thread starts leaves it waiting for ever.
    asyncio.run(_judge_all(server))
    server.close()
    return 0


async def _judge_all(server: ReviewServer) -> None:
    import httpx2

    origin = f"http://127.0.0.1:{server.port}"
    known = {verdict.id for verdict in server.session.file.read()}
    transport = httpx2.ASGITransport(app=server.app)
    async with httpx2.AsyncClient(transport=transport, base_url=origin, follow_redirects=True) as page:
        (await page.get(server.link())).raise_for_status()
        sent = {"Origin": origin, "X-Leakscan-Secret": server.door.secret}
        cards = (await page.get("/api/queue")).json()["cards"]
        for number, line in enumerate(sorted(cards, key=lambda card: str(card["title"]))):
            name = f"{number:032x}"
            if name not in known:
                (await page.get(f"/api/card/{line['key']}")).raise_for_status()
                said = {"id": name, "card": line["key"], "word": ("same", "different", "unsure")[number % 3]}
                answer = await page.post("/api/verdict", json=said, headers=sent)
                if not answer.is_success:
                    raise LeakscanError(answer.text)
            _note(name)


def _note(name: str) -> None:
    """Notes on paper, and on another disk, that a verdict was said to be on disk."""
    with _PAPER.open("a") as noted:
        noted.write(f"{name}\n")
        noted.flush()
        os.fsync(noted.fileno())


def _reviewed() -> Mapping[str, pa.Table]:
    said = {verdict.id: verdict for verdict in VerdictFile(Path("verdicts.parquet")).read()}
    if lost := set(_PAPER.read_text().split()) - set(said):
        raise LeakscanError(f"Verdicts that the page had taken are lost: {sorted(lost)}.")
    rows = [(v.id, v.verdict, str(v.pictures_a), str(v.pictures_b)) for _, v in sorted(said.items())]
    names = ("id", "verdict", "a", "b")
    return {"verdicts": pa.table({n: [row[i] for row in rows] for i, n in enumerate(names)})}


def _verdict(name: str, a: tuple[str, ...], b: tuple[str, ...]) -> Verdict:
    return Verdict(by="ann", verdict="same", scope="pair", pictures_a=a, pictures_b=b, id=name)


def _verdicts() -> Mapping[str, pa.Table]:
    said = VerdictFile(Path("verdicts.parquet")).read()
    noted = _PAPER.read_text().split()
    if lost := set(noted) - {verdict.id for verdict in said}:
        raise LeakscanError(f"Verdicts that were said to be on disk are lost: {sorted(lost)}.")
    return {"verdicts": pa.table({"id": sorted(verdict.id for verdict in said)})}


_KEY = ("--key", "../identity.key")  # a key of its own would name people otherwise in every attempt
_PICTURES = (*_KEY, "--kind", "other_2d", "--workers")
_TINY = ("--backbone", "resnet18", "--side", "32", "--pairs", "3", "--threads", "1", "--device", "cpu")

COMPARED = cli_job("compare", "../A", "../B", "-o", "run", *_PICTURES, "0", "--max-unread", "1")
"""Makes the run that reviews and lists work on."""


def _compare(name: str, workers: int) -> Job:
    words = ("compare", "../A", "../B", "-o", "run", "--overwrite", *_PICTURES, str(workers))
    return Job(
        name=name,
        work=cli_job(*words, "--max-unread", "1"),
        made=("run", ".leakscan"),
        tables=_tables_in("run"),
        ends_well=(1,),
    )


JOBS: tuple[Job, ...] = (
    _compare("compare", workers=0),
    _compare("compare with workers", workers=2),
    Job(
        name="fingerprint",
        work=cli_job("fingerprint", "../A", "-o", "a.fps", *_PICTURES, "0"),
        made=("a.fps", ".leakscan"),
        tables=_store,
    ),
    Job(
        name="duplicates",
        work=cli_job("duplicates", "../B", "-o", "twice", "--overwrite", *_PICTURES, "0"),
        made=("twice", ".leakscan"),
        tables=_tables_in("twice"),
        ends_well=(0, 1, 3),
    ),
    Job(
        name="verdicts",
        work=_give_verdicts,
        made=("verdicts.parquet", "verdicts.parquet.lock", str(_PAPER)),
        tables=_verdicts,
    ),
    Job(
        name="review",
        work=_review,
        made=("verdicts.parquet", "verdicts.parquet.lock", str(_PAPER), "pictures"),
        tables=_reviewed,
        before=COMPARED,
    ),
    Job(
        name="calibrate",
        work=cli_job(
            "calibrate",
            "../films.csv",
            "-o",
            "own.safetensors",
            "--kind",
            "chest_radiograph",
            *_KEY,
            "--workers",
            "0",
        ),
        made=("own.safetensors", ".leakscan"),
        tables=_calibration,
    ),
    Job(
        name="train",
        work=cli_job("train", "../films.csv", "-o", "trained", "--steps", "6", "--workers", "0", *_TINY),
        made=("trained", ".leakscan"),
        tables=_weights,
    ),
)
