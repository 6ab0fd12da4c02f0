"""Paths as tables show them."""

from __future__ import annotations

import os
import unicodedata


def posix_name(relative: str) -> str:
    r"""A relative path as tables show it and ids hash it: posix, NFC, valid Unicode.

    Args:
        relative: The path as the operating system gives it; bytes that are no UTF-8 are shown escaped.

    Example:
        >>> posix_name("ward/Ro\u0308ntgen.png") == "ward/R\u00f6ntgen.png"
        True
    """
    text = unicodedata.normalize("NFC", relative.replace(os.sep, "/"))
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
