"""Subjects read from file names, by a rule that the user names; nothing is guessed."""

from __future__ import annotations

import difflib
import re
import unicodedata
from dataclasses import dataclass

from leakscan.errors import UsageError

PRESETS = {
    # sub-<label>, the first entity of a BIDS path (BIDS 1.9, "Entities")
    "bids": r"(?:^|/)sub-(?P<subject>[0-9A-Za-z]+)(?=[_/.]|$)",
    # NNNNNNNN_FFF: patient and follow-up number, whatever the picture was converted to
    "chestxray14": r"(?:^|/)(?P<subject>\d{8})_\d{3}\.[^/]+$",
    # patientNNNNN/studyN/viewN_frontal.jpg
    "chexpert": r"(?:^|/)(?P<subject>patient\d+)/study\d+/view\d+[^/]*$",
}


@dataclass(frozen=True)
class SubjectRule:
    """How a relative path names its subject. Picklable.

    Attributes:
        name: The rule as the user gave it.
        pattern: What is sought in the path; its group ``subject``, else its first group, is the subject.
    """

    name: str
    pattern: re.Pattern[str]

    def subject(self, path: str) -> str:
        """The subject that a posix path relative to the source declares, or an empty string."""
        found = self.pattern.search(unicodedata.normalize("NFC", path))
        if found is None:
            return ""
        group = "subject" if "subject" in self.pattern.groupindex else 1
        return (found.group(group) or "").strip()


def parse_subject_rule(text: str) -> SubjectRule:
    """Reads ``bids``, ``chestxray14``, ``chexpert`` or ``regex:PATTERN``.

    Example:
        >>> parse_subject_rule("bids").subject("sub-07/anat/sub-07_T1w.nii.gz")
        '07'
        >>> parse_subject_rule("regex:(p[0-9]+)/").subject("ward/p12/film.png")
        'p12'

    Raises:
        UsageError: The text is an unknown preset, or a pattern that is no regular expression or has no
            group.
    """
    if text in PRESETS:
        return SubjectRule(text, re.compile(PRESETS[text]))
    choices = f"{', '.join(PRESETS)} or regex:PATTERN"
    if not text.startswith("regex:"):
        near = difflib.get_close_matches(text, PRESETS, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Choose {choices}."
        raise UsageError(f"There is no subject rule called {text!r}; there are {choices}.", hint)
    try:
        pattern = re.compile(unicodedata.normalize("NFC", text.removeprefix("regex:")))
    except re.error as error:
        raise UsageError(f"The subject rule {text!r} is not a regular expression: {error}.") from error
    if not pattern.groups:
        raise UsageError(
            f"The subject rule {text!r} has no group that says which part of the path is the subject.",
            "Put it in parentheses, as in 'regex:(p[0-9]+)/'.",
        )
    return SubjectRule(text, pattern)
