"""One HTML page for a person: the answer in words, and the people with their pairs, side by side.

The page stands alone (pictures, style and script are inside) and loads nothing from anywhere. A policy in
its head lets a browser run that one script and nothing else.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup, escape

from leakscan.counted import chance, rounded
from leakscan.report.alike import words_by_comparison
from leakscan.report.html_charts import histograms, overlap_map
from leakscan.report.html_people import RELATION_WORDS, Card, people_cards, shown_pairs
from leakscan.report.html_pictures import Thumbnails
from leakscan.report.none_found import NONE, further_reasons
from leakscan.report.run_tables import RunTables
from leakscan.report.unlisted import on_no_list


def render_html(found: RunTables, summary: Mapping[str, Any], thumbnails: Thumbnails) -> str:
    """The page as text; the strongest leaks and pairs for review are shown with pictures.

    Args:
        found: The tables of the run.
        summary: What ``summary.json`` holds.
        thumbnails: What makes the small pictures.

    Example::

        found = RunTables.of(datasets, comparisons, settings.privacy)
        thumbnails = Thumbnails(datasets, settings.reading, context.engine)
        page = render_html(found, summarise(found, context), thumbnails)
    """
    environment = Environment(
        loader=PackageLoader("leakscan.report"),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    environment.filters["chance"] = chance
    shown = shown_pairs(found.pairs)
    cards = people_cards(found, shown)
    images = _images(cards)
    pictures = thumbnails.of({image["key"]: image["pixels"] for image in images})
    style, script = _part("report.css"), _part("report.js")
    answer = summary.get("answer") or {}
    return environment.get_template("report.html.jinja").render(
        summary=summary,
        answer=answer,
        reasons=further_reasons(summary),
        beyond=str(answer.get("headline", "")).removeprefix(NONE),
        comparisons=words_by_comparison(summary["comparisons"]),
        cards=cards,
        pictures=pictures,
        without_picture=sum(image["key"] not in pictures for image in images),
        decisions={d: (_count(shown, d), _count(found.pairs, d)) for d in ("leak", "review", "cleared")},
        choices=_choices(cards),
        on_no_list=on_no_list,
        rounded=rounded,
        relation_words=RELATION_WORDS,
        charts=histograms(found, summary),
        overlaps=overlap_map(answer.get("pairs_of_datasets", [])),
        style=style,
        script=script,
        policy=_policy(style, script),
    )


def _count(pairs: pa.Table, decision: str) -> int:
    return int(pc.sum(pc.equal(pairs["decision"], decision)).as_py() or 0)


def _images(cards: list[Card]) -> list[dict[str, Any]]:
    return [image for card in cards for person in card["people"] for image in person["images"]]


def _choices(cards: list[Card]) -> dict[str, list[str]]:
    """What the filters of the page offer, in the order in which it comes."""
    pairs = [pair for card in cards for pair in card["pairs"]]
    return {
        "relation": [r for r in RELATION_WORDS if any(pair["relation"] == r for pair in pairs)],
        "decision": [d for d in ("leak", "review", "cleared") if any(p["decision"] == d for p in pairs)],
        "couple": sorted({pair["couple"] for pair in pairs}),
    }


@cache
def _part(name: str) -> str:
    """The style or the script of the page."""
    return (resources.files("leakscan.report") / "templates" / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """What a browser may load and run on the page: its own style, its own script, pictures that are in it."""
    style_hash, script_hash = (
        f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'" for text in (style, script)
    )
    return (
        f"default-src 'none'; img-src data:; style-src {style_hash}; script-src {script_hash}; "
        "base-uri 'none'; form-action 'none'"
    )


def _breakable(path: str) -> Markup:
    """A path that breaks after its marks, and not in the middle of a word."""
    return Markup(re.sub(r"([/_]+)", r"\1<wbr>", str(escape(path))))
