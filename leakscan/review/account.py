"""Who gives a verdict, where nobody says so."""

from __future__ import annotations

import getpass

NOBODY = "reviewer"


def account_name() -> str:
    """The login name, or ``reviewer`` where the machine knows none, as in some containers.

    Example:
        >>> bool(account_name())
        True
    """
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return NOBODY
