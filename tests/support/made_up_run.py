"""A run context for tests: no models, this process, nothing kept beyond it."""

from __future__ import annotations

from typing import Any

from leakscan.engines import start_engine
from leakscan.run.context import RunContext, TimeBudget, Timings
from leakscan.run.memory import PairMemory
from leakscan.run.models import Models
from leakscan.settings import Settings
from leakscan.types import Silent


def made_up_run(settings: Settings | None = None, **parts: Any) -> RunContext:
    """What a run holds, with some parts replaced.

    Args:
        settings: The choices; the defaults otherwise.
        parts: Parts of the context by name, for example ``engine`` or ``memory``.
    """
    settings = settings or Settings()
    given = {
        "engine": start_engine(0),
        "models": Models({}, {}, {}),
        "memory": PairMemory(None),
        "progress": Silent(),
        "budget": TimeBudget(settings.limits.check_seconds),
        "timings": Timings(),
        **parts,
    }
    return RunContext(settings=settings, **given)
