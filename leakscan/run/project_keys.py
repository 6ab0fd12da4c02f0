"""Brings all datasets of a run under one project key, or says why they cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from leakscan.decide.calibration.calibration import Calibration
from leakscan.errors import StoreError
from leakscan.fingerprint.pipeline import Dataset
from leakscan.fingerprint.project_key import ProjectKey
from leakscan.fingerprint.store import Store, StoreInfo
from leakscan.settings import Settings

if TYPE_CHECKING:
    from leakscan.run.opened import Opened


def project_key(settings: Settings) -> ProjectKey | None:
    """The project key that the settings name; ``None`` where they name none.

    Raises:
        StoreError: It cannot be read, or is too short.

    Example:
        >>> project_key(Settings()) is None
        True
    """
    if settings.privacy.project_key is None:
        return None
    key = ProjectKey(settings.privacy.project_key)
    _ = key.key_id  # what is wrong with the file is said before hours of work
    return key


def check_joinable(opened: Sequence[Opened], key: ProjectKey | None) -> None:
    """Refuses sources that do not stand under one project key.

    Stores of one project are compared by whoever has them, with the key or without. What stands under no key
    is compared with them only where the key is at hand.

    Args:
        opened: The sources, of which some are stores.
        key: The project key at hand.

    Raises:
        StoreError: Stores of two projects, or of a project whose key is not at hand beside other sources.

    Example::

        check_joinable(open_all(specs, names, settings), project_key(settings))
    """
    under = {one.spec.path: _of(one.images) for one in opened}
    ids = sorted({name for name in under.values() if name} | ({key.key_id} if key else set()))
    if not ids:
        return
    keyed = [path for path, name in under.items() if name]
    if len(ids) > 1 and key is not None:
        path = next(path for path in keyed if under[path] != key.key_id)
        raise StoreError(
            f"The store {{path}} was made with the project key {under[path]}, not with {key.key_id}: what "
            "stands under two keys cannot be compared.",
            "Name the key that it was made with (the setting project_key), or make it again with this one.",
            code="store_of_another_project",
            path=path,
        )
    if len(ids) > 1:
        first, other = (next(path for path in keyed if under[path] == name) for name in ids[:2])
        raise StoreError(
            f"The stores {{path}} and {{other}} were made with two project keys, {ids[0]} and {ids[1]}, so "
            "that they cannot be compared.",
            "Make one of them again with the project key of the other.",
            code="stores_of_two_projects",
            path=first,
            other=other,
        )
    if key is None and len(keyed) < len(under):
        raise StoreError(
            f"The store {{path}} was made with the project key {ids[0]}; it can be compared with stores of "
            "the same key, or where the key is at hand.",
            "Name the file of the key with the setting project_key.",
            code="project_key_missing",
            path=keyed[0],
        )


def _of(images: object) -> str:
    return images.info.project_key_id if isinstance(images, Store) else ""


def brought_under(dataset: Dataset, key: ProjectKey | None) -> Dataset:
    """A dataset under a project key, which it may stand under already.

    Example::

        brought_under(fingerprint_source(source, store, context), project_key(settings))
    """
    if key is None or dataset.project_key_id:
        return dataset
    own = f"{key.renamed(dataset.key_id)}+{key.key_id}"
    return replace(dataset, rows=key.keyed(dataset.rows), key_id=own)


def turned_cohorts(calibrations: Mapping[str, Calibration], key: ProjectKey | None) -> dict[str, Calibration]:
    """Calibrations whose cohorts are turned as the fingerprints of the run are.

    Example:
        >>> turned_cohorts({}, None)
        {}
    """
    if key is None:
        return dict(calibrations)
    return {
        name: replace(one, cohort=key.turned(one.cohort).astype("float16")) if len(one.cohort) else one
        for name, one in calibrations.items()
    }


def check_cohorts(
    datasets: Sequence[Dataset], calibrations: Mapping[str, Calibration], key: ProjectKey | None
) -> None:
    """Refuses stores of a project without its key where scores are measured against a cohort.

    Raises:
        StoreError: The calibration has a cohort, which cannot be turned without the key.

    Example:
        >>> check_cohorts([], {}, None)
    """
    if key is not None or not any(one.top for one in calibrations.values()):
        return
    if any(dataset.project_key_id for dataset in datasets):
        raise StoreError(
            "The calibration measures scores against a cohort, which without the project key cannot be "
            "compared with these stores.",
            "Name the file of the key with the setting project_key.",
            code="project_key_missing",
        )


def nameless_place(place: Path) -> Path:
    """Where the plain rows behind a keyed store without names are kept, apart from the stores of sources.

    Example:
        >>> nameless_place(Path("stores/ward-0011.fps")).name
        'ward-0011.nameless'
    """
    return place.with_suffix(".nameless")


def keyed_info(info: StoreInfo, key: ProjectKey) -> StoreInfo:
    """What a store under a project key says of itself, given what a plain one says.

    Keyed names are keyed anew, so that two stores of one site, for two projects, have none in common.

    Example::

        keyed_info(StoreInfo("dataset-00112233", "0011aabb", nameless=True), key)
    """
    return replace(
        info,
        dataset=key.renamed(info.dataset) if info.nameless else info.dataset,
        key_id=key.renamed(info.key_id),
        project_key_id=key.key_id,
    )


def keyed_rows(rows: pa.Table, nameless: bool, key: ProjectKey) -> pa.Table:
    """The rows of a store that leaves this place, under a project key.

    Example::

        store.update(keyed_rows(dataset.rows, nameless=True, key=key), store.load())
    """
    keyed = key.keyed(rows, for_others=True)
    if not nameless:
        return keyed
    paths = pa.array([key.renamed(path) for path in rows["path"].to_pylist()])
    return keyed.set_column(keyed.column_names.index("path"), keyed.schema.field("path"), paths)
