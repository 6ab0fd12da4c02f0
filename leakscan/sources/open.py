"""From what the user typed to a source."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from leakscan.settings import DecodeOptions
from leakscan.sources.directory import DirectorySource
from leakscan.sources.manifest import ManifestSource
from leakscan.sources.remote import RemoteSource, is_url
from leakscan.sources.spec import SourceSpec
from leakscan.sources.subject_rules import SubjectRule
from leakscan.sources.table_names import inner_name
from leakscan.sources.there import missing
from leakscan.types import ImageSource


def open_source(
    source: str | os.PathLike[str] | SourceSpec,
    options: DecodeOptions,
    exclude: Sequence[str] = (),
    subjects: SubjectRule | None = None,
    name: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> ImageSource:
    """Opens a folder, a manifest or a single image; fingerprint stores are opened by their own room.

    A folder is only ever walked: a ``manifest.csv`` in it is used when it is what ``source`` names.

    Args:
        source: A path; after a manifest ``?column=value`` (several joined by ``&``) selects rows.
        options: The limits and choices for reading headers.
        exclude: Patterns of relative paths to leave out; see :class:`~leakscan.sources.exclusion.Exclusion`.
        subjects: The rule by which paths name subjects, if the user gave one.
        name: The name of the dataset; by default that of the folder or file.
        columns: What manifests call their columns, where they call them otherwise.

    Raises:
        SourceError: There is nothing of the kind; the hint names what is spelt much alike.

    Example:
        >>> import numpy as np
        >>> from PIL import Image
        >>> from leakscan.types import Silent
        >>> Image.fromarray(np.eye(8, dtype=np.uint8)).save("film.png")
        >>> source = open_source("film.png", DecodeOptions())
        >>> [(ref.path, ref.format, ref.status) for ref in source.scan(Silent())]
        [('film.png', 'png', 'ok')]
    """
    spec = source if isinstance(source, SourceSpec) else SourceSpec.parse(source)
    path = spec.path
    if is_url(spec.raw):
        return RemoteSource(spec.raw, name or spec.stem or spec.raw, options, exclude, subjects)
    if not os.path.lexists(path):
        raise missing(path)
    if spec.form == "manifest":
        stem = inner_name(path.name).rpartition(".")[0] or path.name
        base = stem if stem.lower() != "manifest" else path.resolve().parent.name
        called = name or "-".join([base, *(value for _, value in spec.filters)])
        return ManifestSource(spec, called, options, exclude, subjects, columns)
    called = name or path.resolve().name or str(path)
    return DirectorySource(path, called, options, exclude, subjects, spec.boundary)
