"""What cannot be written is refused before any work is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakscan.errors import OutputError
from leakscan.training.training_folder import whole
from leakscan.writable import check_writable, written_whole
from support.makers import Leakscan, fill


@pytest.mark.parametrize("address", ["s3://bucket/run", "gs://bucket/a.fps", "https://example.org/run"])
def test_an_address_on_a_network_is_no_folder(address: str) -> None:
    with pytest.raises(OutputError, match="is an address on a network; leakscan writes to folders"):
        check_writable(Path(address))


def test_a_folder_with_a_colon_in_its_name_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scans:").mkdir()
    check_writable(Path("scans:/run"))


@pytest.mark.parametrize("command", [("compare", "A", "B"), ("duplicates", "A")])
def test_no_command_makes_a_folder_of_an_address(
    leakscan: Leakscan, tmp_path: Path, command: tuple[str, ...]
) -> None:
    fill(tmp_path / "A", [1])
    fill(tmp_path / "B", [2])
    ran = leakscan(*command, "-o", "s3://bucket/out")
    assert (ran.code, sorted(path.name for path in tmp_path.iterdir())) == (2, ["A", "B"])
    assert "Name a folder" in ran.error


@pytest.mark.parametrize("command", [("compare", "A", "B"), ("duplicates", "A")])
def test_a_file_in_the_place_of_a_folder_is_said_before_anything_is_read(
    leakscan: Leakscan, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Found in the hour of breaking: the run began, and could not have been written at its end."""
    fill(tmp_path / "A", [1])
    fill(tmp_path / "B", [2])
    (tmp_path / "notes").write_text("mine")
    ran = leakscan(*command, "-o", "notes/deep/out")
    assert ran.code == 2 and "notes is a file, not a folder" in ran.error
    assert (tmp_path / "notes").read_text() == "mine" and not (tmp_path / ".leakscan").exists()


NO_ENTRY = PermissionError(13, "Permission denied", "vault/run")


@pytest.mark.parametrize(
    "command",
    [
        ("compare", "A", "B", "-o", "NAME", "--kind", "other_2d"),
        ("fingerprint", "A", "-o", "NAME"),
        ("show", "NAME"),
        ("exclude", "NAME", "--from", "B"),
    ],
)
def test_a_name_that_no_file_can_have_is_a_sentence(
    leakscan: Leakscan, tmp_path: Path, command: tuple[str, ...]
) -> None:
    fill(tmp_path / "A", [1])
    fill(tmp_path / "B", [2])
    ran = leakscan(*(word.replace("NAME", "a" * 300) for word in command))
    assert ran.code == 2
    assert "file name too long" in ran.error.lower()
    assert "Traceback" not in ran.error


def test_a_folder_that_may_not_be_entered_is_a_sentence_and_its_name_can_be_hidden(
    leakscan: Leakscan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may enter every folder, so the refusal is made up."""
    fill(tmp_path / "A", [1])
    fill(tmp_path / "B", [2])
    real = Path.is_dir

    def refused(self: Path) -> bool:
        if "vault" in self.parts:
            raise NO_ENTRY
        return real(self)

    monkeypatch.setattr(Path, "is_dir", refused)
    check_writable(tmp_path / "vault" / "run")  # asks in a way that does not raise
    ran = leakscan("compare", "vault/a", "B", "-o", "run", "--kind", "other_2d")
    assert ran.code == 2
    assert "vault/run cannot be used: permission denied." in ran.error
    hidden = leakscan("compare", "vault/a", "B", "-o", "run", "--kind", "other_2d", "--hide-paths")
    assert hidden.code == 2
    assert "vault" not in hidden.error


@pytest.mark.parametrize("name", ["list.csv", "summary.json", "steps.pt"])
def test_nothing_is_written_through_a_link_that_somebody_planted(tmp_path: Path, name: str) -> None:
    precious, target = tmp_path / "precious.txt", tmp_path / name
    precious.write_text("kept")
    target.with_name(f"{name}.part").symlink_to(precious)
    if name == "steps.pt":
        whole(target, lambda part: part.write_text("new"))
    else:
        with written_whole(target) as part:
            part.write_text("new")
    assert (target.read_text(), target.is_symlink(), precious.read_text()) == ("new", False, "kept")
