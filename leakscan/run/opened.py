"""Sources that a run has opened, and the datasets that it makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leakscan.fingerprint.pipeline import STORES, Dataset, dataset_from_store, fingerprint_source
from leakscan.fingerprint.store import Store, StoreInfo
from leakscan.run.context import RunContext
from leakscan.run.places import cache_name
from leakscan.run.project_keys import brought_under, check_cohorts, check_joinable
from leakscan.settings import Settings
from leakscan.sources.open import open_source
from leakscan.sources.remote import is_url
from leakscan.sources.spec import SourceSpec
from leakscan.sources.subject_rules import parse_subject_rule
from leakscan.types import ImageSource


@dataclass(frozen=True)
class Opened:
    """A source that is there, or a store that stands in for one.

    Attributes:
        spec: What the user typed.
        name: The name of the dataset.
        images: The images to be fingerprinted, or the store that holds their fingerprints.
    """

    spec: SourceSpec
    name: str
    images: ImageSource | Store


def open_all(specs: Sequence[SourceSpec], names: Sequence[str], settings: Settings) -> list[Opened]:
    """Opens every source before work on the first begins: hours may lie between them.

    Args:
        specs: What the user typed.
        names: The names of the datasets.
        settings: What the user chose.

    Raises:
        SourceError: A source is not there.
        StoreError: A store is damaged.
        UsageError: The rule for subjects in paths is not understood.

    Example:
        >>> from pathlib import Path
        >>> Path("ward").mkdir()
        >>> Path("ward/film.png").touch()
        >>> (ward,) = open_all([SourceSpec.parse("ward")], ["Ward 3"], Settings())
        >>> ward.name, ward.spec.form
        ('Ward 3', 'folder')
    """
    reading = settings.reading
    rule = parse_subject_rule(reading.subjects) if reading.subjects else None

    def images(spec: SourceSpec, name: str) -> ImageSource | Store:
        if spec.form == "store":
            return Store.open(spec.path)
        if is_url(spec.raw) and (store := Store.behind(spec.raw)) is not None:
            return store
        return open_source(spec, reading, reading.exclude, rule, name, reading.columns)

    return [Opened(spec, name, images(spec, name)) for spec, name in zip(specs, names, strict=True)]


def load_datasets(opened: Sequence[Opened], context: RunContext) -> list[Dataset]:
    """Fingerprints sources through their cached stores; stores of others are read first, as they may not fit.

    Raises:
        StoreError: A store is empty, damaged, or made with another encoder.
        LeakscanError: Anything that :func:`compare` raises.

    Example::

        context = RunContext.open(settings)
        for dataset in load_datasets(open_all(specs, dataset_names(specs), settings), context):
            print(dataset.name, dataset.rows.num_rows)
    """
    check_joinable(opened, context.project_key)
    context.sources.update((one.name, one.spec.resolved) for one in opened)
    if context.settings.reading.columns and not any(one.spec.form == "manifest" for one in opened):
        context.notices.append("The setting columns names columns of a manifest, and no source is one.")
    known = {
        i: dataset_from_store(one.images, one.name, context.models.encoders)
        for i, one in enumerate(opened)
        if isinstance(one.images, Store)
    }
    stores = context.settings.limits.cache / STORES
    for i, one in enumerate(opened):
        if not isinstance(one.images, Store):
            key = context.key.key_id
            place = stores / cache_name(one.spec, key)
            store = Store.create(place, StoreInfo(one.name, key), keep=one.spec.holds)
            known[i] = fingerprint_source(one.images, store, context)
    datasets = [brought_under(known[i], context.project_key) for i in range(len(opened))]
    check_cohorts(datasets, context.models.calibrations, context.project_key)
    return datasets
