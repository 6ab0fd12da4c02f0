"""What fits on a narrow terminal: long names lose their middle, sentences break between words."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

_GAP = 2  # blanks between two columns, as Rich puts them
_LEAST = 12  # characters below which no column is narrowed


def shortened(name: str, width: int) -> str:
    """A name whose middle is left out where it is too long.

    Of a path the first folder stays where it takes no more than half, and then more of the end than of the
    beginning, because files differ by their ends.

    Args:
        name: The name or path.
        width: The most characters, at least 4.

    Example:
        >>> shortened("hospital/films_of_2019/0001.dcm", 20), shortened("a.png", 20)
        ('hospital/...0001.dcm', 'a.png')
    """
    if len(name) <= width:
        return name
    head = (width - 3) // 2
    if "/" in name:
        first = name.find("/", 1) + 1
        head = first if 0 < first <= width // 2 else (width - 3) // 3
    return f"{name[:head]}...{name[head + 3 - width :]}"


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Lines of a text; a word that is too long for one loses its middle.

    Args:
        text: One or more sentences.
        width: The most characters of a line.
        indent: What each line begins with.

    Example:
        >>> wrapped("It is in /data/hospital/films/of/2019/0001.dcm now.", 24, "  ")
        ['  It is in', '  /data/...2019/0001.dcm', '  now.']
    """
    words = " ".join(shortened(word, width - len(indent)) for word in text.split())
    return textwrap.wrap(
        words, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    ) or [indent]


def fitted(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """How wide each column of a table may be, so that the table is no wider than the terminal.

    Columns with several words in a cell are narrowed first, as far as no word is broken, then the widest.
    None becomes narrower than twelve characters or than its head, so a table of very many columns may be
    wider all the same.

    Args:
        columns: The heads of the columns.
        rows: The cells, row by row.
        width: The characters of a line.

    Example:
        >>> fitted(["", "A", "B"], [["leak", "a/very/long/path/0001.png", "b.png"]], 30)
        [4, 17, 5]
    """
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    room = width - _GAP * (len(columns) - 1)
    words = [max(_longest_word(text) for text in cells) for cells in zip(columns, *rows, strict=True)]
    least = [max(_LEAST, len(column)) for column in columns]
    while sum(widths) > room:
        loose = [at for at, n in enumerate(widths) if n > max(words[at], least[at])]
        at = max(loose or range(len(widths)), key=lambda at: widths[at] - least[at])
        floor = max(words[at], least[at]) if loose else least[at]
        if widths[at] <= floor:
            break
        widths[at] -= 1
    return widths


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def cell(text: str, width: int) -> str:
    """A cell none of whose words is wider than its column, so that no word is broken.

    Example:
        >>> cell("a/very/long/path/0001.png (kept)", 16)
        'a/...th/0001.png (kept)'
    """
    return " ".join(shortened(word, width) for word in text.split(" "))
