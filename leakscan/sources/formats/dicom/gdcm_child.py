"""Decodes JPEG frames with GDCM in a process of its own; run as a script by ``gdcm_frames``.

It reads requests from stdin and answers on stdout until stdin ends. A request is ``REQUEST`` followed
by the transfer syntax, the photometric interpretation and the stream; an answer is ``ANSWER`` and
the decoded bytes, none where GDCM gives up. It imports nothing of leakscan, so it starts quickly.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from typing import Any, BinaryIO

REQUEST = struct.Struct("<IIHHHHHQ")
"""Rows, columns, samples, bits allocated, bits stored, two lengths of text, length of the stream."""
ANSWER = struct.Struct("<Q")


@dataclass(frozen=True, kw_only=True)
class JpegStream:
    """One frame to decode.

    Attributes:
        data: The JPEG stream.
        syntax: The UID of its transfer syntax.
        photometric: The PhotometricInterpretation.
        rows, columns, samples: The shape of the frame.
        allocated, stored: The bits per sample, in the file and used.
    """

    data: bytes
    syntax: str
    photometric: str
    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int

    def request(self) -> bytes:
        """The bytes that ask for it to be decoded."""
        names = self.syntax.encode(), self.photometric.encode()
        shape = self.rows, self.columns, self.samples, self.allocated, self.stored
        return b"".join((REQUEST.pack(*shape, *map(len, names), len(self.data)), *names, self.data))

    @classmethod
    def read(cls, requests: BinaryIO) -> JpegStream | None:
        """The next request, ``None`` where there is no more."""
        head = requests.read(REQUEST.size)
        if len(head) < REQUEST.size:
            return None
        rows, columns, samples, allocated, stored, *lengths = REQUEST.unpack(head)
        syntax, photometric, data = map(requests.read, lengths)
        return cls(
            data=data,
            syntax=syntax.decode(),
            photometric=photometric.decode(),
            rows=rows,
            columns=columns,
            samples=samples,
            allocated=allocated,
            stored=stored,
        )


def _main() -> None:
    """Answers until stdin ends."""
    import gdcm

    for switch in (gdcm.Trace.DebugOff, gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff):
        switch()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while (stream := JpegStream.read(requests)) is not None:
        try:
            found = _decoded(gdcm, stream)
        except Exception:  # the parent reports the file; there is nobody else to tell
            found = b""
        answers.write(ANSWER.pack(len(found)))
        answers.write(found)
        answers.flush()


def _decoded(gdcm: Any, stream: JpegStream) -> bytes:
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(stream.data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((stream.columns, stream.rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(stream.photometric)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(stream.syntax)))
    bits = stream.allocated, stream.stored, stream.stored - 1
    image.SetPixelFormat(gdcm.PixelFormat(stream.samples, *bits, 0))
    return str(image.GetBuffer() or "").encode("utf-8", "surrogateescape")


if __name__ == "__main__":
    _main()
