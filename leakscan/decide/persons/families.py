"""From p-values to decisions: one family of tests for every dataset, against all others together.

One test is "the best match of this subject in all other datasets is a stranger". The tests of all subjects
of one dataset are a family, so a tenth dataset brings more pairs and not nine more chances. A pair belongs
to the families of both its datasets and gets the larger q-value. Pairs that are proved to be one picture are
no tests, but their subjects are tested like any others. Discoveries are counted in groups of subjects that
hang together: where nobody declares subjects, the films of one person are many tests but one discovery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from leakscan.decide.persons.discovery import best_of_units, groups_found, q_values, unit_p_value

_SLACK = 1.05
"""What the expected false pairs may exceed the promise by, for rounding alone: one test of a subject is as
good as its pairs while p is small."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Tested:
    """The pairs of two datasets that are tested for one person.

    Attributes:
        a: The number of the first dataset.
        b: The number of the second.
        code_a: ``(m,)`` subject of each pair in the first.
        code_b: ``(m,)`` subject of each pair in the second.
        p: ``(m,)`` p-values.
        open: ``(m,)`` which pairs are not proved to be one picture.
    """

    a: int
    b: int
    code_a: Ints
    code_b: Ints
    p: Floats
    open: Bools


def family_q(tested: Sequence[Tested], subjects: Mapping[int, int]) -> list[Floats]:
    """The q-values of the pairs of every two datasets.

    Args:
        tested: The pairs of every two datasets that one encoder compared.
        subjects: How many subjects each dataset has, by its number.

    Returns:
        ``(m,)`` for each of ``tested``.

    Example:
        >>> pairs = Tested(a=0, b=1, code_a=np.array([0, 1]), code_b=np.array([0, 1]),
        ...                p=np.array([1e-9, 0.2]), open=np.ones(2, bool))
        >>> family_q([pairs], {0: 10, 1: 10})[0].round(3).tolist()
        [0.0, 1.0]
    """
    before = dict(zip(subjects, np.cumsum([0, *subjects.values()]).tolist(), strict=False))
    out = [np.zeros(len(pairs.p)) for pairs in tested]
    for number, own in subjects.items():
        of_family = [at for at, pairs in enumerate(tested) if number in (pairs.a, pairs.b)]
        met = {tested[at].a + tested[at].b - number for at in of_family}
        others = sum(subjects[other] for other in met)
        if not others or not own:
            continue
        one, other, p = [], [], []
        for at in of_family:
            pairs = tested[at]
            ends = [(pairs.a, pairs.code_a), (pairs.b, pairs.code_b)]
            (_, own_codes), (theirs, their_codes) = ends if pairs.a == number else ends[::-1]
            one.append(own_codes[pairs.open])
            other.append(their_codes[pairs.open] + before[theirs])
            p.append(pairs.p[pairs.open])
        family = _Family(np.concatenate(one), np.concatenate(other), np.concatenate(p))
        for at in of_family:
            out[at] = np.maximum(out[at], family.q_at(tested[at].p, own, others))
    return out


@dataclass(frozen=True)
class _Family:
    """The pairs of one dataset's subjects with those of all others, ``(n,)`` each."""

    own: Ints
    other: Ints
    p: Floats

    def q_at(self, p: Floats, units: int, others: int) -> Floats:
        """The q-value of pairs with these p-values, of so many subjects that met so many others."""
        best = np.sort(best_of_units(self.p, self.own, units))
        found = np.maximum(groups_found(self.p, self.own, self.other, best), 1)
        # A pair is called a leak exactly where the tests up to its p-value are: the q-value of the
        # first test that is no better than it.
        q = np.append(q_values(unit_p_value(best, others), found=found), 1.0)
        return np.asarray(q[np.searchsorted(best, np.nan_to_num(p, nan=1.0), side="left")], np.float64)


def check_promise(pairs: Tested, called: Bools, sizes: tuple[int, int], fdr: float) -> None:
    """Makes sure that no more false pairs are expected among those called than were promised.

    It counts anew, from the sizes of the two datasets and the pairs called alone, whatever the families came
    to.

    Args:
        pairs: The pairs of the two datasets.
        called: ``(m,)`` which of them are called leaks.
        sizes: How many subjects each dataset has.
        fdr: The share of false ones that was promised.

    Raises:
        AssertionError: More are expected; the program is wrong then.

    Example:
        >>> pairs = Tested(a=0, b=1, code_a=np.array([0]), code_b=np.array([0]), p=np.array([1e-9]),
        ...                open=np.ones(1, bool))
        >>> check_promise(pairs, np.ones(1, bool), (10, 10), fdr=0.01)
    """
    at = np.flatnonzero(called)
    if not len(at):
        return
    one, at_one = np.unique(pairs.code_a[at], return_inverse=True)
    other, at_other = np.unique(pairs.code_b[at], return_inverse=True)
    total = len(one) + len(other)
    graph = coo_array((np.ones(len(at)), (at_one, len(one) + at_other)), shape=(total, total))
    groups = int(connected_components(graph, directed=False)[0])
    expected = float(pairs.p[at].max()) * sizes[0] * sizes[1]
    assert expected <= fdr * groups * _SLACK, (
        f"{expected:.3g} false ones are expected among {groups} called, and a share of {fdr:.2g} was promised"
    )
