"""What packages leakscan says the same everywhere, and asks for no more than it needs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from leakscan.research.bill_of_materials import bill, lock_lines, needed, normal

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION = PROJECT["version"]


def asked(lines: list[str]) -> dict[str, str]:
    """The bound of every requirement, by name."""
    parted = (re.match(r"([\w.-]+)(?:\[[^\]]*\])?\s*([^;]*)", line) for line in lines)
    return {normal(found[1]): found[2].strip() for found in parted if found}


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load((ROOT / "packaging/conda/meta.yaml").read_text(encoding="utf-8"))
    return made


def test_one_version_stands_everywhere(recipe: dict[str, Any]) -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == recipe["package"]["version"] == VERSION
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {VERSION}" in changes or "## Unreleased" in changes


def test_the_conda_recipe_needs_what_the_wheel_needs() -> None:
    text = (ROOT / "packaging/conda/meta.yaml").read_text(encoding="utf-8")
    run = text.partition("  run:\n")[2].partition("\ntest:")[0]
    found = {normal(name): bound for bound, name in re.findall(r"- \S+ (\S+) +# (\S+)", run)}
    extras = PROJECT["optional-dependencies"]
    assert found == asked([*PROJECT["dependencies"], *extras["cpu"], *extras["review"]])


def test_the_container_copies_what_is_there_pins_its_base_and_is_not_root() -> None:
    lines = (ROOT / "packaging/Containerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    known = {"FROM", "ARG", "WORKDIR", "COPY", "RUN", "USER", "ENV", "ENTRYPOINT", "CMD"}
    assert {step[0] for step in steps} <= known
    for _, base in (step for step in steps if step[0] == "FROM"):
        assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*( AS \w+)?", base) and "latest" not in base
    for _, words in (step for step in steps if step[0] == "COPY" and "--from" not in step[1]):
        for name in words.split()[:-1]:
            assert (ROOT / name).exists(), name
    users = [words for step, words in steps if step == "USER"]
    assert users and users[-1] != "root"
    assert [step[0] for step in steps].index("USER") < [step[0] for step in steps].index("ENTRYPOINT")


def test_the_lock_pins_every_package_of_the_wheel_once_and_exactly() -> None:
    lines = [
        line
        for line in (ROOT / "packaging/ci.lock").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[a-z0-9-]+==\d[\w.!]*", line) for line in lines)
    names = [line.partition("==")[0] for line in lines]
    assert len(set(names)) == len(names)
    assert set(asked([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["cpu"]])) <= set(names)
    assert "torch" not in names  # films need none


def test_a_bill_of_materials_names_what_is_needed_with_licences() -> None:
    packages = needed(["cpu"])
    made = bill(packages, VERSION)
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.5")
    names = {component["name"] for component in made["components"]}
    assert set(asked([*PROJECT["dependencies"]])) <= names and "pytest" not in names
    assert len({component["bom-ref"] for component in made["components"]}) == len(made["components"])
    licensed = [component for component in made["components"] if component.get("licenses")]
    assert len(licensed) >= 0.9 * len(names)
    assert bill(packages, VERSION) == made
    assert len(lock_lines(packages, ["cpu"])) == len(packages) + 2
