"""What a pair is, why we say so, and what to do about it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from leakscan.decide.copies import CopyCheck
from leakscan.decide.persons.folds import FoldMatch
from leakscan.types import Decision, Relation

_ALIKE_BITS = 4
_ALIKE_SIMILARITY = 0.97
_MOST_NATS = 14.0  # a ratio of a million: more is not borne out by some thousand pairs


@dataclass(frozen=True)
class Facts:
    """Everything known about a pair of images.

    Attributes:
        same_file: equal file hashes.
        same_pixels: equal pixel hashes.
        similarity: cosine of the fingerprints, ``None`` where they were not compared.
        score: the same, normalised against the cohort; ``None`` likewise.
        p_value: false match rate at the score of the two subjects, ``None`` likewise.
        p_floor: the smallest p-value that the calibration supports; the false match rate may be lower.
        q_value: expected share of false pairs among those at least as good, ``None`` likewise.
        comparisons: subject comparisons made.
        person: what the fingerprints alone decide, ``None`` for nothing.
        bits: differing bits of the perceptual hashes, ``None`` if beyond the radius.
        verification: of the pixels, ``None`` if they were not looked at.
        why_unverified: why not, in a few words.
        detail_gain: what a second look added to the log-likelihood ratio of one person, in nats, ``None`` if
            nobody looked.
        folds: how the folds of two brains agree, ``None`` if nobody looked.
        same_subject_id: declared subjects agree (keyed hashes, placeholders dropped).
        same_study_uid: study UIDs agree.
        ids_are_proof: identifiers may be compared across these sources (``--same-ids``, or one
            dataset with itself).
    """

    same_file: bool = False
    same_pixels: bool = False
    similarity: float | None = None
    score: float | None = None
    p_value: float | None = None
    p_floor: float = 0.0
    q_value: float | None = None
    comparisons: int = 0
    person: Decision | None = None
    bits: int | None = None
    verification: CopyCheck | None = None
    why_unverified: str = ""
    detail_gain: float | None = None
    folds: FoldMatch | None = None
    same_subject_id: bool = False
    same_study_uid: bool = False
    ids_are_proof: bool = False


@dataclass(frozen=True)
class Verdict:
    """The decision about a pair.

    Attributes:
        relation: what the pair is.
        decision: ``leak`` or ``review``.
        evidence: sentences, strongest first.
    """

    relation: Relation
    decision: Decision
    evidence: list[str] = field(default_factory=list)


def judge(facts: Facts) -> Verdict | None:
    """The strongest relation the facts bear out, or ``None`` for a pair of strangers.

    Args:
        facts: about the pair.
    """
    support = _supporting(facts)
    if facts.same_file:
        return Verdict("same_file", "leak", ["equal files (blake3)", *support])
    if facts.same_pixels:
        return Verdict("same_pixels", "leak", ["equal pixels in another file", *support])
    seen = facts.verification
    if seen is not None and seen.same_image:
        words = f"aligned correlation {seen.correlation:.3f} on {seen.overlap:.0%} of the picture"
        if seen.inliers:
            words += f", {seen.inliers} matched keypoints"
        return Verdict("same_image", "leak", [words, *support])
    alike = seen is None and _alike(facts)
    if alike:
        support = [f"perhaps a copy, unverified: {facts.why_unverified}", *support]
    # What could not be verified never weakens what is proved otherwise.
    if (facts.ids_are_proof and facts.same_subject_id) or facts.person == "leak":
        return Verdict("same_subject", "leak", support)
    if alike:
        return Verdict("same_image", "review", support)
    if facts.person == "review":
        return Verdict("same_subject", "review", support)
    return None


def _alike(facts: Facts) -> bool:
    near = facts.bits is not None and facts.bits <= _ALIKE_BITS
    return near or (facts.similarity is not None and facts.similarity >= _ALIKE_SIMILARITY)


def _supporting(facts: Facts) -> list[str]:
    out = []
    if facts.same_subject_id:
        proof = "" if facts.ids_are_proof else " (not proof across sources without --same-ids)"
        out.append(f"same declared subject{proof}")
    if facts.same_study_uid:
        out.append("same StudyInstanceUID")
    if facts.similarity is not None and facts.p_value is not None:
        expected = f"{facts.p_value * facts.comparisons:.2g} false pairs"
        most = "about or below " if facts.p_value <= facts.p_floor else ""
        out.append(
            f"fingerprint similarity {facts.similarity:.3f}: {most}{expected} as good expected "
            f"in {facts.comparisons:,} subject comparisons"
        )
    if facts.detail_gain is not None:
        times = f"{math.exp(min(abs(facts.detail_gain), _MOST_NATS)):.2g}"
        likelier = "likelier" if facts.detail_gain >= 0 else "less likely"
        out.append(f"a second look at both films makes one person {times} times {likelier}")
    if facts.folds is not None:
        words = f"folds agree by {facts.folds.agreement:.2f} once the two are aligned to each other"
        if facts.folds.others:
            words += f"; with {facts.folds.others} others they agree by {facts.folds.strangers:.2f} at most"
        out.append(words)
    if facts.bits is not None:
        out.append(f"perceptual hashes differ in {facts.bits} of 63 bits")
    return out
