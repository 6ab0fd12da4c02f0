"""leakscan: which images in B show a subject who is already in A?

The public API is what the README uses::

    import leakscan

    result = leakscan.compare("hospital_a", "hospital_b")
    result.pairs.to_pandas()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leakscan.errors import LeakscanError
    from leakscan.run.audit import audit
    from leakscan.run.compare import compare
    from leakscan.run.duplicates import duplicates
    from leakscan.run.result import Result
    from leakscan.run.split import split
    from leakscan.settings import Settings

    __version__: str

__all__ = [
    "LeakscanError",
    "Result",
    "Settings",
    "__version__",
    "audit",
    "compare",
    "duplicates",
    "split",
]

_HOMES = {
    "audit": "leakscan.run.audit",
    "compare": "leakscan.run.compare",
    "duplicates": "leakscan.run.duplicates",
    "split": "leakscan.run.split",
    "Result": "leakscan.run.result",
    "Settings": "leakscan.settings",
    "LeakscanError": "leakscan.errors",
}


def __getattr__(name: str) -> Any:
    # Loaded at first use: `leakscan --help` should not wait for any of it.
    if name == "__version__":
        from importlib.metadata import version

        globals()[name] = found = version("leakscan")
        return found
    if name not in _HOMES:
        raise AttributeError(f"module 'leakscan' has no attribute {name!r}")
    from importlib import import_module

    # Binding the name here keeps `leakscan.compare` the function once the module of that name loads.
    globals()[name] = value = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    """The public names, also those that are loaded at first use."""
    return sorted(__all__)
