"""A library that ends its process while a scan looks into a file costs that file, and not the run."""

from __future__ import annotations

import os
import signal
import time

import pytest

from leakscan.errors import ImageError
from leakscan.sources.formats import FORMATS
from leakscan.sources.formats.apart import apart


def _dies(_: str) -> str:
    os.kill(os.getpid(), signal.SIGSEGV)
    return "alive"


def _takes_long(_: str) -> str:
    while True:
        time.sleep(0.0)


def _refuses(_: str) -> str:
    raise ImageError("unsupported", "Its voxels are vectors.")


def test_what_ends_its_process_is_named_and_the_next_file_is_looked_into() -> None:
    with pytest.raises(ImageError, match="Its decoder crashed") as caught:
        apart(_dies, "head.nhdr", seconds=30.0)
    assert caught.value.left_out == "file whose decoder crashed"
    assert apart(str.upper, "film", seconds=30.0) == "FILM"


def test_the_sentence_of_a_reader_comes_through() -> None:
    with pytest.raises(ImageError, match="vectors") as caught:
        apart(_refuses, "head.nrrd", seconds=30.0)
    assert caught.value.status == "unsupported"


def test_what_does_not_come_to_an_end_is_stopped() -> None:
    with pytest.raises(ImageError, match="takes longer"):
        apart(_takes_long, "head.nrrd", seconds=0.2)


def test_formats_whose_libraries_may_end_the_process_are_looked_into_apart() -> None:
    by_simpleitk = {"nrrd", "metaimage", "vtk", "gipl"}
    assert by_simpleitk <= {known.name for known in FORMATS if known.apart}
