"""A real headless Chromium for tests of pages.

Needs Chromium (Debian: ``apt install chromium``) and Playwright, which drives it through a pipe.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)

SIZES = ((1400, "light"), (1400, "dark"), (400, "light"), (400, "dark"))
"""Widths and colour schemes in which a page is to be readable."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One browser for all tests of a file."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (extra dev)")
    with playwright.sync_playwright() as driver:
        # Root, as in containers, has no sandbox to offer; the browser opens nothing but our own page.
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


def faults(page: Any) -> list[tuple[str, list[Any]]]:
    """What axe finds wrong with a page as it is: the rule, and some of the places.

    The page's context must bypass its policy, because axe is put into it as a script.
    """
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed (extra dev)"
    )
    found = axe.Axe().run(page).response["violations"]
    return [(fault["id"], [node["target"] for node in fault["nodes"]][:3]) for fault in found]
