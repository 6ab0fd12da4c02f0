"""The command line: registers commands and turns errors into sentences and exit codes."""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from types import FrameType
from typing import Annotated

import typer

from leakscan.cli.options import hides_paths
from leakscan.cli.output import Output
from leakscan.cli.run_audit import audit_command
from leakscan.cli.run_bench import bench_app
from leakscan.cli.run_calibrate import calibrate_command
from leakscan.cli.run_ci import ci_command
from leakscan.cli.run_compare import compare_command
from leakscan.cli.run_demo import demo_command
from leakscan.cli.run_diff import diff_command
from leakscan.cli.run_duplicates import duplicates_command
from leakscan.cli.run_evaluate import evaluate_command
from leakscan.cli.run_exclude import exclude_command
from leakscan.cli.run_explain import explain_command
from leakscan.cli.run_fingerprint import fingerprint_command
from leakscan.cli.run_map import map_command
from leakscan.cli.run_models import models_app
from leakscan.cli.run_purge import purge_command
from leakscan.cli.run_review import review_command
from leakscan.cli.run_split import split_command
from leakscan.cli.run_store import store_app
from leakscan.cli.run_train import train_command
from leakscan.cli.run_verdicts import verdicts_app
from leakscan.engines.allocator import keep_freed_memory
from leakscan.errors import LeakscanError
from leakscan.harmless import one_line

INTERRUPTED = 130  # as shells report Ctrl-C
BUG = 70  # EX_SOFTWARE of sysexits.h
BROKEN_PIPE = 141  # as shells report SIGPIPE
# Typer bundles click or depends on it, by version; this base is in both.
_WrongUsage: type[Exception] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="leakscan",
    help="Which images in B show a subject who is already in A?",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command("compare")(compare_command)
app.command("fingerprint")(fingerprint_command)
app.command("audit")(audit_command)
app.command("duplicates")(duplicates_command)
app.command("calibrate")(calibrate_command)
app.command("exclude")(exclude_command)
app.command("review")(review_command)
app.command("split")(split_command)
app.command("map")(map_command)
app.command("diff")(diff_command)
app.command("explain")(explain_command)
app.command("ci")(ci_command)
app.command("evaluate")(evaluate_command)
app.command("demo")(demo_command)
app.command("train")(train_command)
app.command("purge")(purge_command)
app.add_typer(verdicts_app, name="verdicts")
app.add_typer(models_app, name="models")
app.add_typer(bench_app, name="bench")
app.add_typer(store_app, name="store")


class Interrupted(LeakscanError):
    """Ctrl-C."""

    exit_code = INTERRUPTED


def _version(asked: bool) -> None:
    if asked:
        import leakscan

        Output().say(leakscan.__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Which images in B show a subject who is already in A?"""


def run(arguments: list[str]) -> int:
    """Runs one command and returns its exit code; nothing but bugs raises.

    Example:
        >>> run(["exclude", "no-such-run", "--from", "test"])  # on standard error: it is no run folder
        2
    """
    as_json = "--json" in arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character shows its code instead of a traceback.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = typer.main.get_command(app).main(arguments, prog_name="leakscan", standalone_mode=False)
    except LeakscanError as e:
        Output(as_json).error(e.without_path() if hides_paths(arguments) else e)
        return e.exit_code
    except typer.Exit as e:
        code = e.exit_code
    except _WrongUsage as e:
        e.message = one_line(e.message)  # type: ignore[attr-defined]
        e.show()  # type: ignore[attr-defined]
        Output(as_json).data({"error": str(e), "hint": "leakscan --help", "exit_code": 2})
        return 2
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    # Typer turns Ctrl-C into this code by itself in some versions.
    if code == INTERRUPTED:
        Output(as_json).error(Interrupted("Stopped.", "What was finished is kept; run it again to go on."))
    return code if isinstance(code, int) else 0


def stop_at_sigterm() -> None:
    """Takes SIGTERM, which batch systems and service managers send, as Ctrl-C: what was finished is kept."""

    def stop(number: int, frame: FrameType | None) -> None:
        at_ctrl_c = signal.getsignal(signal.SIGINT)
        if not callable(at_ctrl_c):  # shells let what runs in the background ignore Ctrl-C, but not this
            raise KeyboardInterrupt
        at_ctrl_c(signal.SIGINT, frame)

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, stop)


def _told(error: BaseException | None, arguments: list[str]) -> str:
    """The traceback of a bug; without the words of the error where paths are hidden: they may name some."""
    assert error is not None
    lines = traceback.format_exception(error)
    if hides_paths(arguments):
        lines = [*traceback.format_tb(error.__traceback__), f"{type(error).__name__}: (words hidden)\n"]
    return "".join(one_line(line) + "\n" for line in "".join(lines).splitlines())


def main() -> None:
    """Entry point of the console script.

    Example::

        # pyproject.toml: what a shell calls under the name leakscan
        [project.scripts]
        leakscan = "leakscan.cli.app:main"
    """
    keep_freed_memory()
    stop_at_sigterm()
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has left (`| head`); exit code 1 would read as "leak".
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = BROKEN_PIPE
    except Exception:
        # A bug. Python's own exit code would be 1, which here means a leak.
        sys.stderr.write(_told(sys.exc_info()[1], sys.argv[1:]))
        code = BUG
    sys.exit(code)
