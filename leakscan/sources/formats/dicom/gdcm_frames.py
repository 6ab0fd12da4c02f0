"""JPEG frames that only GDCM decodes: 12 bits, and lossless.

GDCM aborts the whole process when a stream is damaged in certain ways (an exception leaves a C++
function that promises none), and a run must survive one bad file. So it works in a child process,
kept for the next frame and replaced when it dies.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from leakscan.sources.formats.dicom import gdcm_child as child

_SECONDS = 120.0  # for one frame; GDCM needs less than one
_lock = threading.Lock()
_children: dict[int, subprocess.Popen[bytes]] = {}  # by the parent's pid: a fork must not share pipes


def gdcm_decode(stream: child.JpegStream) -> bytes:
    """Decodes a JPEG stream.

    Returns:
        Little-endian samples, colour by pixel; empty if GDCM fails, dies or is not installed.

    Example::

        samples = np.frombuffer(gdcm_decode(stream), "<u2").reshape(stream.rows, stream.columns)
    """
    with _lock:
        process = _child()
        if process.stdin is None or process.stdout is None:
            return b""
        try:
            process.stdin.write(stream.request())
            process.stdin.flush()
            if not select.select([process.stdout], [], [], _SECONDS)[0]:
                raise TimeoutError
            (length,) = child.ANSWER.unpack(_exactly(process.stdout, child.ANSWER.size))
            return _exactly(process.stdout, length)
        except OSError:  # it died, or hangs
            _close(os.getpid())
            return b""
        except BaseException:  # interrupted between question and answer: the next answer would be wrong
            _close(os.getpid())
            raise


def _exactly(stream: IO[bytes], length: int) -> bytes:
    found = stream.read(length)
    if len(found) != length:
        raise BrokenPipeError
    return found


def _child() -> subprocess.Popen[bytes]:
    pid = os.getpid()
    if pid not in _children or _children[pid].poll() is not None:
        _children[pid] = subprocess.Popen(
            [sys.executable, "-P", str(Path(child.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    return _children[pid]


def _close(pid: int) -> None:
    process = _children.pop(pid, None)
    if process is not None:
        process.kill()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # what was left to write has no reader any more
                    stream.close()
        process.wait()


@atexit.register
def _close_own() -> None:
    _close(os.getpid())
