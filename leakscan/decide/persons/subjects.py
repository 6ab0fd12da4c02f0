"""The subjects of one dataset as one encoder sees them.

A subject counts once, however many images it has: the images that a dataset declares to be of one subject are
fused to one template (few-shot), and a picture without a declared subject stands for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leakscan.decide.calibration.calibration import Calibration, against_cohort
from leakscan.decide.calibration.normalise import CohortStatistics, normalise
from leakscan.decide.persons.templates import Templates
from leakscan.decide.rounding import on_steps
from leakscan.match.pictures import Side
from leakscan.match.products import crossed_products, paired_products

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Subjects:
    """The subjects of one dataset as one encoder sees them.

    Attributes:
        code: ``(pictures,)`` subject of each distinct picture, -1 without a fingerprint.
        templates: ``(s, d)`` unit vectors.
        statistics: How the templates stand to the cohort.
        is_declared: ``(s,)`` which of the subjects have a name.
    """

    code: Ints
    templates: Templates | npt.NDArray[np.float32]
    statistics: CohortStatistics
    is_declared: Bools

    def __len__(self) -> int:
        return len(self.templates)

    @property
    def declared(self) -> int:
        """How many subjects have a name."""
        return int(self.is_declared.sum())

    @cached_property
    def pictures(self) -> Ints:
        """``(s,)`` how many distinct pictures each subject has."""
        return np.bincount(self.code[self.code >= 0], minlength=len(self)).astype(np.int64)

    @cached_property
    def by_subject(self) -> tuple[Ints, Ints]:
        """All pictures with a fingerprint, subject by subject, and ``(s + 1,)`` where each subject begins."""
        order = np.argsort(self.code, kind="stable")
        order = order[np.searchsorted(self.code[order], 0) :]
        return order.astype(np.int64), np.searchsorted(self.code[order], np.arange(len(self) + 1)).astype(
            np.int64
        )

    @property
    def fused(self) -> bool:
        """Whether some subject has more than one picture."""
        return len(self) != int((self.code >= 0).sum())


def subjects_of(side: Side, calibration: Calibration) -> Subjects:
    """The subjects of a dataset, of whom at least one has a fingerprint.

    Args:
        side: The distinct pictures of the dataset.
        calibration: The calibration of the encoder.

    Example::

        people = subjects_of(distinct_pictures(dataset.rows), calibration)
        people.templates.shape, people.declared
    """
    rows, prints = side.pictures(calibration.encoder), side.stored[calibration.encoder]
    pixels = side.pixel_hash.take(pa.array(rows))
    names = pa.array([side.subjects[i] or None for i in rows.tolist()], pa.string())
    # Subjects are numbered, and their pictures added up, by what they are and not by where they stand: the
    # samples that are drawn of them, and the last bit of a sum, are then the same in any order of the files.
    keys = pc.coalesce(
        pc.binary_join_element_wise("subject", names, " "),
        pc.binary_join_element_wise("picture", pixels, " "),
    ).dictionary_encode()
    ranked = pc.sort_indices(keys.dictionary)
    rank = np.empty(len(ranked), np.int64)
    rank[np.asarray(ranked)] = np.arange(len(ranked))
    code = rank[np.asarray(keys.indices)]
    declared = np.asarray(pc.starts_with(keys.dictionary.take(ranked), "subject "), np.bool_)
    templates = Templates.of(prints, code, np.asarray(pc.sort_indices(pixels)).astype(np.int64))
    everywhere = np.full(len(side), -1, np.int64)
    everywhere[rows] = code
    # Plain similarities need no cohort, and then no template is made here.
    top = calibration.top
    statistics = against_cohort(
        templates[:] if top else np.zeros((len(templates), 0)), calibration.cohort, top
    )
    return Subjects(everywhere, templates, statistics, declared)


def paired_scores(a: Subjects, b: Subjects, code_a: Ints, code_b: Ints) -> Floats:
    """Normalised scores ``(m,)`` of pairs of templates, rounded for all decisions.

    Example:
        >>> plain = CohortStatistics(np.zeros(2), np.ones(2))
        >>> people = Subjects(np.arange(2), np.eye(2, dtype=np.float32), plain, np.ones(2, bool))
        >>> paired_scores(people, people, np.array([0, 1]), np.array([0, 0])).tolist()
        [1.0, 0.0]
    """
    cosine = paired_products(a.templates, b.templates, code_a, code_b).astype(np.float64)
    left, right = a.statistics, b.statistics
    scores = normalise(cosine, left.mean[code_a], left.std[code_a], right.mean[code_b], right.std[code_b])
    return on_steps(scores)


def template_scores(a: Subjects, b: Subjects, left: Ints, right: Ints) -> Floats:
    """Normalised scores ``(n, m)`` of the templates of subjects ``(n,)`` of A against ``(m,)`` of B.

    Example:
        >>> plain = CohortStatistics(np.zeros(2), np.ones(2))
        >>> people = Subjects(np.arange(2), np.eye(2, dtype=np.float32), plain, np.ones(2, bool))
        >>> template_scores(people, people, np.array([0]), np.array([0, 1])).tolist()
        [[1.0, 0.0]]
    """
    of_a, of_b = a.statistics, b.statistics
    # A template may be made when it is asked for: here each once, and not for every pair.
    cosine = crossed_products(a.templates[left], b.templates[right]).astype(np.float64)
    mean, std = of_a.mean[left][:, None], of_a.std[left][:, None]
    return on_steps(normalise(cosine, mean, std, of_b.mean[right], of_b.std[right]))


@dataclass(frozen=True)
class Pictures:
    """Pictures ``(m,)`` of one dataset, which may repeat.

    Attributes:
        side: The distinct pictures of the dataset.
        pictures: ``(m,)`` which of them.
    """

    side: Side
    pictures: Ints


def picture_scores(a: Pictures, b: Pictures, calibration: Calibration) -> Floats:
    """Normalised scores ``(m,)`` of pairs of pictures themselves, whoever their subjects are.

    Example::

        picture_scores(Pictures(side_a, np.array([0])), Pictures(side_b, np.array([7])), calibration)
    """
    (left, at_left), (right, at_right) = _single(a, calibration), _single(b, calibration)
    return paired_scores(left, right, at_left, at_right)


def _single(pictures: Pictures, calibration: Calibration) -> tuple[Subjects, Ints]:
    """Every picture as a subject of its own, and which of these each of the pictures is."""
    own, where = np.unique(pictures.pictures, return_inverse=True)
    prints = pictures.side.prints(calibration.encoder, own)
    statistics = against_cohort(prints, calibration.cohort, calibration.top)
    return Subjects(own, prints, statistics, np.zeros(0, np.bool_)), where
