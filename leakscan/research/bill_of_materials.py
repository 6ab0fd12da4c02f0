"""Writes what leakscan is made of: a bill of materials in CycloneDX, and a lock file for CI.

``python -m leakscan.research.bill_of_materials --extra cpu -o dist/leakscan.cdx.json`` lists every package
that this environment has for leakscan, with its version, licence and purpose. ``--lock packaging/ci.lock``
writes the same versions as requirements for pip. Nothing is fetched.
"""

from __future__ import annotations

import json
import re
import tomllib
import uuid
from collections.abc import Iterable, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Annotated, Any

import typer
from packaging.requirements import Requirement

from leakscan.cli.output import Output
from leakscan.research.command import run_command
from leakscan.writable import written_whole


def needed(extras: Sequence[str], root: str = "leakscan") -> dict[str, Distribution]:
    """Every installed package that leakscan needs with some extras, by its normalised name.

    Args:
        extras: Extras of leakscan, such as ``cpu``.
        root: The package to begin with.

    Example:
        >>> {"numpy", "pydicom"} <= set(needed(["cpu"]))
        True
    """
    found: dict[str, Distribution] = {}
    waiting: list[tuple[str, tuple[str, ...]]] = [(root, tuple(extras))]
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        found[normal(name)] = package
        for line in _requirements(package):
            requirement = Requirement(line)
            if any(_applies(requirement, extra) for extra in ("", *wanted)):
                waiting.append((requirement.name, tuple(sorted(requirement.extras))))
    del found[normal(root)]
    return dict(sorted(found.items()))


def _requirements(package: Distribution) -> list[str]:
    """What a package asks for; leakscan itself as its checkout says, which may be newer."""
    file = Path(__file__).parents[2] / "pyproject.toml"
    if normal(package.metadata["Name"]) != "leakscan" or not file.is_file():
        return list(package.requires or ())
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    lines = list(project["dependencies"])
    for extra, more in project["optional-dependencies"].items():
        parted = (line.partition(";") for line in more)
        lines += [
            f"{asked} ; extra == '{extra}'" + (f" and ({marker.strip()})" if marker else "")
            for asked, _, marker in parted
        ]
    return lines


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def normal(name: str) -> str:
    """The name of a package as indexes spell it.

    Example:
        >>> normal("Jinja2"), normal("pylibjpeg_openjpeg")
        ('jinja2', 'pylibjpeg-openjpeg')
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def bill(packages: dict[str, Distribution], version: str) -> dict[str, Any]:
    """A bill of materials as CycloneDX 1.5 has it (https://cyclonedx.org/docs/1.5/json/).

    Args:
        packages: What leakscan needs.
        version: The version of leakscan.

    Example:
        >>> made = bill(needed(["cpu"]), "0.2.0")
        >>> made["bomFormat"], made["metadata"]["component"]["version"]
        ('CycloneDX', '0.2.0')
    """
    components = [_component(name, package) for name, package in packages.items()]
    root = f"pkg:pypi/leakscan@{version}"
    # The serial number follows from the content, so that equal environments make equal files.
    serial = uuid.uuid5(uuid.NAMESPACE_URL, "\n".join([root, *(c["purl"] for c in components)]))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": "leakscan",
                "version": version,
                "purl": root,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": components,
    }


def _component(name: str, package: Distribution) -> dict[str, Any]:
    purl = f"pkg:pypi/{name}@{public(package.version)}"
    about: Any = package.metadata
    licence = about.get("License-Expression") or about.get("License") or _by_classifier(about)
    out = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": package.version,
        "purl": purl,
        "description": (about.get("Summary") or "").strip(),
    }
    if licence:
        out["licenses"] = [{"license": {"name": licence.strip().splitlines()[0][:80]}}]
    return out


def _by_classifier(about: Any) -> str:
    named = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or () if c.startswith("License ::")]
    return ", ".join(named)


def public(version: str) -> str:
    """A version without the part that names a build, which no index serves.

    Example:
        >>> public("2.9.1+cu128")
        '2.9.1'
    """
    return version.partition("+")[0]


def lock_lines(packages: dict[str, Distribution], extras: Iterable[str]) -> list[str]:
    """The lines of a requirements file that pins every package.

    Args:
        packages: What leakscan needs.
        extras: The extras that were asked for.

    Example:
        >>> any(line.startswith("numpy==") for line in lock_lines(needed(["cpu"]), ["cpu"]))
        True
    """
    of = ",".join(extras)
    head = [
        f"# What leakscan[{of}] was tested with. Written by",
        "# python -m leakscan.research.bill_of_materials --lock FILE; pip install -c FILE uses it.",
    ]
    return [*head, *(f"{name}=={public(package.version)}" for name, package in packages.items())]


def bill_of_materials(
    extra: Annotated[list[str] | None, typer.Option("--extra", help="Extra of leakscan; repeatable.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="CycloneDX file to write, in JSON.")
    ] = None,
    lock: Annotated[Path | None, typer.Option("--lock", help="Requirements file to write.")] = None,
) -> None:
    """Write a bill of materials or a lock file of this environment.

    Example: python -m leakscan.research.bill_of_materials --extra cpu -o leakscan.cdx.json
    """
    import leakscan

    extras = extra or ["cpu"]
    packages = needed(extras)
    if output is not None:
        with written_whole(output) as part:
            part.write_text(
                json.dumps(bill(packages, leakscan.__version__), indent=1) + "\n", encoding="utf-8"
            )
    if lock is not None:
        with written_whole(lock) as part:
            part.write_text("\n".join([*lock_lines(packages, extras), ""]), encoding="utf-8")
    Output().say(f"{len(packages)} packages of leakscan[{','.join(extras)}].")


if __name__ == "__main__":
    run_command(bill_of_materials)
