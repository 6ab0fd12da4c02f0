"""What happens around the page: ports, kills, restarts, missing packages; each ends in a sentence."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from leakscan.errors import StoreError, UsageError
from leakscan.review.verdicts import VerdictFile
from support.makers import Leakscan
from support.review_page import Open

REPOSITORY = Path(__file__).parents[3]


def test_a_port_in_use_is_named_and_without_one_another_is_taken(open_review: Open, run: Path) -> None:
    first = open_review()
    with pytest.raises(UsageError, match=rf"Port {first.port} cannot be used: it is in use"):
        open_review(port=first.port)
    assert open_review().port != first.port


def test_the_same_run_gets_the_same_port_again(open_review: Open) -> None:
    first = open_review()
    first.close()
    assert open_review().port == first.port


def test_the_command_says_what_is_wrong(leakscan: Leakscan, run: Path, tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    ran = leakscan("review", "holiday")
    assert ran.code == 2
    assert "holiday is no run folder" in ran.error
    ran = leakscan("review", run, "--source", "A")
    assert ran.code == 2
    assert "NAME=PATH" in ran.error
    ran = leakscan("review", run, "--source", "C=x")
    assert ran.code == 2
    assert "no dataset 'C'" in ran.error
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = leakscan("review", run, "--port", taken.getsockname()[1])
    assert ran.code == 2
    assert "it is in use" in ran.error
    assert "--port" in ran.error
    ran = leakscan("review", run, "--verdicts", "no/such/folder/v.parquet")
    assert ran.code == 2
    assert "no/such/folder" in ran.error


def test_a_missing_extra_is_named(leakscan: Leakscan, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    ran = leakscan("review", run)
    assert ran.code == 2
    assert "leakscan[review]" in ran.error


@pytest.mark.parametrize("content", ["", "[]", "{", '"x"'])
def test_a_damaged_summary_is_named(open_review: Open, run: Path, content: str) -> None:
    (run / "summary.json").write_text(content)
    with pytest.raises(StoreError, match=r"summary\.json"):
        open_review()


class Served:
    """``leakscan review`` as a process of its own.

    Args:
        run: The run folder.
        cache: The cache folder.
    """

    def __init__(self, run: Path, cache: Path) -> None:
        command = [
            sys.executable,
            "-m",
            "leakscan",
            "review",
            str(run),
            "--cache",
            str(cache),
            "--reviewer",
            "ann",
        ]
        paths = {"PYTHONPATH": str(REPOSITORY)}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, **paths}
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)(/\?key=\S+)", line):
                self.port, self.link = int(found[1]), found[2]
                break

    def end(self, how: signal.Signals) -> int:
        """Ends it and gives its exit code."""
        self.process.send_signal(how)
        return self.process.wait(20)


@pytest.fixture
def network() -> Iterator[None]:
    """Lets this test reach the loopback interface: it has to act as a browser."""
    guarded = socket.socket.connect
    real = guarded.__closure__  # the guard of tests/conftest.py holds the real one
    assert real is not None
    connect = next(cell.cell_contents for cell in real if isinstance(cell.cell_contents, dict))["connect"]
    socket.socket.connect = connect  # type: ignore[method-assign]
    yield
    socket.socket.connect = guarded  # type: ignore[method-assign]


class Browser:
    """A browser as far as HTTP goes, against a real server."""

    def __init__(self, served: Served) -> None:
        self.served, self.origin = served, f"http://127.0.0.1:{served.port}"
        self.cookie = self.ask("GET", served.link)[1].partition(";")[0]
        page = self.ask("GET", "/")[0]
        found = re.search(r'leakscan-secret" content="([^"]+)"', page)
        assert found
        self.secret = found[1]

    def ask(self, method: str, address: str, body: str | None = None) -> tuple[str, str]:
        """The body of an answer, and its cookie."""
        connection = http.client.HTTPConnection("127.0.0.1", self.served.port, timeout=20)
        headers = {
            "Cookie": getattr(self, "cookie", ""),
            "Origin": self.origin,
            "Content-Type": "application/json",
        }
        if body is not None:
            headers["X-Leakscan-Secret"] = self.secret
        connection.request(method, address, body, headers)
        answer = connection.getresponse()
        return answer.read().decode(), answer.headers.get("set-cookie", "")


@pytest.mark.usefixtures("network")
def test_a_kill_in_the_middle_of_a_key_press_loses_nothing_that_was_answered(
    run: Path, tmp_path: Path
) -> None:
    served = Served(run, tmp_path / "cache")
    browser = Browser(served)
    cards = [card["key"] for card in json.loads(browser.ask("GET", "/api/queue")[0])["cards"]]
    answered: list[str] = []

    def press() -> None:
        for i in range(200):
            name = uuid.uuid4().hex
            body = json.dumps({"id": name, "card": cards[i % len(cards)], "word": "same"})
            try:
                told, _ = browser.ask("POST", "/api/verdict", body)
            except (OSError, http.client.HTTPException):
                return
            answered.append(json.loads(told)["saved"])

    thread = threading.Thread(target=press)
    thread.start()
    while len(answered) < 5:
        time.sleep(0.01)
    served.end(signal.SIGKILL)
    thread.join()
    kept = [verdict.id for verdict in VerdictFile(run / "verdicts.parquet").read()]
    assert set(answered) <= set(kept)
    assert len(kept) <= len(answered) + 1  # one may be on disk whose answer never came
    again = Served(run, tmp_path / "cache")
    assert again.port == served.port  # so that the browser finds what it kept
    late = json.dumps({"id": kept[-1], "card": cards[0], "word": "same"})
    Browser(again).ask("POST", "/api/verdict", late)  # sent again by the page: counts once
    assert len(VerdictFile(run / "verdicts.parquet").read()) == len(kept)
    assert again.end(signal.SIGINT) == 0
