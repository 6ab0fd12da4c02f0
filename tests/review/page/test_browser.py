"""The page in a real browser: by keyboard alone, narrow and wide, light and dark, readable by everybody.

Needs Chromium (Debian: ``apt install chromium``) and Playwright, which drives it through a pipe.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from leakscan.review.verdicts import VerdictFile
from support.browser import CHROMIUM, faults
from support.review_page import Open
from support.review_run import volumes_run
from support.served_page import Served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt install chromium)")


@pytest.fixture
def served(open_review: Open, chromium: Any) -> Iterator[Served]:
    """The run in the browser."""
    served = Served(open_review(), chromium)
    yield served
    assert served.trouble == []
    served.close()


def verdicts(run: Path) -> list[tuple[str, str]]:
    return [(v.verdict, v.note) for v in VerdictFile(run / "verdicts.parquet").read()]


def wait_for(n: int, run: Path) -> None:
    for _ in range(200):
        if len(verdicts(run)) >= n:
            return
        time.sleep(0.02)
    raise AssertionError(f"no {n} verdicts came")


def test_a_run_is_reviewed_by_keyboard_alone(served: Served, run: Path) -> None:
    first = served.text("#title")
    assert "bob.png" in first
    served.press("d")
    wait_for(1, run)
    served.until("#title", "dot.png")
    assert verdicts(run) == [("different", "")]
    served.press("n")
    served.page.keyboard.type("same rib, 2nd left")  # letters of keys do nothing here
    served.press("Escape", "s")
    wait_for(2, run)
    assert verdicts(run)[-1] == ("same", "same rib, 2nd left")
    served.until("#title", "ann")
    served.press("z")
    wait_for(3, run)
    served.until("#title", "dot.png")
    assert verdicts(run)[-1][0] == "withdrawn"
    served.press("k")
    served.until("#title", "bob.png")
    served.until("#opinions", "different")
    served.press("g")
    served.page.keyboard.type("3")
    served.press("Enter")
    served.until("#title", "3. ")
    served.press("/")
    served.page.keyboard.type("cy")
    served.until("#count", "2 pairs")
    served.press("Escape", "?")
    assert served.page.is_visible("#keys")
    served.press("Escape")
    assert not served.page.is_visible("#keys")
    served.until("#progress-words", "1 of 4")


def test_a_note_waits_for_its_verdict_while_other_pairs_are_looked_at(served: Served, run: Path) -> None:
    served.press("n")
    served.page.keyboard.type("ask the ward")
    served.press("Escape", "j")
    served.until("#title", "dot.png")
    assert served.page.input_value("#note") == ""
    served.press("k")
    served.until("#title", "bob.png")
    served.press("d")
    wait_for(1, run)
    assert verdicts(run) == [("different", "ask the ward")]


def lit(served: Served, canvas: int = 0) -> float:
    """The mean brightness of a canvas, 0..255."""
    script = """n => { const c = document.querySelectorAll('#stage canvas')[n];
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        let sum = 0;
        for (let i = 0; i < d.length; i += 4) sum += (d[i] + d[i + 1] + d[i + 2]) / 3;
        return sum / (d.length / 4); }"""
    served.page.evaluate("() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")
    found: float = served.page.evaluate(script, canvas)
    return found


def test_the_two_lie_on_each_other_and_every_view_shows_it(served: Served) -> None:
    served.page.fill("#text", "xena")
    served.until("#count", "1 pair")
    served.page.click("#lines button")
    served.until("#how", "mirrored and made negative")
    left, right = lit(served, 0), lit(served, 1)
    assert abs(left - right) < 3  # mirrored and negative in its file
    served.press("o")
    served.until("#how", "As stored")
    assert abs(lit(served, 1) - left) > 10
    served.press("o", "4")
    assert lit(served) < left / 8  # nothing is left of the difference
    served.press("3")
    assert lit(served) > left * 0.9
    served.press("2")
    served.page.wait_for_selector("#stage canvas")
    served.press("1", "m")
    served.until("#how", "Rings of one colour")
    served.press("m", "i")
    assert lit(served, 0) != pytest.approx(left, abs=3)
    served.press("i")
    box = served.page.locator("#stage canvas").first.bounding_box()
    assert box
    served.page.mouse.move(box["x"] + 100, box["y"] + 100)
    served.page.mouse.down()
    served.page.mouse.move(box["x"] + 100, box["y"] + 300, steps=4)
    served.page.mouse.up()
    moved = lit(served, 0), lit(served, 1)
    assert moved[0] < left - 10  # the level went up, for both
    assert abs(moved[0] - moved[1]) < 4
    served.press("r", "+", "+")
    zoomed = lit(served, 0)
    assert zoomed > left
    assert abs(zoomed - lit(served, 1)) < 4
    served.press("r")
    assert lit(served, 0) == pytest.approx(left, abs=1)
    served.press("]")
    served.until("#evidence", "the same pixels")


def greenish(served: Served, canvas: int = 0) -> float:
    """How much greener than red the pixels of a canvas are, on average."""
    script = """n => { const c = document.querySelectorAll('#stage canvas')[n];
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        let sum = 0;
        for (let i = 0; i < d.length; i += 4) sum += d[i + 1] - d[i];
        return sum / (d.length / 4); }"""
    served.page.evaluate("() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")
    found: float = served.page.evaluate(script, canvas)
    return found


@pytest.mark.slow
def test_volumes_lie_on_each_other_with_one_cursor_and_show_where_they_agree(
    open_review: Open, chromium: Any, tmp_path: Path
) -> None:
    served = Served(open_review(volumes_run(tmp_path / "heads")), chromium)
    served.until("#how", "Aligned")
    assert served.page.evaluate("document.querySelectorAll('#stage canvas').length") == 6
    for plane in range(3):
        assert abs(lit(served, plane) - lit(served, plane + 3)) < 4  # mirrored in its file
    before = served.text("#stage")
    served.press("PageUp")
    served.page.wait_for_function("t => document.querySelector('#stage').innerText !== t", arg=before)
    assert served.text("#stage").count("axial") == 2
    assert abs(greenish(served)) < 1
    served.press("m")
    served.until("#how", "Green: the local contrast of both agrees")
    assert greenish(served) > 3
    served.press("m")
    assert abs(greenish(served)) < 1
    box = served.page.locator("#stage canvas").first.bounding_box()
    assert box
    before = served.text("#stage")
    served.page.mouse.click(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.4)
    served.page.wait_for_function("t => document.querySelector('#stage').innerText !== t", arg=before)
    left = lit(served, 0)
    served.press("4")
    assert lit(served, 0) < left / 3
    served.press("2")
    served.until("#stage", "left, axial")
    served.page.wait_for_function("() => document.querySelector('#stage').innerText.includes('right, axial')")
    served.press("1", "i")
    assert lit(served, 0) != pytest.approx(left, abs=3)
    assert served.trouble == []
    served.close()


def test_two_films_of_strangers_show_the_places_that_look_alike(served: Served) -> None:
    served.press("m")
    served.until("#how", "in detail")
    served.press("m")
    served.page.wait_for_function("() => !document.querySelector('#how').innerText.includes('in detail')")


def test_nothing_is_lost_while_the_server_does_not_answer(served: Served, run: Path) -> None:
    served.context.set_offline(True)
    served.press("d")
    served.until("#trouble", "1 verdict is kept in this browser")
    assert not (run / "verdicts.parquet").exists()
    served.context.set_offline(False)
    wait_for(1, run)
    served.page.wait_for_selector("#trouble", state="hidden")
    assert [word for word, _ in verdicts(run)] == ["different"]


def test_what_is_taken_back_while_it_is_being_written_is_taken_back_on_disk(
    served: Served, run: Path
) -> None:
    with FileLock(f"{run / 'verdicts.parquet'}.lock"):
        served.press("d")
        served.page.wait_for_function("() => localStorage.getItem('leakscan-waiting')?.includes('tried')")
        served.press("z")
        served.until("#saved", "Not taken back yet")
    wait_for(2, run)
    served.until("#saved", "Taken back")
    assert [word for word, _ in verdicts(run)] == ["different", "withdrawn"]


def test_nobody_judges_a_pair_that_is_not_shown_yet(served: Served, run: Path) -> None:
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    served.page.route("**/api/card/*", hold)
    served.press("d")
    served.until("#saved", "Saved")
    for _ in range(20):  # "Saved" may be said once more between the key and the look
        served.press("s")
        if "not shown yet" in served.text("#saved"):
            break
    else:
        pytest.fail("a key before the next pair is shown was not answered")
    held[0].continue_()
    served.page.unroute("**/api/card/*")
    served.until("#title", "dot.png")
    served.press("s")
    wait_for(2, run)
    assert [word for word, _ in verdicts(run)] == ["different", "same"]
    served.until("#progress-words", "2 of 4")


def test_what_waits_for_another_run_or_reviewer_stays_and_is_named(served: Served, run: Path) -> None:
    script = """items => localStorage.setItem("leakscan-waiting", JSON.stringify(items))"""
    card = served.page.evaluate("location.hash.slice(1)")
    waiting = [
        {
            "address": "/api/verdict",
            "reviewer": who,
            "body": {"id": 31 * "0" + n, "card": key, "word": "same"},
        }
        for who, key, n in (("bob", card, "1"), ("ann", 16 * "f", "2"), ("ann", card, "3"))
    ]
    served.page.evaluate(script, waiting)
    served.page.reload()
    served.until("#trouble", "2 verdicts of another run or reviewer")
    wait_for(1, run)
    assert [v.id for v in VerdictFile(run / "verdicts.parquet").read()] == [31 * "0" + "3"]
    served.page.wait_for_function("() => JSON.parse(localStorage.getItem('leakscan-waiting')).length === 2")


def test_the_link_works_from_a_page_of_another_site(served: Served, chromium: Any) -> None:
    """A notebook is such a page: it lies at another name of this machine."""
    context = chromium.new_context()
    page = context.new_page()
    link = f"<a href='{served.server.link()}'>review</a>"
    context.route("http://localhost:9/*", lambda route: route.fulfill(body=link, content_type="text/html"))
    page.goto("http://localhost:9/")
    page.click("a")
    page.wait_for_selector("body[data-ready]")
    context.close()


def test_a_browser_that_keeps_nothing_is_served_all_the_same(served: Served, run: Path) -> None:
    served.page.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no') }})"
    )
    served.page.reload()
    served.ready()
    served.press("d")
    wait_for(1, run)
    served.until("#saved", "Saved")


def test_a_page_that_closes_right_after_the_key_loses_nothing(
    open_review: Open, chromium: Any, run: Path
) -> None:
    served = Served(open_review(), chromium)
    served.page.keyboard.down("u")
    served.page.close()
    wait_for(1, run)
    served.page = served.context.new_page()
    served.page.goto(f"http://127.0.0.1:{served.server.port}/")  # the browser comes back with its cookie
    served.ready()
    time.sleep(0.2)
    assert [word for word, _ in verdicts(run)] == ["unsure"]
    served.close()


def test_blind_pages_show_nothing_before_the_verdict(open_review: Open, chromium: Any, run: Path) -> None:
    served = Served(open_review(gold=2), chromium)
    page = served.text("body")
    assert "Pair 1" in page
    for word in ("ann/", "bob.png", "alike", "2020", "leak:", "review:"):
        assert word not in page
    for number, key in enumerate("sdu", 1):
        served.until("#title", f"Pair {number}")
        served.press(key)
        wait_for(number, run)
    served.page.click("#open-summary")
    served.until("#summary-words", "Hidden pairs with known answers")
    assert served.trouble == []
    served.close()


@pytest.mark.slow
def test_everybody_can_read_it_narrow_and_wide_light_and_dark(open_review: Open, chromium: Any) -> None:
    served = Served(open_review(), chromium, bypass_csp=True)  # axe is put into the page as a script
    page = served.page
    served.press("s")
    served.until("#saved", "Saved")
    for width, scheme, dialogs in (
        (1400, "light", ("#open-keys",)),
        (1400, "dark", ("#open-summary",)),
        (400, "light", ("#open-queue",)),
        (400, "dark", ()),
    ):
        page.set_viewport_size({"width": width, "height": 850})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for opened in ("", *dialogs):
            if opened:
                page.click(opened)
            assert faults(page) == [], (width, scheme, opened)
            served.press("Escape")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
    served.close()


def test_who_comes_back_goes_on_where_work_is_left(served: Served, run: Path) -> None:
    served.press("d")
    wait_for(1, run)
    served.until("#title", "dot.png")
    again = served.context.new_page()  # without the mark that the address of the first page ends with
    again.goto(served.page.url.partition("#")[0])
    again.wait_for_selector("body[data-ready]")
    assert "dot.png" in again.inner_text("#title")
