"""Nothing leaves the machine, and this test run would notice."""

from __future__ import annotations

import socket
import urllib.request

import pytest

from support.makers import NO_ENCODER, Leakscan, NetworkRefused


def test_the_guard_refuses_every_way_out() -> None:
    with socket.socket() as tcp, pytest.raises(NetworkRefused):
        tcp.connect(("127.0.0.1", 9))
    with socket.socket() as tcp, pytest.raises(NetworkRefused):
        tcp.connect_ex(("127.0.0.1", 9))
    with socket.socket(type=socket.SOCK_DGRAM) as udp, pytest.raises(NetworkRefused):
        udp.sendto(b"x", ("127.0.0.1", 9))
    with pytest.raises(NetworkRefused):
        urllib.request.urlopen("http://127.0.0.1:9", timeout=1)


def test_sockets_inside_the_machine_still_work() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"x")
        assert theirs.recv(1) == b"x"


def test_a_whole_run_with_its_encoder_needs_no_network(leakscan: Leakscan, two_folders: object) -> None:
    assert leakscan("compare", "A", "B", "-o", "run").code == 1


def test_asking_what_is_installed_needs_no_network(leakscan: Leakscan) -> None:
    ran = leakscan("models", "list", "--json")
    assert ran.code == 0
    assert {m["kind"] for m in ran.json} >= {"chest_radiograph"}
    assert NO_ENCODER
