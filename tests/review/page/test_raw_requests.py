"""What programs and pages on this machine may send to the real socket, byte by byte."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from leakscan.review.page.connections import PromptProtocol
from leakscan.review.page.server import ReviewServer
from support.review_page import Open

_SECONDS = 10.0


def connected(server: ReviewServer) -> socket.socket:
    """A connection to the server of the test, and to nothing else."""
    reaches = getattr(socket.socket.connect, "__wrapped__", socket.socket.connect)
    connection = socket.socket()
    connection.settimeout(_SECONDS)
    reaches(connection, ("127.0.0.1", server.port))
    return connection


@pytest.fixture
def served(open_review: Open, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReviewServer]:
    """A review that listens."""
    monkeypatch.setattr(PromptProtocol, "seconds", 1.0)
    server = open_review()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    while server._server is None or not server._server.started:
        time.sleep(0.01)
    yield server
    server.stop()
    thread.join(_SECONDS)
    assert not thread.is_alive()


def answer(server: ReviewServer, request: bytes, ends: bool = True) -> bytes:
    """All that comes back for some bytes until the server closes, or says nothing more."""
    with connected(server) as connection:
        connection.sendall(request)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        got = b""
        with suppress(ConnectionResetError):  # what was sent beyond the answer is not read
            while part := connection.recv(65536):
                got += part
    return got


def status(raw: bytes) -> int:
    return int(raw.split(b" ", 2)[1]) if raw.startswith(b"HTTP/1.1 ") else 0


def cookie_of(server: ReviewServer) -> bytes:
    """Opens the link as a browser does."""
    path = server.link().partition(f":{server.port}")[2]
    said = answer(server, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
    assert status(said) == 303, said
    head = next(line for line in said.split(b"\r\n") if line.lower().startswith(b"set-cookie:"))
    return head.partition(b":")[2].strip().partition(b";")[0]


def test_whatever_a_stranger_sends_nothing_of_the_run_comes_back(served: ReviewServer) -> None:
    host = f"Host: 127.0.0.1:{served.port}\r\n".encode()
    requests = {
        b"\0" * 5_000: (0, 400),
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"\xff" * 300: (0, 400),
        b"GET /api/run\r\n\r\n": (0, 400),
        b"GET /api/run HTTP/1.1\r\n\r\n": (400,),
        b"GET /api/run HTTP/1.1\r\n" + host + host + b"\r\n": (400, 421),
        b"GET http://evil.example/api/run HTTP/1.1\r\n" + host + b"\r\n": (403,),
        b"GET //evil.example/ HTTP/1.1\r\n" + host + b"\r\n": (403,),
        b"GET /api/run HTTP/1.1\r\nHost: 127.0.0.1:%d@evil.example\r\n\r\n" % served.port: (421,),
        "GET /api/run HTTP/1.1\r\nHost: １２７.0.0.1\r\n\r\n".encode(): (400, 421),
        b"GET /api/run HTTP/1.1\r\nHost: 0x7f000001:%d\r\n\r\n" % served.port: (421,),
        b"GET /api/run HTTP/1.1\r\nHost: [::1]:%d\r\n\r\n" % served.port: (421,),
        b"HEAD / HTTP/1.1\r\n" + host + b"\r\n": (403,),
        b"HEAD /?key=guess HTTP/1.1\r\n" + host + b"\r\n": (403,),
        b"TRACE / HTTP/1.1\r\n" + host + b"Cookie: a=b\r\n\r\n": (405,),
        b"CONNECT evil.example:80 HTTP/1.1\r\n" + host + b"\r\n": (405, 400),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": (0, 400, 421),
        b"OPTIONS * HTTP/1.1\r\n" + host + b"Access-Control-Request-Private-Network: true\r\n\r\n": (405,),
        b"GET / HTTP/1.1\r\n" + host + b"Range: bytes=0-9999999\r\n\r\n": (403,),
        b"GET / HTTP/1.1\r\n" + host + b"X: " + b"a" * 200_000 + b"\r\n\r\n": (0, 400, 431),
        b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n" + host + b"\r\n": (414,),
        b"GET /?key=%ff%00%0d%0aSet-Cookie:x=y HTTP/1.1\r\n" + host + b"\r\n": (403,),
        b"POST /api/verdict HTTP/1.1\r\n" + host + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello": (
            400,
        ),
        b"POST /api/verdict HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n": (403, 400),
        b"POST /api/verdict HTTP/1.1\r\n" + host + b"Content-Length: -1\r\n\r\n": (400,),
        b"GET /api/run HTTP/1.1\r\n" + host + b"Cookie: " + b"a=b;" * 10_000 + b"\r\n\r\n": (403,),
        b"GET /api/run HTTP/1.1\r\n" + host + b'Cookie: leakscan-review-8699="x"\r\n\r\n': (403,),
        b"GET /api/run HTTP/1.1\r\n" + host + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n": (403, 400),
        b"GET /api/run HTTP/1.1\r\n" + host + b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n": (403,),
    }
    secrets = [served.door.secret.encode(), served.link().partition("key=")[2].encode()]
    for request, allowed in requests.items():
        said = answer(served, request)
        assert status(said) in allowed, (request[:80], said[:300])
        assert not any(secret in said for secret in secrets)
        assert b"101 " not in said[:20]
        assert b"Access-Control" not in said
        assert b"Traceback" not in said


def test_a_second_request_behind_the_first_is_no_way_in(served: ReviewServer) -> None:
    """Bodies that end elsewhere than their head says, as proxies are fooled with."""
    host, cookie = f"Host: 127.0.0.1:{served.port}\r\n".encode(), cookie_of(served)
    hidden = b"GET /api/run HTTP/1.1\r\n" + host + b"\r\n"
    for head in (
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: %d\r\n\r\n" % len(hidden),
        b"Transfer-Encoding: identity\r\n\r\n",
    ):
        said = answer(
            served,
            b"POST /api/verdict HTTP/1.1\r\n" + host + b"Cookie: " + cookie + b"\r\n" + head + hidden,
            ends=False,
        )
        assert b"200 OK" not in said, said


def test_connections_that_say_nothing_do_not_keep_the_reviewer_out(served: ReviewServer) -> None:
    """A page may open idle connections by the dozen (preconnect), and a program may trickle a header."""
    host, cookie = f"Host: 127.0.0.1:{served.port}\r\n".encode(), cookie_of(served)
    asked = b"GET /api/run HTTP/1.1\r\n" + host + b"Connection: close\r\nCookie: " + cookie + b"\r\n\r\n"
    with ExitStack() as stack:
        for number in range(80):
            one = stack.enter_context(connected(served))
            one.sendall(b"" if number % 2 else b"GET / HTTP/1.1\r\nX: a")
        deadline = time.monotonic() + _SECONDS
        while (got := status(answer(served, asked, ends=False))) != 200 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert got == 200


def test_a_verdict_whose_body_never_comes_ends(served: ReviewServer) -> None:
    cookie = cookie_of(served)
    head = (
        f"POST /api/verdict HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
        f"Origin: http://127.0.0.1:{served.port}\r\nX-Leakscan-Secret: {served.door.secret}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n"
    ).encode()
    with connected(served) as connection:
        connection.sendall(head + b"Cookie: " + cookie + b"\r\n\r\n{")
        while connection.recv(65536):  # it is closed in time, else this raises
            pass
    assert not served.session.file.path.exists()
