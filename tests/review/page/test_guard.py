"""Nobody but the browser that opened the one-time link gets anything, whatever it sends."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from support.review_page import Open, Reader


def stranger(reader: Reader) -> TestClient:
    """A client without the cookie."""
    return TestClient(reader.server.app, base_url=reader.origin, raise_server_exceptions=False)


def body(reader: Reader) -> dict[str, str]:
    return {"id": uuid.uuid4().hex, "card": reader.lines()[0]["key"], "word": "same"}


def test_the_link_works_once_and_only_with_its_key(open_review: Open) -> None:
    server = open_review()
    link = server.link()
    origin = f"http://127.0.0.1:{server.port}"
    assert TestClient(server.app, base_url=origin).get("/?key=guess").status_code == 403
    first = TestClient(server.app, base_url=origin)
    assert first.get(link).status_code == 200
    assert first.get(link).status_code == 200  # the same browser, again
    assert TestClient(server.app, base_url=origin).get(link).status_code == 403


def test_a_browser_without_the_key_gets_nothing_and_a_new_link_stands_in_the_terminal(
    run: Path, tmp_path: Path
) -> None:
    from leakscan.review.page.server import ReviewOptions, ReviewServer
    from leakscan.settings import Settings

    said: list[str] = []
    server = ReviewServer(run, ReviewOptions(), Settings.of(cache=tmp_path / "c"), say=said.append)
    client = TestClient(server.app, base_url=f"http://127.0.0.1:{server.port}")
    for address in ("/", "/api/run", "/api/queue", "/static/review.js", "/api/summary"):
        assert client.get(address).status_code == 403
    (link,) = said
    assert client.get(link).status_code == 200
    assert client.get("/api/run").status_code == 200
    server.close()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8700", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example", ""]
)
def test_another_name_for_this_address_is_refused(reader: Reader, host: str) -> None:
    assert reader.client.get("/api/run", headers={"Host": host}).status_code == 421


def test_both_names_of_this_machine_are_served(reader: Reader) -> None:
    port = reader.server.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert reader.client.get("/api/run", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"])
def test_another_page_in_the_same_browser_is_refused(reader: Reader, origin: str) -> None:
    assert reader.client.get("/api/run", headers={"Origin": origin}).status_code == 403
    assert reader.post("/api/verdict", body(reader), Origin=origin).status_code == 403
    assert reader.client.get("/api/run", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert not reader.server.session.file.path.exists()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Leakscan-Secret": "guess"}, 403),
        ({"X-Leakscan-Secret": ""}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Length": "99999999999999999999"}, 413),
        ({"Content-Length": "-1"}, 413),
    ],
)
def test_a_verdict_needs_the_second_secret_and_json(
    reader: Reader, headers: dict[str, str], status: int
) -> None:
    assert reader.post("/api/verdict", body(reader), **headers).status_code == status
    assert not reader.server.session.file.path.exists()


def test_a_verdict_without_an_origin_is_refused(reader: Reader) -> None:
    sent: Any = {"X-Leakscan-Secret": reader.server.door.secret}
    assert reader.client.post("/api/verdict", json=body(reader), headers=sent).status_code == 403
    sent = [(b"Origin", reader.origin.encode()), (b"X-Leakscan-Secret", b"\xc3\xa9")]
    assert reader.client.post("/api/verdict", json=body(reader), headers=sent).status_code == 403


def test_only_get_and_post_are_answered(reader: Reader) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert reader.client.request(method, "/api/verdict").status_code == 405
    assert reader.client.get("/api/verdict").status_code == 405


def test_a_cookie_of_another_server_or_a_broken_one_is_refused(reader: Reader) -> None:
    client = stranger(reader)
    name = reader.server.door.cookie_name
    for value in (f"{name}=guess", f"{name}=", "a=b; ;;=;", f'{name}="\\', "x" * 5000):
        assert client.get("/api/run", headers={"Cookie": value}).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/static/..%2f..%2fsession.py",
        "/static/../app.py",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/static//etc/passwd",
        "/static/review.js%00",
        "/static/page.html.jinja",
        "/api/card/..%2f..",
        "/api/card/%00",
        "/api/film/../../etc/passwd/screen",
        "/api/nothing",
        "/etc/passwd",
    ],
)
def test_no_path_from_the_client_is_opened(reader: Reader, path: str) -> None:
    answer = reader.client.get(path)
    assert answer.status_code in (404, 421)
    assert "error" in answer.json()
    assert "root:" not in answer.text


def test_names_of_cards_and_images_lead_nowhere_but_to_the_run(reader: Reader) -> None:
    card = reader.titled("bob")
    for image in ("0" * 16, "../../x", "A-bob.png", "%2e%2e"):
        assert reader.client.get(f"/api/film/{card['key']}/{image}/screen").status_code == 404
    other = reader.titled("ann")
    # An image of the run, but of another card.
    assert reader.client.get(f"/api/film/{card['key']}/{other['a']}/screen").status_code == 404
    assert reader.client.get(f"/api/film/{card['key']}/{card['a']}/enormous").status_code == 404
    assert reader.client.get(f"/api/laid/{card['key']}/{card['b']}/{card['a']}").status_code == 404


@pytest.mark.parametrize(
    "given",
    [
        [],
        "text",
        {"id": "x"},
        {"id": "Z" * 32},
        {"word": "maybe"},
        {"word": "withdrawn"},
        {"word": ["same"]},
        {"card": "../../etc/passwd"},
        {"card": 7},
        {"card": "0" * 16},
        {"pair": "0" * 16},
        {"pair": {"a": 1}},
        {"note": 5},
        {"note": "x" * 2001},
        {"reason": "x" * 501},
        {"until": "tomorrow"},
        {"until": 3},
        {"until": "2020-01-01"},
        {"by": "somebody else"},
        {"gold": "same"},
    ],
)
def test_a_verdict_that_makes_no_sense_is_refused_with_a_sentence(reader: Reader, given: Any) -> None:
    sent = {**body(reader), **given} if isinstance(given, dict) else given
    answer = reader.post("/api/verdict", sent)
    assert answer.status_code in (400, 404, 409)
    assert answer.json()["error"].endswith(".")
    assert not reader.server.session.file.path.exists()


def test_a_body_of_any_size_is_cut_off(reader: Reader) -> None:
    assert reader.post("/api/verdict", {**body(reader), "note": "x" * 70_000}).status_code == 413
    chunks = (b" " * 1000 for _ in range(200))  # no length is said
    headers = {
        "Origin": reader.origin,
        "X-Leakscan-Secret": reader.server.door.secret,
        "Content-Type": "application/json",
    }
    answer = reader.client.post("/api/verdict", content=chunks, headers=headers)
    assert answer.status_code == 413
    deep = reader.client.post("/api/verdict", content=b"[" * 60_000, headers=headers)
    assert deep.status_code == 400
    assert reader.client.get("/api/queue?text=" + "x" * 5000).status_code == 414


@pytest.mark.parametrize(
    "query",
    [
        "order=x",
        "relation=x",
        "state=x",
        "least=2",
        "least=nan",
        "most=x",
        "start=-1",
        "length=1e9",
        "start=٣",
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_with_a_sentence(reader: Reader, query: str) -> None:
    assert reader.get(f"/api/queue?{query}", status=400)["error"].endswith(".")


def test_every_answer_forbids_scripts_from_elsewhere_frames_and_caches(reader: Reader) -> None:
    for address in ("/", "/api/run", "/static/review.js", "/nothing"):
        headers = reader.client.get(address).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
    page = reader.client.get("/").text
    assert "<script>" not in page
    assert " style=" not in page
    assert "onclick" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_the_cookie_is_kept_from_scripts_and_from_requests_of_other_sites(open_review: Open) -> None:
    server = open_review()
    client = TestClient(server.app, base_url=f"http://127.0.0.1:{server.port}", follow_redirects=False)
    cookie = client.get(server.link()).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert str(server.port) in cookie.partition("=")[0]


def test_only_the_loopback_interface_listens(open_review: Open) -> None:
    assert open_review()._socket.getsockname()[0] == "127.0.0.1"
