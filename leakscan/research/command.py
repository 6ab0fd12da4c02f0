"""What the commands of this room share: options, and errors that become sentences."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli.output import Output
from leakscan.engines.allocator import keep_freed_memory
from leakscan.errors import LeakscanError

DataArgument = Annotated[Path, typer.Argument(help="Folder that holds cxr/.")]
EncoderOption = Annotated[
    str | None,
    typer.Option("--encoder", help="Name of an encoder for chest radiographs. Default: the shipped one."),
]
WorkersOption = Annotated[int, typer.Option("--workers", help="Processes that decode images.", min=0)]


def run_command(command: Callable[..., None]) -> None:
    """Runs one command of this room with the arguments of the process, and exits.

    Args:
        command: A function with the annotations of typer; its docstring is what ``--help`` says.

    Example:
        >>> if __name__ == "__main__":
        ...     run_command(tail_check)
    """
    keep_freed_memory()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(_with_sentences(command))
    app()


def _with_sentences(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def run(*arguments: object, **options: object) -> None:
        try:
            command(*arguments, **options)
        except LeakscanError as e:
            Output().error(e)
            raise typer.Exit(e.exit_code) from None

    return run
