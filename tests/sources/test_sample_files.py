"""Every sample file that other packages ship is read, or named with the reason that the docs state."""

from __future__ import annotations

import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from leakscan.research.known_formats import known_formats
from leakscan.research.sample_files import outcomes, ships_images

DOCS = Path(__file__).parents[2] / "docs" / "formats.md"
ROW = re.compile(r"^\| (\w+) ([\w.]+) \| `(.+)` \| (\d+) \| `(\w+)` \| (.*) \|$", re.MULTILINE)


@pytest.mark.parametrize("package", ["pydicom", "nibabel"])
def test_the_table_of_the_docs_is_what_becomes_of_the_files(package: str) -> None:
    found = outcomes(package)
    assert all(why for (_, status, why) in found if status != "ok")
    stated = [row for row in ROW.findall(DOCS.read_text()) if row[0] == package]
    assert stated
    if any(row[1] != version(package) for row in stated):
        pytest.skip(f"The table is of {package} {stated[0][1]}.")
    if not find_spec("h5py") or not find_spec("imagecodecs"):
        pytest.skip("The table needs the extra formats.")
    assert {(r[2], r[4], r[5].strip()): int(r[3]) for r in stated} == dict(found)


def test_the_docs_list_every_kind_that_is_known() -> None:
    assert known_formats() in DOCS.read_text(), "python -m leakscan.research.known_formats prints it"


@pytest.mark.parametrize("package", ["PIL", "tifffile"])
def test_other_packages_ship_no_samples(package: str) -> None:
    if not find_spec(package):
        pytest.skip(f"{package} is not installed.")
    assert not ships_images(package)
