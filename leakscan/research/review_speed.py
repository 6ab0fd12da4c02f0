"""How quick a review of many pairs is: ``python -m leakscan.research.review_speed --pairs 10000``.

The run is made up: drawn films, several of them under each of many names, and people who share nothing. The
page is asked over HTTP, as a browser asks it.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable
from http.cookiejar import CookieJar
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
from blake3 import blake3
from PIL import Image

from leakscan import tables
from leakscan.cli.output import Output
from leakscan.fingerprint.hashing import pixel_hash
from leakscan.report.run_folder import RunFolder
from leakscan.research.command import run_command
from leakscan.review.judged_run import JudgedRun, Said
from leakscan.review.page.server import ReviewOptions, ReviewServer
from leakscan.review.verdicts import VerdictFile
from leakscan.settings import Settings
from leakscan.synthetic.films import draw_film

_DRAWN = 16
_TIMES = 20


def review_speed(
    pairs: Annotated[
        int, typer.Option("--pairs", help="Pairs of people in the made-up run.", min=50)
    ] = 10_000,
) -> None:
    """Open a made-up run for review, ask its page, and print how long each answer took as JSON.

    Example: python -m leakscan.research.review_speed --pairs 10000
    """
    with TemporaryDirectory() as folder:
        run = made_up_run(Path(folder), pairs)
        Output().say(json.dumps({"pairs": pairs, **_measured(run, Path(folder))}))


def made_up_run(root: Path, pairs: int) -> Path:
    """Writes a run folder with so many pairs of people, one in three of them a leak, beside drawn films.

    Args:
        root: The folder of the datasets ``A`` and ``B`` and of the run.
        pairs: The number of pairs; each is one card.

    Returns:
        The run folder.

    Example::

        made_up_run(Path("many"), 10_000)  # Path("many/run")
    """
    rng = np.random.default_rng(0)
    hashes = [_draw(root / "A" / f"{n}.png", rng) for n in range(_DRAWN)]
    images: list[dict[str, Any]] = []
    for n in range(pairs):
        for dataset, who in (("A", "ward"), ("B", "study")):
            name = f"{n * 7 % _DRAWN if dataset == 'A' else n % _DRAWN}.png"
            images.append(
                {
                    "image_id": blake3(f"{dataset}{n}".encode()).hexdigest(),
                    "dataset": dataset,
                    "path": name,
                    "format": "png",
                    "kind": "chest_radiograph",
                    "pixel_hash": hashes[int(name.partition(".")[0])],
                    "shape": [128, 128],
                    "subject": f"{who} {n}",
                    "status": "ok",
                    "frame": 0,
                }
            )
    found = []
    for n in range(pairs):
        ends = {"a": images[2 * n], "b": images[2 * n + 1]}
        row: dict[str, Any] = {"relation": "same_subject", "decision": "review" if n % 3 else "leak"}
        row |= {"probability": float(rng.random()), "p_value": 1e-5, "evidence": ["alike"]}
        for side, image in ends.items():
            row |= {f"{key}_{side}": image[key] for key in ("dataset", "path", "subject")}
            row[f"image_{side}"] = image["image_id"]
        found.append(row)
    folder = RunFolder(root / "run")
    folder.path.mkdir()
    prints = [{"image_id": row["image_id"], "dataset": row["dataset"]} for row in images]
    for schema, rows in (
        (tables.IMAGES, images),
        (tables.FINGERPRINTS, prints),
        (tables.PAIRS, found),
        (tables.SUBJECTS, []),
    ):
        tables.write(tables.from_rows(rows, schema), folder.table(tables.name_of(schema)))
    where = {name: str((root / "A").resolve()) for name in "AB"}
    summary = {"datasets": [{"name": name} for name in "AB"], "sources": where, "comparisons": []}
    folder.summary.write_text(json.dumps(summary), encoding="utf-8")
    return folder.path


def _draw(path: Path, rng: np.random.Generator) -> str:
    """Saves a drawn film and returns the hash of its pixels."""
    film = draw_film(rng, height=128)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(film).save(path)
    return pixel_hash(film)


class _Asked:
    """A browser, as far as requests go."""

    def __init__(self, server: ReviewServer) -> None:
        self._server = server
        self._home = f"http://127.0.0.1:{server.port}"
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        self._opener.open(server.link()).read()

    def get(self, address: str) -> bytes:
        """What an address answers."""
        return bytes(self._opener.open(self._home + address).read())

    def post(self, address: str, body: dict[str, Any]) -> bytes:
        """What an address answers to a request that changes something."""
        headers = {
            "Content-Type": "application/json",
            "Origin": self._home,
            "X-Leakscan-Secret": self._server.door.secret,
        }
        sent = urllib.request.Request(self._home + address, json.dumps(body).encode(), headers)
        return bytes(self._opener.open(sent).read())


def _measured(run: Path, root: Path) -> dict[str, Any]:
    """Seconds of each kind of request, the median of several."""
    began = time.perf_counter()
    options = ReviewOptions(reviewer="ann")
    server = ReviewServer(run, options, Settings.of(cache=root / "cache"), say=lambda link: None)
    out: dict[str, Any] = {"open_s": round(time.perf_counter() - began, 3)}
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        asked = _Asked(server)
        out["first_queue_s"] = _median(lambda: asked.get("/api/queue?length=100"), times=1)
        out["queue_s"] = _median(lambda: asked.get("/api/queue?length=100"))
        out["search_s"] = _median(lambda: asked.get("/api/queue?length=100&text=ward+77"))
        cards = json.loads(asked.get("/api/queue?length=200"))["cards"]
        ahead = iter(cards)
        out["card_s"] = _median(lambda: asked.get(f"/api/card/{next(ahead)['key']}"))
        lines = iter(cards)

        def pictures() -> None:
            line = next(lines)
            for address in (f"film/{line['key']}/{line[side]}/screen" for side in "ab"):
                asked.get(f"/api/{address}")
            asked.get(f"/api/laid/{line['key']}/{line['a']}/{line['b']}")

        out["first_pictures_s"] = _median(pictures)
        lines = iter(cards)
        out["kept_pictures_s"] = _median(pictures)
        judged = iter(cards)

        def verdict() -> None:
            asked.post("/api/verdict", {"id": uuid.uuid4().hex, "card": next(judged)["key"], "word": "same"})

        out["verdict_s"] = _median(verdict)
        known = JudgedRun.open(run)
        said = Said(by="bob", verdict="different")
        VerdictFile(run / "verdicts.parquet").append(
            known.verdict([row], said, "pair") for row in range(len(known.pairs))
        )
        asked.get("/api/run")  # reads what bob has said
        out["verdict_among_many_s"] = _median(verdict)
        out["verdicts"] = len(known.pairs)
    finally:
        server.stop()
        thread.join(10)
    return out


def _median(work: Callable[[], object], times: int = _TIMES) -> float:
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return round(float(np.median(spent)), 4)


if __name__ == "__main__":
    run_command(review_speed)
