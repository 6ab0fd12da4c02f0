"""Every kind of file that is known: what is read, and what is named and not read.

``python -m leakscan.research.known_formats`` prints the table of docs/formats.md; a test compares the two.
"""

from __future__ import annotations

from leakscan.sources.formats import FORMATS
from leakscan.sources.formats.unread import UNREAD
from leakscan.sources.held_pictures import HELD
from leakscan.sources.left_out import format_name

_EXTRA = "with the extra formats"
_CONDITIONS = {
    **dict.fromkeys(("jpegxl", "heic", "nrrd", "metaimage", "vtk", "gipl"), _EXTRA),
    **dict.fromkeys(("npy", "npz"), "when asked (`--arrays`)"),
    "minc": "MINC 1, and MINC 2 with the extra formats",
}
"""What it takes to read a format, by its name, where it takes something."""


def known_formats() -> str:
    """The table as Markdown: first what is read, by its name, then what is named, by what to do about it.

    Example:
        >>> known_formats().splitlines()[0]
        '| kind | endings of names | read |'
    """
    lines = ["| kind | endings of names | read |", "|---|---|---|"]
    endings: dict[tuple[str, str], dict[str, None]] = {}
    for known in FORMATS:
        told = "told by content and name" if known.by_name else "told by content"
        how = f"{_CONDITIONS.get(known.name, 'yes')}, {told}"
        endings.setdefault((format_name(known.name), how), {}).update(dict.fromkeys(known.suffixes))
    for (name, how), suffixes in sorted(endings.items(), key=lambda item: item[0][0].lower()):
        lines.append(f"| {name} | {_endings(tuple(suffixes))} | {how} |")
    advice: dict[tuple[str, str], dict[str, None]] = {}
    for kind in UNREAD:
        advice.setdefault((kind.name, kind.advice), {}).update(dict.fromkeys(kind.suffixes))
    for (name, what), own in sorted(advice.items(), key=lambda item: item[0][0].lower()):
        lines.append(f"| {name} | {_endings(tuple(own))} | no: {what} |")
    for name, what in sorted(HELD.items()):
        lines.append(f"| {name} | any, told by content | no: {what} |")
    return "\n".join(lines)


def _endings(suffixes: tuple[str, ...]) -> str:
    return " ".join(f"`{suffix}`" for suffix in suffixes) or "any, told by content"


if __name__ == "__main__":
    print(known_formats())
