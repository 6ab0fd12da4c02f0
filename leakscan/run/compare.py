"""The main job, stage by stage: sources to datasets, datasets to pairs, pairs to an answer."""

from __future__ import annotations

import os
from typing import Any

from leakscan.errors import UsageError
from leakscan.run.against import EarlierRun
from leakscan.run.context import RunContext
from leakscan.run.given_files import check_files, free_folder
from leakscan.run.opened import load_datasets, open_all
from leakscan.run.places import check_apart, dataset_names
from leakscan.run.reported import decide_and_report
from leakscan.run.result import Result
from leakscan.settings import Settings
from leakscan.sources.spec import SourceSpec
from leakscan.types import Progress


def compare(
    *sources: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    settings: Settings | None = None,
    progress: Progress | None = None,
    **choices: Any,
) -> Result:
    """Finds the images in each source that show a subject who is already in another.

    Args:
        sources: Two or more directories, manifests, or fingerprint stores; with the setting ``against`` one
            is enough, which is compared with the datasets of an earlier run.
        output: The run folder to write, or ``None`` to write nothing but the cache.
        overwrite: Whether ``output`` may exist.
        settings: The choices; the defaults suit most runs.
        progress: Receives how far the run is.
        choices: Single settings by name, over ``settings``, such as ``fail_on="review"``.

    Raises:
        LeakscanError: One of the kinds in :mod:`leakscan.errors`; what was computed stays in the cache.

    Example::

        result = leakscan.compare("hospital_a", "hospital_b", same_ids=True)
        print(result.exit_code, result.pairs.num_rows)
    """
    from leakscan.run.estimate import announced  # which knows this module

    settings = Settings.given(settings, choices, also=("output", "overwrite", "settings", "progress"))
    before = settings.deciding.against
    if len(sources) == 1 and not isinstance(sources[0], str | os.PathLike):
        SourceSpec.parse(sources[0])  # a list of paths, say: it tells how they are given
    if len(sources) < (2 if before is None else 1):
        raise UsageError(
            "A comparison needs two sources.",
            "For leaks inside one dataset, call leakscan.audit.",
            code="one_source",
        )
    folder = free_folder(output, overwrite)
    check_files(settings)
    specs = [SourceSpec.parse(source) for source in sources]
    names = dataset_names(specs, settings.privacy.hide_paths)
    earlier = None if before is None else EarlierRun.read(before)
    if earlier is not None:
        names, specs = earlier.name_all(tuple(names)), [*earlier.specs, *specs]
        dataset_names(specs, settings.privacy.hide_paths)  # refuses what the run has already
    check_apart(specs, settings.reading.exclude)
    opened = open_all(specs, names, settings)
    context = RunContext.open(settings, progress)
    if earlier is not None:
        context.compared_before.update(earlier.names)
        context.notices.append(_told_before(earlier, settings))
    return decide_and_report(load_datasets(announced(opened, context), context), context, folder)


def _told_before(earlier: EarlierRun, settings: Settings) -> str:
    where = "an earlier run" if settings.privacy.hide_paths else str(earlier.run)
    one, *more = earlier.names
    what = f"{', '.join([one, *more[:-1]])} and {more[-1]} were" if more else f"{one} was"
    return f"{what} compared with each other in {where}, and not again here."
