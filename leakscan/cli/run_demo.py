"""``leakscan demo``: the main job on two small datasets that it draws itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output
from leakscan.counted import counted


def demo_command(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the drawn datasets and the report.")
    ] = Path(".demo"),
    as_json: o.Json = False,
) -> None:
    """Draw two small datasets with planted leaks, compare them, and show what was found.

    Example: leakscan demo -o demo

    Nothing in them comes from a real image. Drawn pictures cannot show the same person twice, so
    subjects are not compared by fingerprint; that relation is planted by PatientID and found with
    --same-ids.
    """
    from leakscan.run.compare import compare
    from leakscan.settings import Settings
    from leakscan.synthetic.demo_data import TRUTH, draw_demo

    out = Output(as_json)
    data = output / "data"
    out.say(f"Drawing two datasets with planted leaks into {data} ...")
    began = time.monotonic()
    with out.progress() as progress:
        planted = draw_demo(data, progress=progress)
    drawn = time.monotonic()
    out.say(f"Drawn in {drawn - began:.0f} s. Comparing them ...")
    with out.progress() as progress:
        result = compare(
            data / "hospital_a",
            data / "hospital_b",
            output=output / "run",
            overwrite=True,
            settings=Settings.of(cache=output / "cache", same_ids=True, kind="other_2d"),
            progress=progress,
        )
    out.say(f"Compared in {time.monotonic() - drawn:.0f} s.")
    out.say("")
    found = {(p["path_a"], p["path_b"]): p for p in result.pairs.to_pylist() if p["decision"] == "leak"}
    rows: list[list[str]] = []
    for pair in planted:
        hit = found.pop((pair.path_a, pair.path_b), None)
        seen = hit["relation"] if hit else "missed"
        rows.append([pair.how, pair.relation, "found" if seen == pair.relation else seen])
    out.run(result.summary, result.pairs.slice(0, 0), output / "run")
    out.say("")
    out.table("Planted and found", ["leak", "relation", "found"], rows)
    n_found = sum(row[-1] != "missed" for row in rows)
    others = counted(len(found), "other pair")
    out.say(f"{n_found} of {counted(len(rows), 'planted leak')} found; {others} called a leak.")
    out.say(f"Which files they are: {data / TRUTH}")
    out.say(f"Look at {output / 'run' / 'report.html'}")
