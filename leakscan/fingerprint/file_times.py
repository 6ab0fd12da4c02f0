"""How long the images of one file take together, so that no file keeps a run for hours."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import replace

from leakscan.settings import DecodeOptions
from leakscan.sources.contents import outer_place
from leakscan.sources.formats.bounds import file_over_time, most_seconds
from leakscan.types import ImageRef

_FILES_AT_ONCE = 1_000  # images of one file stand together, and no more than these are in flight


class FileTimes:
    """Adds up the processor time of the images in each file, and says what of a file is not read any more.

    Args:
        options: The limits for reading.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("cine.dcm").write_bytes(b"many frames")
        >>> frames = [ImageRef(image_id=str(n), path="", format="", files=("cine.dcm",)) for n in range(2)]
        >>> times = FileTimes(DecodeOptions())
        >>> times.allowed(frames[0]).status
        'ok'
        >>> times.add(frames[0], seconds=31.0)
        >>> times.allowed(frames[1]).left_out
        'file over the time limit'
    """

    def __init__(self, options: DecodeOptions) -> None:
        self._options = options
        self._spent: OrderedDict[str, float] = OrderedDict()
        self._most: dict[str, float] = {}

    def add(self, ref: ImageRef, seconds: float) -> None:
        """Notes that an image has taken so long."""
        file = outer_place(ref.files[0])
        self._spent[file] = self._spent.pop(file, 0.0) + seconds
        while len(self._spent) > _FILES_AT_ONCE:
            self._most.pop(self._spent.popitem(last=False)[0], None)

    def allowed(self, ref: ImageRef) -> ImageRef:
        """The image, or what stands for it where its file has taken as long as it may."""
        file = outer_place(ref.files[0])
        if self._spent.get(file, 0.0) < self._options.max_seconds:
            return ref
        if file not in self._most:
            self._most[file] = most_seconds(file, self._options)
        most = self._most[file]
        if self._spent[file] < most or math.isinf(most):
            return ref
        late = file_over_time(most)
        return replace(ref, status=late.status, error=late.sentence, left_out=late.left_out)
