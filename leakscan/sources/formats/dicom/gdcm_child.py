"""Decodes JPEG frames with GDCM in a process of its own; run as a script by ``gdcm_frames``.

Reads requests from stdin and answers on stdout until stdin ends. A request is ``REQUEST`` followed
by the transfer syntax, the photometric interpretation and the stream; an answer is ``ANSWER`` and
the decoded bytes, none where GDCM gives up. It imports nothing of leakscan, so it starts quickly.
"""

from __future__ import annotations

import struct
import sys
from typing import Any

REQUEST = struct.Struct("<IIHHHHHQ")
"""Rows, columns, samples, bits allocated, bits stored, two lengths of text, length of the stream."""
ANSWER = struct.Struct("<Q")


def main() -> None:
    """Answers until stdin ends."""
    import gdcm

    for switch in (gdcm.Trace.DebugOff, gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff):
        switch()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        *numbers, syntax_length, photometric_length, length = REQUEST.unpack(head)
        syntax, photometric = requests.read(syntax_length), requests.read(photometric_length)
        data = requests.read(length)
        try:
            found = _decoded(gdcm, data, syntax.decode(), photometric.decode(), *numbers)
        except Exception:  # the parent reports the file; there is nobody else to tell
            found = b""
        answers.write(ANSWER.pack(len(found)))
        answers.write(found)
        answers.flush()


def _decoded(
    gdcm: Any,
    data: bytes,
    syntax: str,
    photometric: str,
    rows: int,
    columns: int,
    samples: int,
    allocated: int,
    stored: int,
) -> bytes:
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(photometric)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    image.SetPixelFormat(gdcm.PixelFormat(samples, allocated, stored, stored - 1, 0))
    return str(image.GetBuffer() or "").encode("utf-8", "surrogateescape")


if __name__ == "__main__":
    main()
