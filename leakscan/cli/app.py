"""The command line: registers commands and turns errors into sentences and exit codes."""

from __future__ import annotations

import atexit
import contextlib
import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from importlib.abc import MetaPathFinder
from types import FrameType
from typing import TYPE_CHECKING, Annotated, ClassVar, NoReturn

import typer

from leakscan.cli.shelf import Entry, ShelvedGroup
from leakscan.errors import LeakscanError, reason
from leakscan.harmless import one_line

if TYPE_CHECKING:
    from leakscan.cli.output import Output

INTERRUPTED = 130  # as shells report Ctrl-C
BUG = 70  # EX_SOFTWARE of sysexits.h
BROKEN_PIPE = 141  # as shells report SIGPIPE
# Typer bundles click or depends on it, by version; this base is in both.
_WrongUsage: type[Exception] = typer.BadParameter.__bases__[0]


class Commands(ShelvedGroup):
    """Every command, with the first sentence of its help."""

    entries: ClassVar[Mapping[str, Entry]] = {
        "compare": Entry(
            "run_compare:compare_command",
            "Find images in each source that show a subject who is already in another.",
        ),
        "fingerprint": Entry(
            "run_fingerprint:fingerprint_command",
            "Build or update a fingerprint store that stands in for a dataset.",
        ),
        "audit": Entry(
            "run_audit:audit_command", "Find subjects that stand in more than one split of a dataset."
        ),
        "duplicates": Entry(
            "run_duplicates:duplicates_command",
            "Find copies, altered copies and repeats of one person inside one source.",
        ),
        "calibrate": Entry(
            "run_calibrate:calibrate_command",
            "Fit the error rates of an encoder on your own images with declared subjects.",
        ),
        "exclude": Entry(
            "run_exclude:exclude_command",
            "List the images to drop from one dataset, as CSV and Parquet; nothing is deleted.",
        ),
        "review": Entry(
            "run_review:review_command",
            "Look at the pairs of a run and say what they are, on a page that only this machine can open.",
        ),
        "split": Entry("run_split:split_command", "Split a dataset so that nobody stands in two splits."),
        "map": Entry(
            "run_map:map_command",
            "List the best match of every image of one dataset in another, as CSV and Parquet.",
        ),
        "diff": Entry(
            "run_diff:diff_command",
            "Say which pairs are new, gone, or decided otherwise; exit code 1 where a leak is new.",
        ),
        "show": Entry(
            "run_show:show_command",
            "Say again what a run found, with what is behind it for every two datasets.",
        ),
        "explain": Entry(
            "run_explain:explain_command", "Say where the numbers of one pair come from, step by step."
        ),
        "ci": Entry(
            "run_ci:ci_command", "Write what a build server reads of a run, and end with its exit code."
        ),
        "evaluate": Entry(
            "run_evaluate:evaluate_command",
            "Measure how well encoders tell people apart, beside plain baselines.",
        ),
        "demo": Entry(
            "run_demo:demo_command",
            "Draw two small datasets with planted leaks, compare them, and show what was found.",
        ),
        "train": Entry(
            "run_train:train_command",
            "Train a fingerprint on your own chest films, or on volumes of the brain.",
        ),
        "purge": Entry(
            "run_purge:purge_command", "Remove everything that was derived from images, and list it."
        ),
        "verdicts": Entry("run_verdicts:verdicts_app", "Keep, merge and edit what people said of pairs."),
        "models": Entry("run_models:models_app", "List encoders, or add one."),
        "bench": Entry("run_bench:bench_app", "Measure leakscan on your own films."),
        "store": Entry("run_store:store_app", "Join fingerprint stores."),
    }


app = typer.Typer(
    name="leakscan",
    cls=Commands,
    help="Which images in B show a subject who is already in A?",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


_OF_A_FILE = {
    getattr(errno, name)
    for name in (
        *("EACCES", "EPERM", "ENAMETOOLONG", "ELOOP", "EROFS", "EIO"),
        *("ESTALE", "ETIMEDOUT", "ENOSPC", "EDQUOT", "EMFILE", "ENFILE"),
    )
    if hasattr(errno, name)
}
"""What a system refuses a file for, wherever it is met: no bug of the program."""
_EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "monai": "train",
    "sklearn": "train",
    "matplotlib": "train",
    "pytorch_metric_learning": "train",
}
"""Packages that only some commands need, and the extra that brings them."""


class Interrupted(LeakscanError):
    """Ctrl-C."""

    exit_code = INTERRUPTED


def _output(as_json: bool = False) -> Output:
    """Where to print; ``--help`` does not wait for it."""
    from leakscan.cli.output import Output

    return Output(as_json)


def _version(asked: bool) -> None:
    if asked:
        import leakscan

        _output().say(leakscan.__version__)
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
        from leakscan.cli.options import hides_paths

        _output(as_json).error(e.without_path() if hides_paths(arguments) else e)
        return e.exit_code
    except ModuleNotFoundError as e:
        extra = _EXTRAS.get((e.name or "").partition(".")[0])
        if extra is None:
            raise
        missing = LeakscanError(
            f"This needs the package {e.name}, which is not installed.",
            f'Install it: pip install "leakscan[cpu,{extra}]".',
        )
        _output(as_json).error(missing)
        return missing.exit_code
    except OSError as e:
        if e.errno not in _OF_A_FILE or not isinstance(e.filename, str):
            raise
        from leakscan.cli.options import hides_paths

        refused = LeakscanError(
            f"{{path}} cannot be used: {reason(e)}.",
            "Name another place, or mend its permissions.",
            path=e.filename,
        )
        _output(as_json).error(refused.without_path() if hides_paths(arguments) else refused)
        return refused.exit_code
    except typer.Exit as e:
        code = e.exit_code
    except _WrongUsage as e:
        e.message = one_line(e.message)  # type: ignore[attr-defined]
        e.show()  # type: ignore[attr-defined]
        _output(as_json).data({"error": str(e), "hint": "leakscan --help", "exit_code": 2})
        return 2
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    # Typer turns Ctrl-C into this code by itself in some versions.
    if code == INTERRUPTED:
        _output(as_json).error(Interrupted("Stopped.", "What was finished is kept; run it again to go on."))
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
    from leakscan.cli.options import hides_paths

    assert error is not None
    lines = traceback.format_exception(error)
    if hides_paths(arguments):
        lines = [*traceback.format_tb(error.__traceback__), f"{type(error).__name__}: (words hidden)\n"]
    return "".join(one_line(line) + "\n" for line in "".join(lines).splitlines())


class _WithoutPandas(MetaPathFinder):
    """Keeps pandas out of the process: no command makes a data frame.

    Where it is installed, pyarrow loads it for the first list that it is given, a third of a second.
    """

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Refuses pandas, and leaves the rest to the other finders."""
        if fullname == "pandas":
            raise ModuleNotFoundError("The command line does not load pandas.", name=fullname)


def main() -> None:
    """Entry point of the console script.

    Example::

        # pyproject.toml: what a shell calls under the name leakscan
        [project.scripts]
        leakscan = "leakscan.cli.app:main"
    """
    from leakscan.engines.allocator import keep_freed_memory

    _fill_closed_streams()
    keep_freed_memory()
    stop_at_sigterm()
    sys.meta_path.insert(0, _WithoutPandas())
    try:
        code = run(sys.argv[1:])
        _flush()
    except LeakscanError as e:  # the answer, or an error in its place, cannot be printed
        sys.stderr.write(f"Error: {one_line(e.message)}\n{one_line(e.hint or '')}\n")
        code = e.exit_code
    except BrokenPipeError:
        # Whoever read our output has left (`| head`); exit code 1 would read as "leak".
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = BROKEN_PIPE
    except Exception:
        # A bug. Python's own exit code would be 1, which here means a leak.
        sys.stderr.write(_told(sys.exc_info()[1], sys.argv[1:]))
        code = BUG
    _leave(code)


def _flush() -> None:
    from leakscan.cli.output import printed

    with printed():
        sys.stdout.flush()


def _fill_closed_streams() -> None:
    """Leads streams that the caller has closed (``>&-``) to nowhere.

    Else the next file that is opened gets the number of one of them, and what is printed ends in it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _leave(code: int) -> NoReturn:
    """Ends the process with a code, after whatever was registered for its end.

    The system keeps eight bits of a code, so that 256 would be read as 0: what is no code becomes ``BUG``.

    Python's own way out goes on to tear down native libraries. Where a thread of one of them still ran, that
    ended in SIGABRT, and a shell read 134 in place of the answer.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if type(code) is int and 0 <= code < 256 else BUG)
