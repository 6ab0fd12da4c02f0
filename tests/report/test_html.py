"""The page of a run: people before pairs, every pair found by filters, small, readable by everybody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from leakscan import tables
from leakscan.engines import start_engine
from leakscan.errors import LeakscanError
from leakscan.fingerprint.pipeline import Dataset
from leakscan.report import html_pictures
from leakscan.report.html import render_html
from leakscan.report.html_charts import overlap_map
from leakscan.report.html_pictures import ImageKey, Thumbnails
from leakscan.report.run_tables import RunTables
from leakscan.settings import Settings
from leakscan.types import RELATIONS
from support.browser import CHROMIUM, SIZES, faults
from support.makers import Picture, unit_vectors
from support.review_run import MadeRun

COUPLE = {"copies": 0, "other_pictures": 0, "possible": 0, "accepted": 0, "expected_false": None}


class Fakes:
    """Stands in for pictures: each is as large as a page of so many lets it be."""

    def of(self, wanted: Iterable[ImageKey]) -> dict[ImageKey, str]:
        keys = list(wanted)
        room = min(html_pictures._MOST_BYTES, html_pictures._BYTES // len(keys))
        return dict.fromkeys(keys, "data:image/webp;base64," + "A" * (room * 4 // 3))


def tables_of(made: MadeRun) -> RunTables:
    """The tables of a run that was put together by hand."""
    vectors = unit_vectors(0, len(made.images))
    prints = [
        {
            "image_id": r["image_id"],
            "dataset": r["dataset"],
            "fingerprint": v.astype(np.float16),
            "encoder": "e@1",
        }
        for r, v in zip(made.images, vectors, strict=True)
    ]
    made_of = ((made.images, tables.IMAGES), (prints, tables.FINGERPRINTS), (made.pairs, tables.PAIRS))
    return RunTables(
        *(tables.from_rows(rows, schema) for rows, schema in made_of),
        tables.from_rows(made.subjects, tables.SUBJECTS),
        (),
    )


def summary_of(made: MadeRun, **facts: Any) -> dict[str, Any]:
    """A summary with what the page shows of it."""
    names = list(dict.fromkeys(row["dataset"] for row in made.images))
    status = dict.fromkeys(("ok", "blank", "unreadable", "unsupported", "ignored"), 1)
    decisions = {r: dict.fromkeys(("leak", "review", "cleared"), 0) for r in RELATIONS}
    return {
        "leakscan": "1.0",
        "created": "2026-01-01",
        "fail_on": "same_subject",
        "exit_code": 1,
        "reasons": ["Because."],
        "warnings": [],
        "datasets": [{"name": n, "files": 1, "status": status, "kinds": {}, "unread": []} for n in names],
        "comparisons": [],
        "decisions": decisions,
        "contradictions": [],
        "encoders": {},
        "answer": {"headline": "2 of 3 people of A are also in B", "pairs_of_datasets": [], "not_done": []},
        **facts,
    }


def page_of(made: MadeRun, thumbnails: Any = None, **facts: Any) -> str:
    return render_html(tables_of(made), summary_of(made, **facts), thumbnails or Fakes())


def a_run(root: Path, pixels: Picture) -> MadeRun:
    """A person with two films in A and one in B; a pair for review; a pair that a person cleared."""
    made = MadeRun(root)
    a1, a2 = (
        made.row("A", f"ann/{n}.png", np.roll(pixels, n, axis=1), "ann", acquired=f"2020-0{n}-01")
        for n in (1, 2)
    )
    b1 = made.row("B", "x.png", np.roll(pixels, 3, axis=1), "xena")
    bob, cy, eve = (
        made.row(d, f"{n}.png", np.roll(pixels, k, axis=1))
        for d, n, k in (("A", "bob", 4), ("B", "cy", 5), ("B", "eve", 6))
    )
    made.pair(a1, b1, "same_image", "leak", transform="hflip+invert", correlation=0.99)
    made.pair(a2, b1, "same_subject", "leak", probability=0.97)
    made.pair(bob, cy, "same_subject", "review", probability=0.4)
    made.pair(bob, eve, "same_subject", "cleared", probability=0.2, verdict="different", verdict_by="ann")
    made.group("g1", a1, a2, b1)
    return made


def cards_of(page: str) -> list[str]:
    return re.findall(r"<article.*?</article>", page, re.S)


def test_a_person_is_one_card_with_every_picture_once(tmp_path: Path, films: list[Picture]) -> None:
    page = page_of(a_run(tmp_path, films[0]))
    first, second, third = cards_of(page)
    assert "3 images of one person under 2 declared subjects" in first
    assert first.count("<img") == 3
    assert first.count('class="pair"') == 2
    assert "mirrored, made negative" in first
    assert "2020-02-01" in first
    assert "Perhaps another picture of the same person" in second
    assert "verdict “different” by ann" in third
    assert page.index("2 of 3 people of A are also in B") < page.index("<table")


def test_a_group_that_may_be_wrong_says_where(tmp_path: Path, films: list[Picture]) -> None:
    made = MadeRun(tmp_path)
    ids = [made.row(d, f"{n}.png", np.roll(films[0], n, axis=1), f"P{n}") for n, d in enumerate("ABAB")]
    for a, b in ((0, 1), (2, 1), (2, 3)):
        made.pair(ids[a], ids[b], "same_subject", "leak", probability=0.9)
    made.group("g1", *ids)
    for row in made.subjects:
        row |= {"contradiction": True, "diameter": 3, "weakest_link": f"{ids[2]} {ids[1]}"}
    (card,) = cards_of(page_of(made))
    assert "One dataset declares several subjects here" in card
    assert "A chain of 3 links" in card
    marked = [p for p in re.findall(r"<li class=\"pair\".*?</li>", card, re.S) if "the weakest link" in p]
    assert len(marked) == 1
    assert "P2" not in marked[0]
    assert "<b>2 and 3</b>" in marked[0] or "<b>2 and 1</b>" in marked[0] or "<b>3 and 2</b>" in marked[0]


def test_what_paths_hide_stays_hidden(tmp_path: Path, films: list[Picture]) -> None:
    made = a_run(tmp_path, films[0])
    for row in made.images:
        row["path"] = None
    page = page_of(made)
    assert "ann/" not in page
    assert made.images[0]["image_id"][:16] in page


def test_many_leaks_leave_room_for_what_is_for_review(tmp_path: Path, films: list[Picture]) -> None:
    made = MadeRun(tmp_path)
    ids = {d: [made.row(d, f"{n}.png", films[0], "P") for n in range(34)] for d in "AB"}
    for a in ids["A"]:
        for b in ids["B"]:
            made.pair(a, b, "same_image", "leak")
    bob, cy = made.row("A", "bob.png", films[1]), made.row("B", "cy.png", films[2])
    made.pair(bob, cy, probability=0.2)
    page = page_of(made)
    assert "999 of 1156 called a leak, 1 of 1 for review" in page
    assert page.count('class="pair"') == 1000
    assert "cy.png" in page


def test_pictures_share_the_room_of_the_page(monkeypatch: pytest.MonkeyPatch, films: list[Picture]) -> None:
    rows = [
        {"image_id": str(n), "preview": cv2.imencode(".png", f)[1].tobytes()} for n, f in enumerate(films)
    ]
    dataset = Dataset("A", tables.from_rows([*rows, {"image_id": "gone"}], tables.STORE), {}, {}, "")
    thumbnails = Thumbnails([dataset], Settings().reading, start_engine(0))
    there = {("A", str(row["image_id"])): f"pixels {row['image_id']}" for row in rows}
    wanted = {**there, ("A", "gone"): "gone", ("B", "0"): "pixels 0"}
    large = thumbnails.of(wanted)
    assert set(large) == set(there)
    monkeypatch.setattr(html_pictures, "_BYTES", 1500 * len(rows))
    small = thumbnails.of(wanted)
    assert sum(map(len, small.values())) < 1500 * len(rows) * 4 / 3 + 100 * len(rows)
    assert all(len(small[key]) < len(large[key]) for key in small)
    monkeypatch.setattr(html_pictures, "_SECONDS", -1.0)
    assert len(thumbnails.of(wanted)) == 1  # no time is left after the first


def test_a_worker_that_dies_at_the_pictures_costs_only_pictures(films: list[Picture]) -> None:
    class Dying:
        workers = 1

        def map(self, function: Any, items: Iterable[Any], chunk: int = 8) -> Iterator[Any]:
            yield function(next(iter(items)))
            raise LeakscanError("A worker process was killed.")

    png = cv2.imencode(".png", films[0])[1].tobytes()
    rows = [{"image_id": str(n), "preview": png} for n in range(3)]
    dataset = Dataset("A", tables.from_rows(rows, tables.STORE), {}, {}, "")
    found = Thumbnails([dataset], Settings().reading, Dying()).of({("A", str(n)): str(n) for n in range(3)})
    assert set(found) == {("A", "0")}


def test_equal_pictures_are_read_once(films: list[Picture]) -> None:
    class Counting:
        workers, read = 1, 0

        def map(self, function: Any, items: Iterable[Any], chunk: int = 8) -> Iterator[Any]:
            for item in items:
                self.read += 1
                yield function(item)

    png = cv2.imencode(".png", films[0])[1].tobytes()
    rows = [{"image_id": str(n), "preview": png} for n in range(3)]
    dataset = Dataset("A", tables.from_rows(rows, tables.STORE), {}, {}, "")
    engine = Counting()
    wanted = {("A", "0"): "one", ("A", "1"): "other", ("A", "2"): "one"}
    found = Thumbnails([dataset], Settings().reading, engine).of(wanted)
    assert set(found) == set(wanted)
    assert engine.read == 2


def test_distances_are_drawn_with_the_thresholds(tmp_path: Path, films: list[Picture]) -> None:
    made = MadeRun(tmp_path)
    ids = {d: [made.row(d, f"{n}.png", np.roll(films[0], n, axis=1)) for n in range(12)] for d in "AB"}
    made.pair(ids["A"][0], ids["B"][0], "same_subject", "leak", distance=0.1)
    limits = {"leak_score": 0.8, "review_score": 0.7}
    facts: dict[str, Any] = {
        "comparisons": [{"a": "A", "b": "B", "words": [], "thresholds": {"e@1": limits}}],
        "encoders": {"e@1": {"calibration": {"cohort": 0}}},
    }
    page = page_of(made, **facts)
    assert "144 pairs sampled" in page
    assert "leak up to 0.20" in page
    assert "for review up to 0.30" in page
    assert page.count('class="bar-leak"') == 1
    facts["encoders"]["e@1"]["calibration"]["cohort"] = 500  # then a score is no cosine
    assert "<svg" not in page_of(made, **facts)


def couple(a: str, b: str, **counts: int) -> dict[str, Any]:
    side = {"a": {"shared": 1, "of": 9}, "b": {"shared": 1, "of": 9}}
    return {
        "a": a,
        "b": b,
        "people": side,
        "images": side,
        "unit": {"a": "subjects", "b": "subjects"},
        **COUPLE,
        **counts,
    }


def test_the_map_shows_the_datasets_that_share_most() -> None:
    names = [f"site {n}" for n in range(30)]
    told = [couple(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    told.append(couple("site 3", "site 9") | {"copies": 4, "possible": 2})
    found = overlap_map(told)
    assert found is not None
    assert found["names"][:2] == ["site 3", "site 9"]
    assert found["left_out"] == 6
    assert found["rows"][0][1]["shared"] == 4
    assert found["rows"][0][1]["shade"] == 4
    assert found["rows"][0][0] is None
    assert overlap_map(told[:1]) is None


# In a browser

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt install chromium)")


def opened(chromium: Any, place: Path, page: str, **context: Any) -> Any:
    place.write_text(page, encoding="utf-8")
    tab = chromium.new_context(**{"viewport": {"width": 1400, "height": 900}, **context}).new_page()
    tab.faults = []
    tab.on("pageerror", lambda error: tab.faults.append(str(error)))
    tab.on("console", lambda message: message.type == "error" and tab.faults.append(message.text))
    tab.goto(place.as_uri())
    tab.wait_for_selector("#count:not(:empty)")
    return tab


def three_sets(root: Path, films: list[Picture]) -> tuple[MadeRun, Mapping[str, Any]]:
    made = a_run(root, films[0])
    c = made.row("C", "far/zoe <b>.png", films[1])
    made.pair(made.images[3]["image_id"], c, probability=0.05)
    told = [couple("A", "B", copies=1, possible=1), couple("A", "C", possible=1), couple("B", "C")]
    answer = {"headline": "2 of 3 people of A are also in B", "pairs_of_datasets": told, "not_done": []}
    return made, {"answer": answer}


@needs_browser
def test_pairs_are_filtered_and_sorted_without_a_server(
    chromium: Any, tmp_path: Path, films: list[Picture]
) -> None:
    made, facts = three_sets(tmp_path, films)
    tab = opened(chromium, tmp_path / "report.html", page_of(made, **facts))

    def says(words: str) -> None:
        tab.wait_for_function("w => document.getElementById('count').textContent === w", arg=words)

    def titles() -> list[str]:
        return [card.inner_text() for card in tab.query_selector_all("article:visible figcaption")]

    says("5 of 5 pairs, 4 of 4 cards")
    tab.keyboard.press("/")
    tab.keyboard.type("ZOE <b>")
    says("1 of 5 pairs, 1 of 4 cards")
    tab.keyboard.press("Escape")
    says("5 of 5 pairs, 4 of 4 cards")
    tab.select_option("[name=relation]", "same_subject")
    says("4 of 5 pairs, 4 of 4 cards")
    tab.select_option("[name=decision]", "leak")
    says("1 of 5 pairs, 1 of 4 cards")
    tab.click("text=Show all")
    tab.fill("[name=least]", "30")
    tab.fill("[name=most]", "50")
    says("1 of 5 pairs, 1 of 4 cards")
    tab.click("text=Show all")
    tab.select_option("[name=order]", "unlikely")
    tab.wait_for_function("() => document.querySelector('article').innerText.includes('zoe')")
    tab.keyboard.press("Escape")
    tab.wait_for_function("() => document.querySelector('article').innerText.includes('ann')")
    tab.click("a[data-couple='A and C']")
    says("1 of 5 pairs, 1 of 4 cards")
    tab.keyboard.press("Escape")
    says("5 of 5 pairs, 4 of 4 cards")
    tab.keyboard.press("j")
    tab.keyboard.press("j")
    assert "bob.png" in tab.evaluate("document.activeElement.innerText")
    tab.keyboard.press("k")
    assert "ann/1.png" in tab.evaluate("document.activeElement.innerText")
    tab.fill("[name=text]", "nobody of this name")
    says("No pair fits.")
    assert tab.faults == []
    tab.emulate_media(media="print")
    assert not tab.is_visible("#filters")


@needs_browser
def test_the_page_runs_no_script_but_its_own(chromium: Any, tmp_path: Path, films: list[Picture]) -> None:
    made, facts = three_sets(tmp_path, films)
    page = page_of(made, **facts)
    page = page.replace(
        "</main>",
        "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script></main>",
    )
    tab = opened(chromium, tmp_path / "report.html", page)
    assert tab.title() == "leakscan: A × B × C"
    assert any("Content Security Policy" in fault for fault in tab.faults)


@pytest.mark.slow
@needs_browser
def test_everybody_can_read_it_narrow_and_wide_light_and_dark(
    chromium: Any, tmp_path: Path, films: list[Picture]
) -> None:
    made, facts = three_sets(tmp_path, films)
    far = made.row("a hospital of a very long name that nobody has shortened so far", "1.png", films[2])
    made.pair(made.images[0]["image_id"], far, probability=0.05)
    tab = opened(chromium, tmp_path / "report.html", page_of(made, **facts), bypass_csp=True)
    for width, scheme in SIZES:
        tab.set_viewport_size({"width": width, "height": 850})
        tab.emulate_media(color_scheme=scheme)
        assert faults(tab) == [], (width, scheme)
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


@pytest.mark.slow
@needs_browser
def test_a_thousand_pairs_are_small_and_quick(chromium: Any, tmp_path: Path, films: list[Picture]) -> None:
    made = MadeRun(tmp_path)
    folder = "a/rather/long/folder/of/a/hospital/that/names/its/rooms"
    why = ["fingerprint similarity 0.801: 0.21 false pairs as good expected in 1,000,000 subject comparisons"]
    for n in range(1000):
        a, b = (made.row(d, f"{folder}/{n}.dcm", films[0], f"P{n}") for d in "AB")
        made.pair(a, b, "same_subject", "review", probability=n / 1000, evidence=why * 3)
    page = page_of(made)
    assert page.count('class="pair"') == 1000
    assert page.count("<img") == 2000
    assert len(page) < 10_000_000
    tab = opened(chromium, tmp_path / "report.html", page)
    script = """async ([name, value]) => {
        const field = document.querySelector(`[name=${name}]`), began = performance.now();
        field.value = value;
        apply();
        document.body.offsetHeight;
        return performance.now() - began;
    }"""
    for name, value in (("text", "99"), ("text", ""), ("order", "likely")):
        assert tab.evaluate(script, [name, value]) < 1000, (name, value)  # about 30 ms on a quiet machine
