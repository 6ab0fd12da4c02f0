"""The learning rate of a step."""

from __future__ import annotations

import math

from leakscan.training.films.config import TrainConfig


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """The learning rate of step ``step``, counted from 0.

    ``plateau``: linear warm-up (at most 100 steps), a plateau, then a half cosine to zero. The
    plateau does not depend on the number of steps, so that a run may be lengthened until its
    decay begins.

    ``warm_restarts``: a half cosine towards zero that starts anew every ``restart`` steps (SGDR,
    arXiv 1608.03983, with periods of equal length).

    Example:
        >>> config = TrainConfig(steps=1000, learning_rate=1e-3)
        >>> [round(learning_rate_at(step, config), 5) for step in (0, 49, 900, 950, 1000)]
        [2e-05, 0.001, 0.001, 0.0005, 0.0]
    """
    if config.schedule == "warm_restarts":
        turn = (step % config.restart) / config.restart
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * turn))
    warm = max(1, min(100, config.steps // 20))
    decay = max(1, round(config.decay * config.steps))
    left = max(0, config.steps - step)
    rise = min(1.0, (step + 1) / warm)
    fall = 1.0 if left >= decay else 0.5 * (1 - math.cos(math.pi * left / decay))
    return config.learning_rate * rise * fall
