"""Writes the graphs of all networks that can run without torch: ``python -m leakscan.research.write_graphs``.

To be run after the code of a network has changed; a new model of the same network needs nothing. It takes
the package ``onnx`` of the extra ``train``.
"""

from __future__ import annotations

from leakscan.cli.output import Output
from leakscan.fingerprint.encoders.export import write_graphs
from leakscan.fingerprint.encoders.graph import GRAPHS
from leakscan.research.command import run_command


def write_all() -> None:
    """Writes every graph into the package.

    Example::

        write_all()  # leakscan/fingerprint/encoders/graphs/*.onnx
    """
    GRAPHS.mkdir(exist_ok=True)
    write_graphs(GRAPHS)
    Output().say(f"Written to {GRAPHS}")


if __name__ == "__main__":
    run_command(write_all)
