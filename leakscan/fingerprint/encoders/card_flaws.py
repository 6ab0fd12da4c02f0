"""What no encoder's card can say: found before an encoder is loaded or a run rests on the card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leakscan.fingerprint.encoders.card import Card

_MOST_SIDE = 4096
_MOST_DIM = 65_536


def flaw_of_card(card: Card) -> str:
    """What is wrong with a card, as the end of a sentence; empty where nothing is.

    Args:
        card: The card, as it was read.

    Example:
        >>> from leakscan.fingerprint.encoders.registry import cards
        >>> flaw_of_card(cards()["cxr-lite0"][0])
        ''
    """
    for name in ("name", "kind", "architecture", "preprocessing", "weights", "digest"):
        if not isinstance(value := getattr(card, name), str) or not value:
            return f"its {name} is no text"
    if PurePath(card.weights).name != card.weights or "\\" in card.weights or not card.weights.strip("."):
        return "its weights are no file beside it"
    for name, most in (("dim", _MOST_DIM), ("side", _MOST_SIDE)):
        if not _is_count(value := getattr(card, name)) or value > most:
            return f"its {name} is no whole number from 1 to {most:,}"
    if not is_number(card.gate_threshold):
        return "its gate_threshold is no number"
    if not isinstance(card.measured, Mapping):
        return "its measured figures are no list of names and values"
    return _flaw_of_gate(card.gate) or _flaw_of_golden(card) or _flaw_of_impostors(card)


def is_number(value: object) -> bool:
    """Whether something that was read is a finite number, and no text that looks like one.

    Args:
        value: What was read from JSON.

    Example:
        >>> is_number(0.5), is_number("0.5"), is_number(math.nan), is_number(True)
        (True, False, False, False)
    """
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _flaw_of_gate(gate: Any) -> str:
    if not isinstance(gate, Mapping):
        return "its gate is no gate"
    if not gate:
        return ""
    weight = gate.get("weight")
    if set(gate) != {"weight", "bias"} or not isinstance(weight, list) or not is_number(gate["bias"]):
        return "its gate is no weight and bias"
    return "" if weight and all(map(is_number, weight)) else "its gate holds something that is no number"


def _flaw_of_golden(card: Card) -> str:
    for golden in card.golden:
        if not isinstance(golden, Mapping) or not isinstance(golden.get("png"), str):
            return "a golden input is no picture"
        numbers = golden.get("fingerprint")
        if not isinstance(numbers, list) or len(numbers) != card.dim or not all(map(is_number, numbers)):
            return f"a golden fingerprint is no {card.dim} numbers"
        if abs(math.fsum(x * x for x in numbers) - 1.0) > 0.01:
            return "a golden fingerprint has another length than 1"
    return ""


def _flaw_of_impostors(card: Card) -> str:
    rates, scores = card.impostors.fmr, card.impostors.score
    if not all(map(is_number, (*rates, *scores))) or len(rates) != len(scores):
        return "its impostors hold something that is no number"
    if not all(0.0 < rate <= 1.0 for rate in rates):
        return "its impostors state a rate that is none"
    falls = all(a >= b for a, b in pairwise(rates))
    rises = all(a <= b for a, b in pairwise(scores))
    return "" if falls and rises else "the rates of its impostors do not fall as scores rise"
