"""``leakscan bench``: how much of what was planted is found, and how fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output

bench_app = typer.Typer(help="Measure leakscan on your own films.", no_args_is_help=True)

FilmsArgument = Annotated[str, typer.Argument(help="Folder or manifest of films.")]
WorkOption = Annotated[
    Path, typer.Option("--output", "-o", help="Folder to work in; emptied if a benchmark made it.")
]


@bench_app.command("planted")
def planted_command(
    films: FilmsArgument,
    work: WorkOption,
    copies: Annotated[int, typer.Option("--copies", help="Altered films per kind.", min=1)] = 20,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the planting.")] = 0,
    exclude: o.Exclude = None,
    as_json: o.Json = False,
) -> None:
    """Plant known leaks into films and score what compare finds, beside a pHash baseline.

    Example: leakscan bench planted films.csv -o /tmp/bench

    Of a declared subject only the first film is used. Real duplicates among the films count as
    false pairs: leave them out with --exclude.
    """
    from leakscan.evaluation.bench import fresh_folder, planted_bench

    out = Output(as_json)
    with out.progress() as progress:
        result = planted_bench(films, fresh_folder(work), copies, seed, exclude or (), progress)
    out.data(result)
    ours, phash = result["leakscan"], result["phash"]
    rows = [
        [name, _found(group), str(group["as_expected"]), _found(phash["by_alteration"][name])]
        for name, group in ours["by_alteration"].items()
    ]
    rows.append(
        ["all", _found(ours["overall"]), str(ours["overall"]["as_expected"]), _found(phash["overall"])]
    )
    title = f"{result['planted']} leaks planted among {result['films']} films"
    out.table(title, ["alteration", "found", "with its relation", "pHash"], rows)
    out.say(f"False pairs: leakscan {ours['false_pairs']}, pHash {phash['false_pairs']}.")
    out.say(f"leakscan: {_run(result['run'])}; pHash {phash['seconds']} s.")
    out.say(f"Look at {work / 'run' / 'report.html'}")


@bench_app.command("speed")
def speed_command(
    films: FilmsArgument,
    work: WorkOption,
    images: Annotated[int, typer.Option("--images", help="Images in each of the two folders.", min=1)] = 1000,
    peers: Annotated[
        bool, typer.Option("--peers", help="Time fastdup, imagededup and cleanvision too, where installed.")
    ] = False,
    python: Annotated[
        str | None, typer.Option("--peers-python", help="Interpreter that those are installed for.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Time the first and the second run on two folders of 256 px PNG made from films.

    Example: leakscan bench speed films.csv -o /tmp/speed --images 1000 --peers

    The encoder alone on the same films, and other tools with --peers, are timed in the same run: on a busy
    machine the ratios say more than the seconds.
    """
    from leakscan.evaluation.bench import fresh_folder
    from leakscan.evaluation.speed_bench import Peers, speed_bench

    out = Output(as_json)
    others = Peers(python) if python else Peers()
    with out.progress() as progress:
        result = speed_bench(films, fresh_folder(work), images, others if peers or python else None, progress)
    out.data(result)
    first, second = result["first"], result["second"]
    rows = [
        ["leakscan, first run", *_cost(first), ""],
        ["leakscan, second run", *_cost(second), ""],
        ["its encoder alone", f"{result['encoder_alone_s']}", "", "", _ratio(result["first_over_encoder"])],
        ["Pillow decoding alone", f"{result['pillow_decode_s']}", "", "", f"{result['first_over_decode']}"],
    ]
    for name, peer in result["peers"].items():
        if "seconds" in peer:
            rows.append([name, *_cost(peer), _ratio(peer["ours_over_theirs"])])
        else:
            rows.append([name, "not installed" if not peer["installed"] else "failed", "", "", ""])
    title = f"{images} against {images} PNG of {result['side_px']} px"
    out.table(title, ["", "seconds", "of processors", "MB", "first run takes so many times that"], rows)
    out.say(f"first run:  {_run(first)}; {result['images_per_second']} images/s")
    out.say(f"second run: {_run(second)}")
    out.say(f"{result['store_bytes_per_image']:,} bytes of store for an image")


@bench_app.command("volumes")
def volumes_command(
    sources: Annotated[list[str], typer.Argument(help="Folders or manifests of brain volumes.")],
    work: WorkOption,
    volumes: Annotated[
        int, typer.Option("--volumes", help="Volumes in each of the two folders.", min=1)
    ] = 100,
    exclude: o.Exclude = None,
    as_json: o.Json = False,
) -> None:
    """Time the first and the second run on two folders of brain volumes of different people.

    Example: leakscan bench volumes ixi.csv ds002748.csv -o /tmp/volumes --volumes 100

    The encoder alone is timed in the same run, on 16 of the volumes: on a busy machine the ratio says more
    than the seconds.
    """
    from leakscan.evaluation.bench import fresh_folder
    from leakscan.evaluation.volumes_bench import volumes_bench

    out = Output(as_json)
    with out.progress() as progress:
        result = volumes_bench(sources, fresh_folder(work), volumes, exclude or (), progress)
    out.data(result)
    rows = [
        ["leakscan, first run", *_cost(result["first"]), ""],
        ["leakscan, second run", *_cost(result["second"]), ""],
        ["its encoder alone", f"{result['encoder_alone_s']}", "", "", _ratio(result["over_encoder"])],
    ]
    title = f"{volumes} against {volumes} volumes"
    out.table(title, ["", "seconds", "of processors", "MB", "first run takes so many times that"], rows)
    out.say(f"first run:  {_run(result['first'])}")
    out.say(f"second run: {_run(result['second'])}")


@bench_app.command("pairs")
def pairs_command(
    work: WorkOption,
    pairs: Annotated[int, typer.Option("--pairs", help="About how many candidate pairs.", min=1)] = 1_000_000,
    as_json: o.Json = False,
) -> None:
    """Time made-up candidate pairs from the search to pairs.parquet, and measure the memory.

    Example: leakscan bench pairs -o /tmp/pairs

    There are no pictures, so copy checks and detail matches are left out.
    """
    from leakscan.evaluation.bench import fresh_folder
    from leakscan.evaluation.pairs_bench import pairs_bench

    out = Output(as_json)
    result = pairs_bench(fresh_folder(work), pairs)
    out.data(result)
    for case in result:
        out.say(
            f"{case['case']}: {case['candidates']:,} candidate pairs, {case['rows']:,} rows in "
            f"{case['seconds']} s (search {case['match_seconds']} s, processors {case['cpu_seconds']} s), "
            f"{case['peak_mb']:,} MB ({case['start_mb']:,} MB at the start)"
        )


@bench_app.command("search")
def search_command(
    work: WorkOption,
    films: Annotated[int, typer.Option("--films", help="Films in each of the two stores.", min=4)] = 20_000,
    shared: Annotated[
        int, typer.Option("--shared", help="People in both stores, and as many turned copies.", min=0)
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the stores.")] = 0,
    as_json: o.Json = False,
) -> None:
    """Compare two stores of made-up films: time, memory, and what is found of what they share.

    Example: leakscan bench search -o /tmp/search --films 200000

    Fingerprints are drawn from statistics of real films. There are no pictures, so copy checks and detail
    matches are left out.
    """
    from leakscan.evaluation.bench import fresh_folder
    from leakscan.evaluation.search_bench import search_bench

    out = Output(as_json)
    with out.progress() as progress:
        result = search_bench(fresh_folder(work), films, shared, seed, progress)
    out.data(result)
    out.say(
        f"{films:,} against {films:,} films: {result['seconds']} s (read {result['load_seconds']} s, search "
        f"{result['match_seconds']} s, decide {result['check_seconds']} s; processors "
        f"{result['cpu_seconds']} s), {result['peak_mb']:,} MB ({result['start_mb']:,} MB at the start)"
    )
    out.say(f"{result['candidates']:,} candidate pairs, {result['pairs']:,} leaks and pairs for review")
    for what, shown in (
        ("people", "at least as similar as is reviewed"),
        ("copies", "near enough for a review"),
    ):
        out.say(
            f"{what} in both: {result[what]:,}, of whom {result[f'{what}_near']:,} are {shown}; "
            f"found {result[f'{what}_found']:,}"
        )
    for encoder, recall in result["recall"].items():
        out.say(f"{encoder}: the search finds {recall:.4f} of the pairs that it seeks, by its own measure")


def _cost(run: dict[str, Any]) -> list[str]:
    return [f"{run['seconds']}", f"{run['cpu_seconds']}", f"{run['peak_mb']:,}"]


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _found(group: dict[str, Any]) -> str:
    return f"{group['found']}/{group['planted']} ({group['recall']:.0%})"


def _run(run: dict[str, Any]) -> str:
    t = run["timings"]
    total = max(t["total_s"], 1e-9)
    parts = (("decode", "prepare_s"), ("encode", "encode_s"), ("match", "match_s"), ("check", "verify_s"))
    shares = ", ".join(f"{name} {t[key] / total:.0%}" for name, key in parts)
    return f"{run['seconds']} s, {run['peak_mb']} MB ({shares}; {run['verified_pairs']:,} pairs checked)"
