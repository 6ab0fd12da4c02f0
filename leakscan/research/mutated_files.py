"""Damages good files in thousands of ways and hands them to the reader of their kind.

``python -m leakscan.research.mutated_files --count 10000`` draws from a seed which file is damaged and how:
bits flipped, bytes overwritten, length fields set to extremes, ends cut off, parts doubled, dropped or taken
from other files, also inside what is compressed. Every reader must come to an end within its time and within
1 GB, with an answer or with a sentence: an ``ImageError`` or a ``LeakscanError``. Files of images and
archives must give at least one row. Faulty files are kept with ``--keep``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli.output import Output
from leakscan.engines.careful import Careful, Loss
from leakscan.engines.local import LocalEngine
from leakscan.research.command import run_command
from leakscan.research.good_files import good_files
from leakscan.research.mutant_readers import SECONDS, Answer, read_mutant
from leakscan.research.mutations import Mutant, mutants


def _lost(mutant: Mutant, why: Loss) -> Answer:
    words = "it kills the process" if why == "died" else f"it takes longer than {SECONDS:g} s"
    return Answer(words, True)


def read_all(chosen: Sequence[Mutant], workers: int) -> Iterator[Answer]:
    """What the readers come to, in processes of their own, in order and as they come to it.

    Args:
        chosen: The damaged files.
        workers: How many processes.

    Example::

        answers = list(read_all(list(mutants(500, 0, good_files())), workers=2))
    """
    yield from LocalEngine(workers).map(Careful(read_mutant, _lost, SECONDS), chosen, chunk=4)


def mutated_files(
    count: Annotated[int, typer.Option("--count", help="How many damaged files.", min=1)] = 500,
    seed: Annotated[int, typer.Option("--seed", help="Seed of all draws.")] = 0,
    workers: Annotated[int, typer.Option("--workers", help="Processes that read them.", min=1)] = 2,
    only: Annotated[
        str | None, typer.Option("--only", help="Damage only good files with this in their name.")
    ] = None,
    keep: Annotated[Path | None, typer.Option("--keep", help="Folder for faulty files.")] = None,
) -> None:
    """Read damaged files of every kind, and name those that a reader does not refuse in a sentence.

    Example: python -m leakscan.research.mutated_files --count 10000
    """
    out = Output()
    files = {name: data for name, data in good_files().items() if only is None or only in name}
    chosen = list(mutants(count, seed, files))
    counts: Counter[str] = Counter()
    for mutant, answer in zip(chosen, read_all(chosen, workers), strict=True):
        counts["fault" if answer.fault else answer.said] += 1
        if answer.fault:
            out.say(f"{mutant.number} {mutant.name} ({', '.join(mutant.ways)}): {answer.said[:300]}")
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{mutant.number}-{mutant.name}").write_bytes(mutant.data)
        if counts.total() % 1_000 == 0:
            out.say(f"  {counts.total():,} so far: {counts['fault']:,} faults")
    out.say(
        f"{count:,} damaged files of {len(files)} kinds: {counts['read']:,} read, "
        f"{counts['refused']:,} refused in a sentence, {counts['fault']:,} faults."
    )
    if counts["fault"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(mutated_files)
