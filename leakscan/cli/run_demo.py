"""``leakscan demo``: the main job on two small datasets that it draws itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output


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
    from leakscan.synthetic.demo_data import draw_demo

    out = Output(as_json)
    with out.progress() as progress:
        progress.start("Drawing two datasets", None)
        planted = draw_demo(output / "data")
        result = compare(
            output / "data" / "hospital_a",
            output / "data" / "hospital_b",
            output=output / "run",
            overwrite=True,
            settings=Settings.of(cache=output / "cache", same_ids=True, kind="other_2d"),
            progress=progress,
        )
    found = {(p["path_a"], p["path_b"]): p for p in result.pairs.to_pylist() if p["decision"] == "leak"}
    rows = []
    for pair in planted:
        hit = found.pop((pair.path_a, pair.path_b), None)
        rows.append(
            [pair.path_a, pair.path_b, pair.how, pair.relation, hit["relation"] if hit else "not found"]
        )
    out.run(result.summary, result.pairs.slice(0, 0), output / "run")
    out.table("Planted and found", ["hospital_a", "hospital_b", "how", "planted", "found"], rows)
    n_found = sum(row[-1] != "not found" for row in rows)
    out.say(f"{n_found} of {len(rows)} planted leaks found; {len(found)} other pairs called leaks.")
    out.say(f"Look at {output / 'run' / 'report.html'}")
