"""What a notebook shows of a run: the answer, and the first pairs as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import pyarrow as pa

from leakscan.counted import chance
from leakscan.decide.copies.describing import Pixels
from leakscan.report.altered_words import altered_words
from leakscan.report.html_pictures import ImageKey, Thumbnails, thumbnails_of
from leakscan.report.none_found import further_reasons
from leakscan.report.run_folder import RunFolder
from leakscan.settings import DecodeOptions

_SHOWN = 5
_COLUMNS = ("decision", "relation", "probability")
_SIDES = ("a", "b")


@dataclass(frozen=True)
class FirstPictures:
    """Makes the pictures of the first pairs, when a notebook asks for them.

    Attributes:
        pixels: Where the pixels of the images are.
        options: The limits for reading them.
        masked: Whether text that is burnt into them is covered.
    """

    pixels: Mapping[ImageKey, Pixels]
    options: DecodeOptions
    masked: bool = True

    @classmethod
    def of(cls, pairs: pa.Table, thumbnails: Thumbnails) -> FirstPictures:
        """Those of the first pairs of a table.

        Args:
            pairs: The pairs, leaks first, each by probability.
            thumbnails: What knows where pixels are.

        Example::

            FirstPictures.of(result.pairs, Thumbnails(datasets, settings.reading, context.engine)).made()
        """
        first = pairs.slice(0, _SHOWN).to_pylist()
        keys = [(p[f"dataset_{side}"], p[f"image_{side}"]) for p in first for side in _SIDES]
        return cls(thumbnails.places(keys), thumbnails.options, thumbnails.masked)

    def made(self) -> dict[ImageKey, str]:
        """The pictures as data URIs, without those whose pixels are gone."""
        return thumbnails_of(self.pixels, self.options, self.masked)


def render_notebook(
    summary: Mapping[str, Any],
    pairs: pa.Table,
    folder: RunFolder | None,
    pictures: FirstPictures | None = None,
) -> str:
    """The answer as a heading, and the strongest pairs side by side, in HTML.

    Args:
        summary: What ``summary.json`` holds.
        pairs: The pairs of the run, leaks first, each by probability.
        folder: The run folder, whose page is linked; ``None`` where none was written.
        pictures: Makes the pictures; ``None`` shows names only.

    Example:
        >>> summary = {"answer": {"headline": "No leak was found"}, "reasons": [], "exit_code": 0}
        >>> from leakscan import tables
        >>> render_notebook(summary, tables.PAIRS.empty_table(), None)[:58]
        '<div><p><strong>No leak was found</strong> (exit code 0)</'
    """
    head = (
        f"<p><strong>{escape(summary['answer']['headline'])}</strong> (exit code {summary['exit_code']})</p>"
    )
    why = "".join(f"<p>{escape(words)}</p>" for words in further_reasons(summary))
    seen = {} if pictures is None else pictures.made()
    rows = "".join(_row(pair, seen) for pair in pairs.slice(0, _SHOWN).to_pylist())
    titles = "".join(f"<th>{name}</th>" for name in ("what", "A", "B", "altered"))
    table = f"<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
    more = f"<p>{len(pairs):,} pairs in all.</p>" if len(pairs) > _SHOWN else ""
    link = (
        "" if folder is None else f'<p><a href="{escape(folder.report.as_posix())}">The whole report</a></p>'
    )
    return f"<div>{head}{why}{table}{more}{link}</div>"


def _row(pair: Mapping[str, Any], seen: Mapping[ImageKey, str]) -> str:
    words = ", ".join(_cell(pair[name]) for name in _COLUMNS if pair[name] is not None)
    cells = [
        words,
        *(_image(pair, side, seen) for side in _SIDES),
        escape(", ".join(altered_words(pair["transform"]))),
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _image(pair: Mapping[str, Any], side: str, seen: Mapping[ImageKey, str]) -> str:
    """One side of a pair: its picture where it is at hand, and its name."""
    dataset, image = pair[f"dataset_{side}"], pair[f"image_{side}"]
    name = escape(f"{dataset}/{pair[f'path_{side}'] or image}")
    uri = seen.get((dataset, image))
    return (f'<img src="{uri}" alt="" style="max-width: 200px"><br>' if uri else "") + name


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return escape(chance(value) if isinstance(value, float) else str(value))
