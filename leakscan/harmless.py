"""Text that others chose, such as names of files, made harmless for terminals and spreadsheets."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""What a terminal obeys instead of showing it, and what turns, hides or breaks the text around it."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""How text begins that spreadsheet programs run (OWASP, "CSV Injection")."""


def one_line(text: str) -> str:
    r"""The text with a code in place of everything that is not shown as it is.

    A name may hold codes that clear a terminal, forge lines above it or turn the direction of writing.

    Args:
        text: What is to be shown on one line.

    Example:
        >>> print(one_line("film\x1b[2J\nNo leaks.png"))
        film\x1b[2J\nNo leaks.png
    """
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1] if found[0] < "\u0100" else _code(found[0]), text)


def json_safe(document: str) -> str:
    r"""A JSON document with escapes in place of what a terminal would obey.

    Args:
        document: The text of the document. It means the same afterwards.

    Example:
        >>> print(json_safe('{"path": "film\x9b2J.png"}'))
        {"path": "film\u009b2J.png"}
    """
    return _CONTROL.sub(lambda found: found[0] if found[0] == "\n" else _code(found[0]), document)


def _code(character: str) -> str:
    return f"\\u{ord(character):04x}"


def cell(text: str) -> str:
    """The text as a cell of a CSV file that no spreadsheet program takes for a formula.

    Args:
        text: What the cell says.

    Example:
        >>> cell("=HYPERLINK(...).png"), cell("ward/1.png")
        ("'=HYPERLINK(...).png", 'ward/1.png')
    """
    return f"'{text}" if text.startswith(_FORMULA) or from_cell(text) != text else text


def from_cell(text: str) -> str:
    """What a cell of :func:`cell` says; other text stays as it is.

    Args:
        text: The cell.

    Example:
        >>> from_cell(cell("-1.png")), from_cell("'quoted'"), from_cell(cell("'=1"))
        ('-1.png', "'quoted'", "'=1")
    """
    marked = text.startswith("'") and text.lstrip("'").startswith(_FORMULA)
    return text[1:] if marked else text


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    r"""The text of a CSV file without formulas.

    Args:
        columns: The names of the columns, in order.
        rows: What stands in each line, by column. Text is made harmless by :func:`cell`.

    Example:
        >>> csv_text(["path", "score"], [{"path": "=1", "score": -1}])
        "path,score\n'=1,-1\n"
    """
    lines = [{name: cell(v) if isinstance(v, str) else v for name, v in row.items()} for row in rows]
    # The writer quotes no carriage return, but every reader ends a line there.
    returns = any(isinstance(v, str) and "\r" in v for line in lines for v in line.values())
    out = io.StringIO()
    writer = csv.DictWriter(
        out, columns, lineterminator="\n", quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL
    )
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()
