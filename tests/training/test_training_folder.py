"""A run folder belongs to one run: it goes on with what it was begun with, or says what differs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leakscan.errors import OutputError, StoreError, UsageError
from leakscan.training.detail.config import DetailConfig
from leakscan.training.films.config import TrainConfig, preset
from leakscan.training.settings import changed
from leakscan.training.training_folder import claim, read_config, whole

ABOUT = {"films": "abc", "start": "none"}


def test_a_run_goes_on_with_its_settings_and_any_pace(tmp_path: Path) -> None:
    run, config = tmp_path / "run", preset("paper-2d")
    claim(run, config, ABOUT)
    assert read_config(run, TrainConfig) == config
    claim(run, config, ABOUT)
    longer = changed(config, {"steps": 5000})
    claim(run, longer, ABOUT)
    assert read_config(run, TrainConfig) == longer


def test_everything_that_differs_is_named_with_both_values(tmp_path: Path) -> None:
    claim(tmp_path / "run", DetailConfig(), ABOUT)
    with pytest.raises(UsageError) as refused:
        claim(tmp_path / "run", DetailConfig(seed=4, steps=9), {**ABOUT, "films": "xyz"})
    for words in (
        "seed was 0 and is now 4",
        "steps was 2000 and is now 9",
        "films was 'abc' and is now 'xyz'",
    ):
        assert words in refused.value.message
    assert read_config(tmp_path / "run", DetailConfig) == DetailConfig()


def test_a_setting_that_an_older_run_did_not_know_has_its_default(tmp_path: Path) -> None:
    file = tmp_path / "run/config.json"
    claim(tmp_path / "run", DetailConfig(), ABOUT)
    saved = json.loads(file.read_text())
    del saved["config"]["mild"]
    file.write_text(json.dumps(saved))
    claim(tmp_path / "run", DetailConfig(), ABOUT)
    with pytest.raises(UsageError, match=r"mild was 0\.6 and is now 0\.5"):
        claim(tmp_path / "run", DetailConfig(mild=0.5), ABOUT)


@pytest.mark.parametrize("text", ["{", "[]", '{"config": {}}', '{"config": 3, "about": {}}'])
def test_a_damaged_folder_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(StoreError, match=r"config\.json is damaged"):
        claim(tmp_path, DetailConfig(), ABOUT)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("keep me")
    with pytest.raises(UsageError, match="is no training run"):
        claim(tmp_path, DetailConfig(), ABOUT)
    with pytest.raises(StoreError, match="is no training run"):
        read_config(tmp_path, DetailConfig)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_file_that_cannot_be_written_whole_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "checkpoint.pt"
    target.write_text("before")

    def fill_the_disk(part: Path) -> None:
        part.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left on device"):
        whole(target, fill_the_disk)
    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
