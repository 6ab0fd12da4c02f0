"""A page of a stranger in the browser in which a review is open: it reads nothing and changes nothing.

Needs Chromium (Debian: ``apt install chromium``) and Playwright, which drives it through a pipe.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.browser import CHROMIUM
from support.review_page import Open
from support.served_page import Served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt install chromium)")

_ATTACK = """
async ([home, card]) => {
  const out = {};
  const tried = async (name, what) => {
    const late = new Promise((r) => setTimeout(() => r('nothing came'), 700));
    try { out[name] = await Promise.race([what(), late]); } catch (error) { out[name] = 'refused'; }
  };
  const text = async (answer) =>
    answer.type === 'opaque' ? 'opaque' : `${answer.status}:${await answer.text()}`;
  const event = (thing, good, bad) => new Promise((r) => {
    thing.addEventListener(good, () => r('came')); thing.addEventListener(bad, () => r('refused')); });
  const put = (name, attributes) => {
    const made = Object.assign(document.createElement(name), attributes);
    document.body.append(made); return made; };
  const verdict = JSON.stringify({id: '0'.repeat(32), card, word: 'same'});
  await Promise.all([
    tried('fetch', async () => text(await fetch(home + '/api/queue', {credentials: 'include'}))),
    tried('fetch page', async () => text(await fetch(home + '/', {credentials: 'include'}))),
    tried('fetch no-cors', async () =>
      text(await fetch(home + '/api/queue', {mode: 'no-cors', credentials: 'include'}))),
    tried('post', async () => text(await fetch(home + '/api/verdict', {method: 'POST', body: verdict,
      credentials: 'include', headers: {'Content-Type': 'application/json', 'X-Leakscan-Secret': 'x'}}))),
    tried('post no-cors', async () => text(await fetch(home + '/api/verdict', {method: 'POST',
      mode: 'no-cors', credentials: 'include', body: new Blob([verdict], {type: 'text/plain'})}))),
    tried('beacon', async () => String(navigator.sendBeacon(home + '/api/verdict', verdict))),
    tried('image', () => event(put('img', {src: `${home}/api/film/${card}/0/160`}), 'load', 'error')),
    tried('image key', () => event(put('img', {src: home + '/?key=guess'}), 'load', 'error')),
    tried('script', () => event(put('script', {src: home + '/static/review.js'}), 'load', 'error')),
    tried('style', () => event(put('link', {rel: 'stylesheet', href: home + '/static/review.css'}),
      'load', 'error')),
    tried('websocket', () => event(
      new WebSocket(home.replace('http', 'ws') + '/api/queue'), 'open', 'error')),
    tried('events', () => event(
      new EventSource(home + '/api/queue', {withCredentials: true}), 'open', 'error')),
    tried('frame', () => new Promise((r) => { const frame = put('iframe', {src: home + '/'});
      frame.onload = () => { try { r('read:' + frame.contentDocument.body.innerText); }
        catch (error) { r('refused'); } }; })),
    tried('window', async () => { const opened = window.open(home + '/');
      await new Promise((r) => setTimeout(r, 400));
      try { return 'read:' + opened.document.body.innerText; } catch (error) { return 'refused'; } }),
    tried('form', () => new Promise((r) => { put('iframe', {name: 'into'});
      const form = put('form', {method: 'post', enctype: 'text/plain', target: 'into',
        action: home + '/api/verdict'});
      form.append(Object.assign(document.createElement('input'), {name: verdict.slice(0, -1) + ',"x":"',
        value: '"}'}));
      form.submit(); setTimeout(() => r('sent'), 300); })),
  ]);
  return out;
}
"""

_HARMLESS = {"refused", "opaque", "nothing came", "sent", "true", "false", "read:"}
"""What may come of an attack: an answer scripts cannot read, or none. A beacon says only that it left. A
window that has not loaded yet is blank, and nothing is read of it."""


@pytest.fixture(scope="module")
def rebound() -> Iterator[Any]:
    """A browser that believes that a stranger's name leads to this machine, as after DNS rebinding."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (extra dev)")
    flags = ["--host-resolver-rules=MAP evil.example 127.0.0.1"]
    flags += ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The page of a stranger, as a file and behind a port of this machine."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "evil.html").write_text("<!doctype html><title>nice cats</title><body>")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder / "evil.html", server.server_port
    server.shutdown()
    server.server_close()


def test_no_page_of_a_stranger_reads_or_changes_a_review(
    open_review: Open, rebound: Any, strangers: tuple[Path, int], run: Path
) -> None:
    served = Served(open_review(), rebound)
    (file, port), ours = strangers, served.server.port
    queue = served.page.evaluate("async () => await (await fetch('/api/queue')).json()")
    card = queue["cards"][0]["key"]
    pages = {
        f"http://{name}:{port}/evil.html": f"http://{home}:{ours}"
        for name, home in (
            ("localhost", "127.0.0.1"),
            ("127.0.0.1", "127.0.0.1"),
            ("evil.example", "localhost"),
        )
    }
    pages[file.as_uri()] = f"http://127.0.0.1:{ours}"
    pages["data:text/html,<body>"] = f"http://127.0.0.1:{ours}"
    pages[f"http://evil.example:{port}/evil.html?2"] = f"http://evil.example:{ours}"
    for address, home in pages.items():
        page = served.context.new_page()
        page.goto(address)
        for name, came in page.evaluate(_ATTACK, [home, card]).items():
            assert came in _HARMLESS or came.startswith(("403:", "421:")), (address, name, came)
        for other in served.context.pages:
            if other not in (served.page, page):
                other.close()
        page.close()
    assert not (run / "verdicts.parquet").exists()
    assert served.trouble == []
    served.close()


def test_under_a_strangers_name_for_this_machine_nothing_is_served(open_review: Open, rebound: Any) -> None:
    served = Served(open_review(), rebound)
    page = served.context.new_page()
    answer = page.goto(f"http://evil.example:{served.server.port}/?key={served.server.door._key}")
    assert answer.status == 421
    assert "not served here" in page.content()
    served.close()
