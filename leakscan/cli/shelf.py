"""The commands by name, each of which is loaded when it is called or asked for help.

``leakscan --help`` thus waits for none of them, and a command for no other.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

# Typer bundles click or depends on it, by version; these are in both.
_Command: Any = TyperGroup.__mro__[1]
_Context = typer.Context


@dataclass(frozen=True)
class Entry:
    """A command, or a group of commands, that is not loaded yet.

    Attributes:
        home: The module of ``leakscan.cli`` and the name in it, such as ``run_audit:audit_command``.
        help: What it does, in a sentence: the first line of its own help.
    """

    home: str
    help: str

    def load(self, name: str) -> Any:
        """The command itself.

        Args:
            name: What it is called.
        """
        module, _, attribute = self.home.partition(":")
        found = getattr(import_module(f"leakscan.cli.{module}"), attribute)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(
                context_settings={"help_option_names": ["-h", "--help"]}, add_completion=False
            )
            alone.command(name)(found)
            found = alone
        for each in found.registered_commands:
            each.help = each.help or _flowing(inspect.getdoc(each.callback) or "")
        found.pretty_exceptions_enable = False
        found._add_completion = False
        command = typer.main.get_command(found)
        command.name = name
        return command


def _flowing(text: str) -> str:
    """A docstring whose paragraphs are one line each: a terminal has a width of its own."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


class _Shelf(MutableMapping[str, Any]):
    """Commands by name; one that is taken is loaded.

    Args:
        entries: The commands that are not loaded.
        loaded: Those that are.
    """

    def __init__(self, entries: Mapping[str, Entry], loaded: Mapping[str, Any]) -> None:
        self.entries, self._loaded = entries, dict(loaded)

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = self.entries[name].load(name)
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self.entries, **self._loaded})

    def __len__(self) -> int:
        return len({**self.entries, **self._loaded})

    def __contains__(self, name: object) -> bool:
        return name in self.entries or name in self._loaded

    def help_of(self, name: str) -> str:
        """What a command does, in a sentence."""
        return self.entries[name].help if name in self.entries else self[name].get_short_help_str(200)


class ShelvedGroup(TyperGroup):
    """A group whose commands are loaded one by one; a subclass names its ``entries``.

    Example:
        >>> class Toys(ShelvedGroup):
        ...     entries = {"audit": Entry("run_audit:audit_command", "Find subjects in several splits.")}
        >>> toys = Toys(name="toys")
        >>> toys.list_commands(None), "audit" in toys.commands
        (['audit'], True)
    """

    entries: ClassVar[Mapping[str, Entry]] = {}

    def __init__(self, *, commands: Any = None, rich_markup_mode: Any = None, **attributes: Any) -> None:
        # Its own help is plain: what draws boxes takes longer to load than everything else.
        super().__init__(commands={}, rich_markup_mode=None, **attributes)
        self._shelf = _Shelf(self.entries, commands or {})
        self.commands = self._shelf

    def list_commands(self, ctx: _Context) -> list[str]:  # type: ignore[override]
        """The names of the commands, in the order of their entries."""
        return list(self._shelf)

    def format_commands(self, ctx: _Context, formatter: Any) -> None:  # type: ignore[override]
        """Writes the commands and what they do, without loading one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._shelf.help_of(name)) for name in self._shelf])
