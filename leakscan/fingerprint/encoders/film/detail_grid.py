"""The grid of small vectors that a detail network keeps of a film: its sizes, known without torch."""

from __future__ import annotations

SIDE = 224
"""Pixels of the canonical films that the network sees."""
GRID = SIDE // 16
"""Places along a side."""
KEYS, KEY_DIM = 3, 24
"""Unit vectors of a place that say where its like is, and their length."""
VALUES = 24
"""Numbers of a place that say how two places differ."""
DETAIL_DIM = KEYS * KEY_DIM + VALUES
"""Numbers that are kept of a place."""
