"""A card is two people with all their images, and the queue puts first what a verdict changes most."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leakscan.report.run_folder import RunFolder
from leakscan.review.page.deck import Deck, ReviewCard
from leakscan.review.page.queue import Wish, in_order, shuffled, spread, why_first
from support.makers import scene
from support.review_page import Open, Reader
from support.review_run import MadeRun


def deck_of(made: MadeRun) -> Deck:
    return Deck.of(RunFolder.open(made.write()))


def names(cards: list[ReviewCard]) -> list[str]:
    return [f"{card.who_a[1]}-{card.who_b[1]}".replace("subject ", "") for card in cards]


def leaf(made: MadeRun, dataset: str, subject: str, n: int) -> str:
    return made.row(dataset, f"{subject}.png", scene(n), subject)


def test_a_card_shows_all_images_of_both_people_and_all_their_pairs(run: Path) -> None:
    deck = Deck.of(RunFolder.open(run))
    card = next(card for card in deck if card.who_a == ("A", "subject ann"))
    assert [image.row["path"] for image in card.images_a] == ["ann/2.png", "ann/1.png", "ann/3.png"]
    assert [image.row["path"] for image in card.images_b] == ["x/2.png", "x/1.png"]
    assert [pair.relation for pair in card.pairs] == ["same_pixels", "same_image"]
    assert card.lead.relation == "same_image"  # the proven one needs no eyes
    assert card.proven
    assert card.group == "g1"


def test_pictures_without_a_subject_are_people_of_their_own_and_equal_pixels_are_one(tmp_path: Path) -> None:
    made = MadeRun(tmp_path)
    a = leaf(made, "A", "p", 1)
    twins = [made.row("B", f"{i}.png", scene(2)) for i in range(2)]
    other = made.row("B", "other.png", scene(3))
    for b in (*twins, other):
        made.pair(a, b, p_value=1e-4)
    deck = list(deck_of(made))
    assert sorted(len(card.images_b) for card in deck) == [1, 2]


def test_the_link_that_alone_holds_a_large_group_together_comes_first(tmp_path: Path) -> None:
    made = MadeRun(tmp_path)
    left = [leaf(made, "A", f"a{i}", i) for i in range(4)]
    right = [leaf(made, "B", f"b{i}", 10 + i) for i in range(4)]
    sure = {"decision": "leak", "relation": "same_image", "p_value": 1e-9}
    # Two rings of four people, held together by one pair; a review pair stands apart.
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (2, 3), (3, 2), (3, 3)):
        made.pair(left[i], right[j], **sure)
    made.pair(left[1], right[2], decision="leak", p_value=1e-7)
    made.group("g", *left, *right)
    made.pair(leaf(made, "A", "c", 30), leaf(made, "B", "d", 31), p_value=1e-5)
    deck = deck_of(made)
    first, second, *rest = in_order(deck, "change", lambda card: card.proven)
    assert names([first, second]) == ["a1-b2", "c-d"]
    assert (first.splits_off, first.group_images) == (4, 8)
    assert "4 of them go free" in why_first(first)
    assert all(card.splits_off == 0 for card in rest)
    assert why_first(second) == ""


def test_a_leaf_of_a_star_splits_off_alone(tmp_path: Path) -> None:
    made = MadeRun(tmp_path)
    middle = leaf(made, "A", "middle", 0)
    tips = [leaf(made, "B", f"tip{i}", i + 1) for i in range(5)]
    for tip in tips:
        made.pair(middle, tip, decision="leak")
    made.group("g", middle, *tips)
    assert {card.splits_off for card in deck_of(made)} == {1}


def test_pairs_for_review_are_ranked_by_p_value_where_there_is_no_probability(run: Path) -> None:
    deck = Deck.of(RunFolder.open(run))
    likely = in_order(deck, "change", lambda card: card.proven)
    assert [card.p_value for card in likely[:2]] == [2e-4, 9e-4]
    assert [card.decision for card in likely] == ["review", "review", "leak", "leak"]
    unlikely = in_order(deck, "unlikely", lambda card: card.proven)
    assert [card.p_value for card in unlikely[:2]] == [9e-4, 2e-4]


def test_cards_rank_by_probability_where_the_run_has_one(run: Path) -> None:
    cards = [c for c in Deck.of(RunFolder.open(run)) if c.decision == "review"]
    for card, share in zip(cards, (0.2, 0.7), strict=True):
        card.pairs[0].row["probability"] = share  # type: ignore[index]
    assert [c.probability for c in in_order(cards, "likely", lambda c: False)] == [0.7, 0.2]
    assert [c.probability for c in in_order(cards, "unlikely", lambda c: False)] == [0.2, 0.7]
    assert [c.probability for c in cards if Wish(least=0.5).allows(c)] == [0.7]
    assert [c.probability for c in cards if Wish(most=0.5).allows(c)] == [0.2]


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("?text=bob", ["bob.png"]),
        ("?text=BOB%20cy", ["bob.png"]),
        ("?text=xena", ["ann/1.png"]),
        ("?text=g2", ["dot.png"]),
        ("?text=nobody", []),
        ("?relation=same_image", ["ann/1.png"]),
        ("?decision=review", ["bob.png", "dot.png"]),
        ("?decision=leak&text=dot", ["dot.png"]),
        ("?datasets=A%0AB&text=bob", ["bob.png"]),
        ("?datasets=B%0AA", []),
        ("?state=settled", ["ann/1.png", "dot.png"]),
        ("?state=mine", []),
        ("?least=0.5", []),
    ],
)
def test_filters_and_search_leave_what_fits(reader: Reader, query: str, titles: list[str]) -> None:
    assert sorted(line["title"][0] for line in reader.lines(query)) == titles


def test_what_was_opened_or_judged_is_no_longer_unseen(reader: Reader) -> None:
    lines = reader.lines("?unseen=1")
    assert len(lines) == 4
    assert (
        reader.post("/api/opened", {"card": lines[0]["key"], "next": [lines[1]["key"], 7, "x"]}).status_code
        == 200
    )
    reader.say(lines[1]["key"], "unsure")
    assert [line["key"] for line in reader.lines("?unseen=1")] == [line["key"] for line in lines[2:]]


def test_a_queue_goes_on_where_it_was_although_judged_cards_left_the_filter(reader: Reader) -> None:
    first, second = reader.lines("?state=open")
    reader.say(first["key"], "different")
    assert [line["key"] for line in reader.lines("?state=open")] == [second["key"]]
    assert [line["key"] for line in reader.lines(f"?state=open&after={first['key']}")] == [second["key"]]


def test_ten_thousand_cards_come_in_parts(reader: Reader) -> None:
    assert len(reader.lines("?start=1&length=2")) == 2
    assert reader.get("/api/queue?start=3")["start"] == 3
    assert reader.get("/api/queue?length=0")["cards"] == []


def test_a_blind_order_says_nothing_and_hidden_cards_come_soon(run: Path) -> None:
    cards = list(Deck.of(RunFolder.open(run)))
    assert shuffled(cards, "ann") == shuffled(reversed(cards), "ann")
    assert shuffled(cards, "ann") != shuffled(cards, "bob") or len(cards) < 3
    mixed = spread(cards * 10, cards[:2])
    assert len(mixed) == 42


def test_facts_stand_beside_the_pictures(reader: Reader) -> None:
    card = reader.get(f"/api/card/{reader.titled('ann')['key']}")
    left = card["left"][1]
    assert left["facts"]["Date"] == "2020-01-01"
    assert left["facts"]["Subject"] == "ann"
    assert left["facts"]["File"] == "ann/1.png"
    assert any("tells little that they differ" in sentence for sentence in card["facts"])
    assert any("366 days apart" in sentence for sentence in card["facts"])
    assert card["group"] == {"id": "g1", "images": 4}
    bob = reader.get(f"/api/card/{reader.titled('bob')['key']}")
    (pair,) = bob["pairs"]
    assert [step["label"] for step in pair["waterfall"]] == ["Compared", "Alike", "Together"]
    assert pair["waterfall"][-1]["text"].startswith("2 strangers")
    assert pair["evidence"] == ["alike"]


def test_without_paths_none_is_told(open_review: Open) -> None:
    reader = Reader(open_review(hide_paths=True))
    for line in reader.lines():
        answer = reader.client.get(f"/api/card/{line['key']}").text
        assert ".png" not in answer
        assert "ann/" not in answer


def test_a_run_without_pairs_says_so(tmp_path: Path, open_review: Open) -> None:
    made = MadeRun(tmp_path / "empty")
    made.image("A", "1.png", np.zeros((4, 4), np.uint8))
    reader = Reader(open_review(made.write()))
    assert reader.get("/api/queue")["total"] == 0
