"""Verdicts are on disk at once, nobody's are lost, and a blind review gives nothing away."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leakscan.review.verdicts import Verdict, VerdictFile
from support.review_page import Open, Reader


def words(path: Path) -> list[tuple[str, str, str]]:
    return [(v.by, v.verdict, v.scope) for v in VerdictFile(path).read()]


def test_a_verdict_is_on_disk_when_it_is_answered(reader: Reader, run: Path) -> None:
    card = reader.titled("bob")
    answer = reader.say(card["key"], "different", note="other ribs\x1b[31m\u202e")
    (verdict,) = VerdictFile(run / "verdicts.parquet").read()
    assert (verdict.by, verdict.verdict, verdict.scope) == ("ann", "different", "subjects")
    assert (verdict.dataset_a, verdict.dataset_b) == ("A", "B")
    assert verdict.note == "other ribs [31m"
    assert verdict.evidence == ("alike",)
    assert answer["card"]["word"] == "different"
    assert answer["card"]["state"] == "mine"


def test_half_a_character_in_a_note_is_no_fault(reader: Reader, run: Path) -> None:
    sent = {
        "id": uuid.uuid4().hex,
        "card": reader.lines()[0]["key"],
        "word": "same",
        "note": "left \ud800 lung",
    }
    headers = {"Origin": reader.origin, "X-Leakscan-Secret": reader.server.door.secret}
    headers["Content-Type"] = "application/json"
    assert reader.client.post("/api/verdict", content=json.dumps(sent), headers=headers).status_code == 200
    assert VerdictFile(run / "verdicts.parquet").read()[0].note == "left   lung"


def test_a_fault_of_the_server_is_a_sentence(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader.server.session, "give", None)
    sent = {"id": uuid.uuid4().hex, "card": reader.lines()[0]["key"], "word": "same"}
    answer = reader.post("/api/verdict", sent)
    assert answer.status_code == 500
    assert answer.json()["error"].endswith(".")


def test_a_verdict_that_is_sent_twice_counts_once(reader: Reader, run: Path) -> None:
    card = reader.titled("bob")
    body = {"id": uuid.uuid4().hex, "card": card["key"], "word": "same"}
    for _ in range(3):
        assert reader.post("/api/verdict", body).status_code == 200
    assert len(words(run / "verdicts.parquet")) == 1


def test_a_verdict_may_be_about_two_images_only(reader: Reader, run: Path) -> None:
    card = reader.get(f"/api/card/{reader.titled('ann')['key']}")
    answer = reader.say(card["key"], "different", pair=card["pairs"][1]["key"])
    (verdict,) = VerdictFile(run / "verdicts.parquet").read()
    assert verdict.scope == "pair"
    assert answer["card"]["opinions"][0]["pair"] == card["pairs"][1]["key"]


def test_a_wanted_overlap_has_a_reason_and_an_end(reader: Reader, run: Path) -> None:
    reader.say(reader.titled("bob")["key"], "wanted", reason="pilot study", until="2031-12-31")
    (verdict,) = VerdictFile(run / "verdicts.parquet").read()
    assert (verdict.reason, str(verdict.until)) == ("pilot study", "2031-12-31")


def undo(reader: Reader) -> Any:
    return reader.post("/api/undo", {"id": uuid.uuid4().hex}).json()["card"]


def test_undo_brings_back_what_stood_before(reader: Reader, run: Path) -> None:
    card = reader.titled("bob")["key"]
    assert undo(reader) is None
    reader.say(card, "same", note="first")
    reader.say(card, "different", note="second")
    assert undo(reader) == card
    told = reader.get(f"/api/card/{card}")
    assert [(o["word"], o["note"]) for o in told["opinions"]] == [("same", "first")]
    assert undo(reader) == card
    assert reader.get(f"/api/card/{card}")["opinions"] == []
    assert reader.get(f"/api/card/{card}")["state"] == "open"
    assert undo(reader) is None
    assert len(words(run / "verdicts.parquet")) == 4  # append-only: nothing was taken out


def test_an_undo_that_is_sent_twice_takes_back_once(reader: Reader, run: Path) -> None:
    one, other = (line["key"] for line in reader.lines()[:2])
    reader.say(one, "same")
    reader.say(other, "different")
    name = {"id": uuid.uuid4().hex}
    assert reader.post("/api/undo", name).json() == reader.post("/api/undo", name).json() == {"card": other}
    assert len(words(run / "verdicts.parquet")) == 3
    assert undo(reader) == one


def test_undo_goes_back_to_a_verdict_of_an_earlier_session(open_review: Open) -> None:
    first = Reader(open_review())
    card = first.titled("bob")["key"]
    first.say(card, "unsure")
    second = Reader(open_review())
    second.say(card, "same")
    assert undo(second) == card
    assert [o["word"] for o in second.get(f"/api/card/{card}")["opinions"]] == ["unsure"]


def test_two_reviewers_see_each_other_and_disagreement_is_shown(open_review: Open, run: Path) -> None:
    ann, bob = Reader(open_review(reviewer="ann")), Reader(open_review(reviewer="bob"))
    cards = [line["key"] for line in ann.lines()]
    for card in cards:
        ann.say(card, "same")
        assert bob.get(f"/api/card/{card}")["state"] == "others"
    for card, word in zip(cards, ("same", "different", "unsure", "wanted"), strict=True):
        bob.say(card, word)
    assert len(words(run / "verdicts.parquet")) == 8
    states = [line["state"] for line in ann.lines()]
    assert states == ["mine", "disputed", "mine", "disputed"]
    summary = ann.get("/api/summary")
    assert summary["reviewers"]["ann"] == {"same": 4}
    assert sorted(summary["disputed"]) == sorted([cards[1], cards[3]])
    (agreed,) = summary["agreement"]
    assert (agreed["one"], agreed["other"], agreed["both"], agreed["equal"]) == ("ann", "bob", 4, 1)
    assert agreed["kappa"] == pytest.approx(0.0)  # ann said one word only: chance explains all
    assert [line["key"] for line in ann.lines("?state=disputed")] == [cards[1], cards[3]]


def test_a_verdict_of_another_program_is_seen_without_a_restart(reader: Reader, run: Path) -> None:
    card = reader.server.session.deck.get(reader.titled("bob")["key"])
    assert card is not None
    said = reader.server.session.run.verdict([card.pairs[0].number], _said("eve"), "subjects")
    VerdictFile(run / "verdicts.parquet").append([said])
    assert [o["by"] for o in reader.get(f"/api/card/{card.key}")["opinions"]] == ["eve"]


def _said(by: str) -> Any:
    from leakscan.review.judged_run import Said

    return Said(by=by, verdict="same")


def test_a_blind_review_hides_everything_until_the_verdict_and_then_shows_it(
    open_review: Open, run: Path
) -> None:
    eyes = Reader(open_review(reviewer="zed9"))
    for line in eyes.lines():
        eyes.say(line["key"], "same")
    blind = Reader(open_review(blind=True))
    for line in blind.lines():
        text = blind.client.get(f"/api/card/{line['key']}").text
        for word in (
            "probability",
            "p_value",
            "evidence",
            "same_",
            "leak",
            "review",
            "zed9",
            ".png",
            "2020",
            "xena",
        ):
            assert word not in text, word
        assert line["title"] == ["left", "right"]
    assert "same" not in str(blind.get("/api/queue")["cards"])
    assert blind.get("/api/summary")["reviewers"] == {}
    assert blind.get("/api/run")["decisions"] == []
    line = blind.lines()[0]
    laid = blind.get(f"/api/laid/{line['key']}/{line['a']}/{line['b']}")
    assert (laid["agreeing"], laid["points"], laid["correlation"]) == (0, [], None)
    assert "keypoints" not in laid["words"]
    # Filters that would tell are not there.
    assert len(blind.lines("?decision=leak")) == len(blind.lines("?relation=same_file")) == 4
    key = blind.lines()[0]["key"]
    shown = blind.say(key, "different")["card"]
    assert shown["pairs"][0]["evidence"] == ["alike"]
    assert {o["by"] for o in shown["opinions"]} == {"zed9", "ann"}
    verdict = VerdictFile(run / "verdicts.parquet").read()[-1]
    assert verdict.blind
    told = blind.get(f"/api/laid/{line['key']}/{line['a']}/{line['b']}")
    assert told["words"] != laid["words"]


def test_progress_counts_what_is_judged(reader: Reader) -> None:
    assert reader.get("/api/queue")["progress"] == {
        "cards": 4, "judged_by_me": 0, "open": 2, "mine": 0, "others": 0, "disputed": 0, "settled": 2,
    }  # fmt: skip
    reader.say(reader.titled("bob")["key"], "same")
    progress = reader.get("/api/queue")["progress"]
    assert (progress["judged_by_me"], progress["open"]) == (1, 1)


@pytest.fixture
def with_gold(open_review: Open) -> Callable[..., Reader]:
    return lambda n=4: Reader(open_review(gold=n))


def test_hidden_pairs_look_like_others_and_measure_the_reviewer(
    with_gold: Callable[..., Reader], run: Path
) -> None:
    reader = with_gold()
    session = reader.server.session
    assert session.blind
    lines = reader.lines()
    assert len(lines) == 4 + 4
    answers = {key: pair.answer for key, pair in session.gold.items()}
    assert max(len(pair.card.images_a) for pair in session.gold.values()) > 1  # as real cards have
    assert set(answers.values()) == {"same", "different"}
    for line in lines:
        told = reader.get(f"/api/card/{line['key']}")
        assert set(told) == set(reader.get(f"/api/card/{lines[0]['key']}"))
        assert "hidden pair" not in str(told)
        for image in (line["a"], line["b"]):
            assert reader.client.get(f"/api/film/{line['key']}/{image}/screen").status_code == 200
        assert reader.client.get(f"/api/laid/{line['key']}/{line['a']}/{line['b']}").status_code == 200
    wrong = next(key for key, answer in answers.items() if answer == "different")
    for key, answer in answers.items():
        told = reader.say(key, "same" if key == wrong else answer)["card"]
        assert "hidden pair with a known answer" in told["revealed"]
    gold = reader.get("/api/summary")["gold"]
    assert gold["judged"] == gold["hidden"] == 4
    assert gold["same"]["wrong"] == 0
    assert gold["different"]["wrong"] == 1
    verdicts = VerdictFile(run / "verdicts.parquet").read()
    assert all(v.gold for v in verdicts)
    from leakscan.review.opinions import opinions

    assert opinions(verdicts) == {}  # they never decide anything about the run


def test_altered_copies_are_made_in_memory_and_can_be_undone(
    with_gold: Callable[..., Reader], made_run: Path
) -> None:
    before = sorted(p.name for p in made_run.parent.rglob("*"))
    reader = with_gold(2)
    (key, *_) = reader.server.session.gold
    reader.say(key, "unsure")
    assert reader.get("/api/summary")["gold"]["unsure"] == 1
    assert undo(reader) == key
    assert reader.get("/api/summary")["gold"]["judged"] == 0
    assert sorted(p.name for p in made_run.parent.rglob("*")) == before


def test_a_damaged_file_of_verdicts_is_named_and_left_as_it_is(open_review: Open, run: Path) -> None:
    from leakscan.errors import StoreError

    (run / "verdicts.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(StoreError, match="verdicts"):
        open_review()
    assert (run / "verdicts.parquet").read_bytes() == b"PAR1 nothing"


def test_a_verdict_that_cannot_be_written_is_a_sentence_and_the_page_keeps_it(
    reader: Reader, run: Path
) -> None:
    card = reader.titled("bob")["key"]
    body = {"id": uuid.uuid4().hex, "card": card, "word": "same"}
    run.rename(run.with_name("gone"))  # the run folder moved while it is reviewed
    answer = reader.post("/api/verdict", body)
    assert answer.status_code == 409
    assert "cannot be written" in answer.json()["error"]
    assert str(run) not in answer.text
    run.with_name("gone").rename(run)
    assert reader.post("/api/verdict", body).status_code == 200
    assert [v.id for v in VerdictFile(run / "verdicts.parquet").read()] == [body["id"]]


def test_verdicts_may_be_kept_outside_the_run(open_review: Open, tmp_path: Path, run: Path) -> None:
    reader = Reader(open_review(verdicts=tmp_path / "ours.parquet"))
    reader.say(reader.titled("bob")["key"], "same")
    assert len(words(tmp_path / "ours.parquet")) == 1
    assert not (run / "verdicts.parquet").exists()
    assert isinstance(VerdictFile(tmp_path / "ours.parquet").read()[0], Verdict)
