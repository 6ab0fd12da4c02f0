"""What the docs name exists: files, modules, links, commands, options. What GitHub reads of us parses."""

from __future__ import annotations

import pkgutil
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from leakscan.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").rglob("*.md"))
)
FOR_USERS = ("README.md", "docs/user-guide.md", "docs/file-formats.md", "docs/privacy.md", "docs/training.md")


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_files_and_modules_that_a_page_names_exist(page: str) -> None:
    words = text(page)
    files = set(re.findall(r"\b(?:leakscan|tests|docs|models)(?:/[\w-]+)*/[\w-]+\.(?:py|md)\b", words))
    files |= {name.replace(".", "/") for name in re.findall(r"python -m (leakscan(?:\.[a-z_\d]+)+)", words)}
    files = {name for name in files if "NAME" not in name}
    there = {name for name in files if (ROOT / name).exists() or (ROOT / f"{name}.py").is_file()}
    assert files == there


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/api/")])
def test_what_the_site_takes_from_docstrings_is_documented_there(page: str) -> None:
    names = re.findall(r"^::: (\S+)$", text(page), re.MULTILINE)
    assert names
    for name in names:
        assert pkgutil.resolve_name(name).__doc__, name


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text(page)):
        if not link.startswith(("http:", "https:", "mailto:")):
            assert ((ROOT / page).parent / link).exists(), link


def options_of(command: Any, name: str = "leakscan") -> Iterator[tuple[str, set[str]]]:
    """``leakscan models add`` and its options, of every command."""
    yield (
        name,
        {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)},
    )
    for sub in getattr(command, "commands", {}).values():
        yield from options_of(sub, f"{name} {sub.name}")


@pytest.fixture(scope="module")
def commands() -> dict[str, set[str]]:
    from leakscan.cli.app import app

    return dict(options_of(typer.main.get_command(app)))


@pytest.mark.parametrize("page", FOR_USERS)
def test_every_command_of_a_page_has_these_options(page: str, commands: dict[str, set[str]]) -> None:
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL))
    lines = re.findall(r"^(?:\$ | +- run: )?(leakscan .*?)(?: +#.*)?$", blocks, re.MULTILINE)
    assert lines or page in ("docs/file-formats.md", "docs/privacy.md")
    for line in lines:
        words = shlex.split(line)
        name = " ".join(words[:3]) if " ".join(words[:3]) in commands else " ".join(words[:2])
        assert name in commands, line
        assert {w for w in words if re.fullmatch(r"--?[a-z][a-z-]*", w)} <= commands[name] | {"--help"}, line


@pytest.mark.parametrize("page", FOR_USERS[:-1])  # training names those of its measurements, too
def test_an_option_named_in_a_sentence_exists(page: str, commands: dict[str, set[str]]) -> None:
    known = set().union(*commands.values()) | {"--help"}
    assert set(re.findall(r"`(--[a-z][a-z-]*)", text(page))) <= known


def test_the_settings_file_of_the_user_guide_is_read(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```$", text("docs/user-guide.md"), re.MULTILINE | re.DOTALL)
    (tmp_path / "leakscan.toml").write_text(block, encoding="utf-8")
    found = Settings.read(tmp_path / "leakscan.toml")
    assert (found.deciding.same_ids, found.limits.workers, found.limits.check_seconds) == (True, 2, 1200)


def test_readme_lists_the_extras_that_there_are() -> None:
    extras = tomllib.loads(text("pyproject.toml"))["project"]["optional-dependencies"]
    table = text("README.md").split("| extra | adds |", 1)[1].split("\n\n", 1)[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(extras)


def yaml_of(name: str) -> Any:
    return yaml.safe_load(text(name))


def test_the_workflow_lints_tests_two_systems_and_runs_the_wheel_that_it_built() -> None:
    jobs = yaml_of(".github/workflows/ci.yml")["jobs"]
    for job in jobs.values():
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    matrix = jobs["test"]["strategy"]["matrix"]
    assert {system.split("-")[0] for system in matrix["os"]} == {"ubuntu", "macos"}
    project = tomllib.loads(text("pyproject.toml"))["project"]
    assert f">={matrix['python'][0]}" == project["requires-python"]
    assert set(jobs["release"]["needs"]) == set(jobs) - {"release"}
    commands = "\n".join(step.get("run", "") for step in jobs["release"]["steps"])
    assert commands.index("-m build") < commands.index(".whl") < commands.index("leakscan demo")


def test_every_form_for_an_issue_asks_for_something_and_refuses_images() -> None:
    forms = [form for form in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if form.name != "config.yml"]
    assert {form.stem for form in forms} == {"bug", "wrong-decision", "missed-pair"}
    for form in forms:
        body = yaml.safe_load(form.read_text(encoding="utf-8"))["body"]
        assert "**Never attach patient images**" in body[0]["attributes"]["value"]
        assert any(part.get("validations", {}).get("required") for part in body[1:])
        assert len({part["id"] for part in body[1:]}) == len(body) - 1


def test_the_citation_and_the_updates_are_of_this_project() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    citation = yaml_of("CITATION.cff")
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert citation["references"][0]["url"].endswith("2512.16685")
    assert {u["package-ecosystem"] for u in yaml_of(".github/dependabot.yml")["updates"]} == {
        "pip",
        "github-actions",
    }


def test_the_site_lists_every_page_and_loads_no_font() -> None:
    site = yaml_of("mkdocs.yml")
    listed = {page for entry in site["nav"] for page in pages_below(entry)}
    assert listed == {p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")}
    assert site["theme"]["font"] is False


def pages_below(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for value in entry.values():
            for below in value if isinstance(value, list) else [value]:
                yield from pages_below(below)
