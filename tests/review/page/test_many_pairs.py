"""Ten thousand pairs are as quick as ten: at a key in the browser, and with thousands of verdicts."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from leakscan.research.review_speed import made_up_run
from leakscan.review.judged_run import Said
from leakscan.review.page.session import Judgement
from leakscan.review.verdicts import Verdict, VerdictFile
from support.browser import CHROMIUM
from support.review_page import Open
from support.served_page import Served

PAIRS = 10_000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_run(tmp_path_factory.mktemp("many"), PAIRS)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt install chromium)")
def test_keys_are_answered_at_once_among_ten_thousand_pairs(
    many: Path, open_review: Open, chromium: Any
) -> None:
    served = Served(open_review(many), chromium)
    assert "10,000" in served.text("#count")
    assert served.page.evaluate("document.querySelectorAll('#lines li').length") <= 200
    # From the key to the next title; about 20 ms on a quiet machine.
    script = """async (key) => {
        const title = document.getElementById('title'), before = title.textContent, began = performance.now();
        document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
        while (title.textContent === before && performance.now() - began < 9000)
            await new Promise(requestAnimationFrame);
        return performance.now() - began;
    }"""
    spent = sorted(served.page.evaluate(script, key) for key in "jjjjjdddjj")
    assert spent[len(spent) // 2] < 1500
    served.press("g")
    served.page.keyboard.type("9990")
    served.press("Enter")
    served.until("#title", "9990. ")
    assert served.trouble == []
    served.close()


def test_only_new_verdicts_are_read_again(
    many: Path, open_review: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = VerdictFile(tmp_path / "verdicts.parquet")
    session = open_review(many, verdicts=file.path).session
    rows = range(0, PAIRS, 5)
    file.append(session.run.verdict([n], Said(by="bob", verdict="different"), "subjects") for n in rows)
    session.refresh()
    assert session.progress()["others"] == len(rows)
    made: list[str] = []
    monkeypatch.setattr(Verdict, "of_row", classmethod(_counting(made)))
    card = next(card for card in session.deck if not session.opinions(card))
    session.give(Judgement(id=uuid.uuid4().hex, card=card.key, word="same"))
    assert len(made) == 1
    assert session.progress()["mine"] == 1
    file.path.unlink()  # somebody puts another file in its place
    file.append([session.run.verdict([1], Said(by="cy", verdict="same"), "subjects")])
    session.refresh()
    assert session.progress()["others"] == 1
    assert session.progress()["mine"] == 0


def _counting(made: list[str]) -> Any:
    real = Verdict.of_row.__func__  # type: ignore[attr-defined]

    def of_row(cls: type[Verdict], row: Any) -> Verdict:
        made.append(row["id"])
        found: Verdict = real(cls, row)
        return found

    return of_row
