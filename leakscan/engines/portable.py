"""Whether this run does without what only Linux has."""

from __future__ import annotations

import os

VARIABLE = "LEAKSCAN_PORTABLE"


def is_portable() -> bool:
    """Whether the environment asks for the ways of macOS and Windows, so that they can be tested on Linux.

    Then workers are new processes and not forks of a server, and the C library keeps its habits about memory.

    Example:
        >>> os.environ[VARIABLE] = "1"
        >>> is_portable()
        True
        >>> del os.environ[VARIABLE]
    """
    return os.environ.get(VARIABLE, "") not in ("", "0")
