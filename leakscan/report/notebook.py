"""What a notebook shows of a run: the answer, and the first pairs."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import pyarrow as pa

from leakscan.report.run_folder import RunFolder

_SHOWN = 10
_COLUMNS = ("decision", "relation", "probability", "dataset_a", "path_a", "dataset_b", "path_b", "transform")


def render_notebook(summary: Mapping[str, Any], pairs: pa.Table, folder: RunFolder | None) -> str:
    """The answer as a heading, and the strongest pairs as a table, in HTML.

    Args:
        summary: What ``summary.json`` holds.
        pairs: The pairs of the run, strongest first.
        folder: The run folder, whose page is linked; ``None`` where none was written.

    Example:
        >>> summary = {"answer": {"headline": "No leak was found"}, "reasons": [], "exit_code": 0}
        >>> from leakscan import tables
        >>> render_notebook(summary, tables.PAIRS.empty_table(), None)[:58]
        '<div><p><strong>No leak was found</strong> (exit code 0)</'
    """
    head = (
        f"<p><strong>{escape(summary['answer']['headline'])}</strong> (exit code {summary['exit_code']})</p>"
    )
    why = "".join(f"<p>{escape(words)}</p>" for words in summary["reasons"])
    rows = "".join(
        "<tr>" + "".join(f"<td>{_cell(pair[name])}</td>" for name in _COLUMNS) + "</tr>"
        for pair in pairs.slice(0, _SHOWN).to_pylist()
    )
    titles = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in _COLUMNS)
    table = f"<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
    more = f"<p>{len(pairs):,} pairs in all.</p>" if len(pairs) > _SHOWN else ""
    link = (
        ""
        if folder is None
        else f'<p><a href="{escape(folder.report.as_posix())}">Pictures of the pairs</a></p>'
    )
    return f"<div>{head}{why}{table}{more}{link}</div>"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return escape(f"{value:.2f}" if isinstance(value, float) else str(value))
