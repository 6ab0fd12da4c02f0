"""A config survives its file, presets are what they promise, and wrong settings get a sentence."""

import json

import pytest

from leakscan.errors import UsageError
from leakscan.setting_words import range_words
from leakscan.training.films.config import PRESETS, TrainConfig, preset, shortfalls
from leakscan.training.films.schedule import learning_rate_at
from leakscan.training.settings import changed, from_names, may_go_on


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_config_survives_its_file(name):
    config = changed(preset(name), {"seed": 7, "steps": 12, "compiled": True})
    assert from_names(TrainConfig, json.loads(json.dumps(config.model_dump(mode="json")))) == config


def test_the_papers_preset_is_the_papers():
    paper = preset("paper-2d")
    assert (paper.architecture, paper.side, paper.pairs, paper.films, paper.steps) == (
        "resnet50", 512, 225, 450, 4000,
    )  # fmt: skip
    assert (paper.margin, paper.normalised, paper.learning_rate, paper.restart) == (4.0, False, 1e-3, 100)
    assert (paper.triplet, paper.contrastive, paper.softmax, paper.ema) == (1.0, 0.0, 0.0, 0.0)
    assert (paper.augmentation, paper.schedule, paper.form.shape) == ("affine", "warm_restarts", (512, 512))


def test_settings_given_as_text_have_their_kinds():
    config = changed(preset("fingerprint-2d"), {"softmax": "0.25", "pairs": "8", "compiled": "yes"})
    assert (config.softmax, config.pairs, config.compiled) == (0.25, 8, True)
    assert changed(config, {"augmentation": "affine"}).augmentation == "affine"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"softmx": "1"}, "no setting 'softmx'"),
        ({"pairs": "many"}, "whole number"),
        ({"pairs": "1"}, "at least 2"),
        ({"learning_rate": "nan"}, "must be a number"),
        ({"learning_rate": "0"}, "more than 0"),
        ({"compiled": "perhaps"}, "true or false"),
        ({"augmentation": "none"}, "one of films, affine"),
        ({"ema": "1"}, "below 1"),
        ({"singles": "1.5"}, "share"),
        ({"softmax": "0"}, "hard needs softmax"),
        ({"hard": "0.7", "alike": "0.7"}, "cannot exceed 1"),
        ({"memory": "8"}, "must hold a batch"),
        ({"triplet": 0, "contrastive": 0, "softmax": 0, "hard": 0}, "nothing to learn"),
        ({"contrastive": 0, "memory": 999}, "none has a weight"),
        ({"preset": "paper-2d"}, "no setting 'preset'"),
    ],
)
def test_a_wrong_setting_gets_a_sentence(values, words):
    with pytest.raises(UsageError, match=words):
        changed(preset("fingerprint-2d"), values)


def test_every_number_has_a_range():
    """A setting added later must say what it allows."""
    numbers = {n: f for n, f in TrainConfig.model_fields.items() if f.annotation in (int, float)}
    assert len(numbers) > 20
    assert [name for name, field in numbers.items() if not range_words(field)] == []


def test_an_unknown_preset_gets_a_sentence():
    with pytest.raises(UsageError, match="no preset 'paper'"):
        preset("paper")


def test_only_the_pace_of_a_begun_run_may_change():
    config = preset("fingerprint-2d")
    pace = changed(config, {"steps": 9, "evaluate_every": 3, "compiled": True})
    assert may_go_on(config, pace) == {}
    assert may_go_on(config, changed(config, {"pairs": 9})) == {"pairs": (64, 9)}


def test_a_shortened_preset_is_told_from_the_whole_one():
    paper = preset("paper-2d")
    assert shortfalls(changed(paper, {"seed": 3, "chunk": 32})) == {}
    assert shortfalls(changed(paper, {"steps": 20, "pairs": 8})) == {"steps": (20, 4000), "pairs": (8, 225)}


def test_learning_rate_warms_up_and_ends_at_zero():
    config = TrainConfig(steps=100, learning_rate=1.0)
    rates = [learning_rate_at(step, config) for step in range(101)]
    assert rates[0] < rates[4] == max(rates) == 1.0 and rates[100] == pytest.approx(0, abs=1e-9)


def test_warm_restarts_are_those_of_torch():
    """torch.optim.lr_scheduler.CosineAnnealingWarmRestarts with T_0=100 is the oracle."""
    import torch

    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-3)
    oracle = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimiser, T_0=100)
    for step in range(250):
        assert learning_rate_at(step, preset("paper-2d")) == pytest.approx(oracle.get_last_lr()[0])
        optimiser.step()
        oracle.step()
