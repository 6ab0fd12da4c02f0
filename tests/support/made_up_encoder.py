"""An encoder that exists only as a card and a calibration: strangers are random directions."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.fit import Cohort, LabelledPrints, fit_calibration
from leakscan.decide.comparison import Comparison
from leakscan.decide.pairs import decide_pairs
from leakscan.decide.persons.film_details import DetailMatcher
from leakscan.decide.persons.folds import FoldEncoder
from leakscan.engines import start_engine
from leakscan.fingerprint.encoders.card import Card, ImpostorScores
from leakscan.fingerprint.pipeline import Dataset
from leakscan.report.evidence_words import with_evidence
from leakscan.run.context import RunContext
from leakscan.run.memory import PairMemory
from leakscan.run.models import Models
from leakscan.settings import Settings
from leakscan.types import Engine
from support.made_up_run import made_up_run
from support.makers import unit_vectors

ENCODER = "made-up@1"
IMPOSTORS = ImpostorScores(
    source="made up",
    n_images=9,
    n_subjects=9,
    n_pairs=10**9,
    fmr=(1.0, 1e-3, 1e-6, 1e-9),
    score=(0.0, 0.3, 0.6, 0.9),
)
CARD = Card(
    name="made-up",
    kind="chest_radiograph",
    architecture="none",
    dim=128,
    preprocessing="radiograph-1",
    side=128,
    weights="weights.safetensors",
    digest="1",
    gate_threshold=0.0,
    golden=(),
    impostors=IMPOSTORS,
)


@functools.cache
def calibration(subjects: int = 800) -> Calibration:
    """Fitted on strangers; everybody has two pictures 14 degrees apart."""
    centres = unit_vectors(5, subjects)
    near = centres + 0.25 * unit_vectors(6, subjects)
    prints = np.concatenate([centres, near / np.linalg.norm(near, axis=1, keepdims=True)])
    names = np.array([f"s{i}" for i in range(subjects)] * 2)
    cohort = Cohort(unit_vectors(7, 300).astype(np.float16), 200)
    return fit_calibration(ENCODER, "random directions", cohort, LabelledPrints(prints, names))


class MadeUpModels(Models):
    """Models of which only the card is made up, and whatever else a test brings."""

    def __init__(
        self,
        calibrated: Calibration | None = None,
        matcher: DetailMatcher | None = None,
        folds: FoldEncoder | None = None,
    ) -> None:
        matchers = cast(Mapping[str, Any], {} if matcher is None else {ENCODER: matcher})
        super().__init__({}, matchers, {ENCODER: calibrated or calibration()})
        self.__dict__["made_up_folds"] = {} if folds is None else {ENCODER: folds}

    @property
    def cards(self) -> dict[str, Card]:
        """The card."""
        return {ENCODER: CARD}

    @property
    def folds(self) -> dict[str, Any]:
        """What compares folds."""
        folds: dict[str, Any] = self.__dict__["made_up_folds"]
        return folds


def made_up_context(
    models: Models | None = None,
    engine: Engine | None = None,
    memory: PairMemory | None = None,
    **choices: Any,
) -> RunContext:
    """A run with the made-up encoder, in this process, that remembers nothing; settings by plain names."""
    return made_up_run(
        Settings.of(**choices),
        engine=engine or start_engine(0),
        models=models or MadeUpModels(),
        memory=memory or PairMemory(None),
    )


def decided(datasets: Sequence[Dataset], context: RunContext | None = None) -> Comparison:
    """What comes of two datasets."""
    (comparison,) = decide_pairs(datasets, context or made_up_context())
    return comparison


def rows_of(comparison: Comparison) -> list[dict[str, Any]]:
    """The rows as they are written, with the exact numbers behind them."""
    sentences = with_evidence(comparison.pairs)["evidence"]
    rows: list[dict[str, Any]] = comparison.pairs.append_column("evidence", sentences).to_pylist()
    return rows
