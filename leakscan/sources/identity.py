"""Identifiers that can be compared but not read: one secret key, keyed hashes, and placeholders."""

from __future__ import annotations

import datetime as dt
import errno
import os
import secrets
import statistics
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from blake3 import blake3

from leakscan.errors import OutputError, StoreError, reason

_KEY_BYTES = 32
_HASH_BYTES = 16
_MANY_IMAGES = 20
_MOST_DAYS = 3652  # ten years
_WORDS = """
    anon anonym anonymous anonymize anonymized anonymise anonymised anonymouspatient patientanonymous
    anonpatient unknown unk unspecified undefined none null nil na nan notavailable notapplicable
    missing empty blank removed deleted redacted masked hidden private confidential deidentified
    deident deid noname noid nopatientid nil
"""
_DOUBTFUL_WORDS = """
    default dummy test testpatient phantom patient patientid subject subjectid id name patientname
    123456 1234567 12345678 123456789 1234567890 0123456789
"""
_PLACEHOLDERS = frozenset(_WORDS.split())
_DOUBTFUL = frozenset(_DOUBTFUL_WORDS.split())
_FEW_IMAGES = 3
_INVISIBLE = "".join(map(chr, (0, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0xAD, 0x200E, 0x200F)))


@dataclass(frozen=True)
class IdentityKey:
    """The key of a project, in one file that is made when it is first needed.

    Hashes made with one key can be compared with each other; without the key nobody can test whether
    a known identifier is among them. Picklable: a worker reads the file again.

    Attributes:
        path: The file of the key: 32 random bytes, readable by its owner only.

    Example:
        >>> key = IdentityKey(Path("identity.key"))
        >>> key.hash("MRN 0042") == key.hash(" mrn 0042")
        True
        >>> len(key.hash("MRN 0042")), key.hash("")
        (32, '')
    """

    path: Path

    @cached_property
    def _key(self) -> bytes:
        try:
            key = self.path.read_bytes()
        except FileNotFoundError:
            key = self._made()
        except OSError as error:
            raise StoreError(
                f"The identity key {{path}} cannot be read: {reason(error)}.",
                "Name another one with the setting key.",
                code="key_unreadable",
                path=self.path,
            ) from error
        if len(key) != _KEY_BYTES:
            raise StoreError(
                f"The identity key {{path}} is damaged: it has {len(key)} bytes instead of {_KEY_BYTES}.",
                "Put the right file back; stores made with it cannot be joined by identifier without it.",
                path=self.path,
            )
        return key

    @property
    def key_id(self) -> str:
        """Eight hex digits that tell keys apart and betray nothing of them.

        Raises:
            StoreError: The key file cannot be used.
            OutputError: The key file cannot be made.
        """
        return blake3(self._key).hexdigest()[:8]

    def hash(self, text: str) -> str:
        """32 hex digits for an identifier, without regard to case and surrounding space.

        Args:
            text: PatientID, UID or declared subject; an empty one stays empty, because "unknown"
                equals nothing.

        Raises:
            StoreError: The key file cannot be used.
            OutputError: The key file cannot be made.
        """
        plain = normalised(text)
        if not plain:
            return ""
        return blake3(plain.encode("utf-8", "surrogatepass"), key=self._key).hexdigest(length=_HASH_BYTES)

    def name(self, text: str) -> str:
        """32 hex digits for a text as it is spelt, such as a path; never those that :meth:`hash` gives.

        Raises:
            StoreError: The key file cannot be used.
            OutputError: The key file cannot be made.

        Example:
            >>> key = IdentityKey(Path("identity.key"))
            >>> key.name("a.png") == key.name("A.png"), key.name("doe") == key.hash("doe")
            (False, False)
        """
        spelt = f"name|{text}".encode("utf-8", "surrogatepass")
        return blake3(spelt, key=self._key).hexdigest(length=_HASH_BYTES)

    def shifted(self, date: str, subject: str) -> str:
        """A date moved by a secret number of days, the same for every date of a subject.

        Args:
            date: The date as ``YYYY-MM-DD``; what is none becomes empty.
            subject: Whose date it is; without a subject the date becomes empty, for it could not be moved
                together with others.

        Returns:
            A date up to ten years earlier or later, or an empty text.

        Raises:
            StoreError: The key file cannot be used.
            OutputError: The key file cannot be made.

        Example:
            >>> key = IdentityKey(Path("identity.key"))
            >>> one, other = (dt.date.fromisoformat(key.shifted(f"2019-03-{n}", "P7")) for n in (14, 21))
            >>> (other - one).days, key.shifted("2019-03-14", "")
            (7, '')
        """
        try:
            day = dt.date.fromisoformat(date)
        except ValueError:
            return ""
        if not normalised(subject):
            return ""
        days = int(self.name(f"days|{normalised(subject)}")[:12], 16) % (2 * _MOST_DAYS + 1) - _MOST_DAYS
        try:
            return (day + dt.timedelta(days)).isoformat()
        except OverflowError:
            return ""

    def _made(self) -> bytes:
        """Writes a new key beside its place and links it in, so that one of several processes wins."""
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                stream.write(secrets.token_bytes(_KEY_BYTES))
                stream.flush()
                os.fsync(stream.fileno())
            try:
                os.link(draft, self.path)
            except FileExistsError:
                pass
            except OSError as error:  # file systems without hard links
                if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
                    raise
                draft.replace(self.path)
            return self.path.read_bytes()
        except OSError as error:
            raise OutputError(
                f"The identity key {{path}} cannot be made: {reason(error)}.",
                "Name another place with the setting key.",
                code="key_unwritable",
                path=self.path,
            ) from error
        finally:
            draft.unlink(missing_ok=True)


def normalised(text: str) -> str:
    """An identifier without what systems add or change: padding, case, Unicode form, leading zeros.

    Whole numbers lose leading zeros and the point that a table of floats gives them, so that text and
    numbers agree.

    Example:
        >>> normalised("  MRN-0042 "), normalised("00000013"), normalised("13.0")
        ('mrn-0042', '13', '13')
    """
    plain = unicodedata.normalize("NFKC", visible(text))
    plain = plain.strip().casefold()
    number = plain.removesuffix(".0").removeprefix("'")  # by which Excel keeps a number as text
    return number.lstrip("0") or "0" if number.isdigit() and number.isascii() else plain


def visible(text: str) -> str:
    r"""A text without the letters that nobody sees, such as a byte order mark or a soft hyphen.

    Example:
        >>> visible("tr\u200bain\ufeff")
        'train'
    """
    return text.translate(dict.fromkeys(map(ord, _INVISIBLE)))


def is_placeholder(text: str) -> bool:
    """Whether an identifier stands for "no identifier" wherever it stands.

    These are words such as ANON or UNKNOWN, however they are punctuated, and nothing but punctuation.
    What only looks like one (``1``, ``000``, ``XXXX``, ``123456``, ``test``) may be somebody's real
    number: :func:`drop_placeholders` lets the source decide.

    Example:
        >>> is_placeholder("Anonymous"), is_placeholder("P-0042"), is_placeholder("1")
        (True, False, False)
    """
    plain = _letters(text)
    return not plain or plain in _PLACEHOLDERS


def _letters(text: str) -> str:
    return "".join(c for c in normalised(text) if c.isalnum())


def _is_doubtful(text: str) -> bool:
    """Whether an identifier looks like what is filled in where there is none: zeros, XXXX, dummies."""
    plain = _letters(text)
    return plain in _DOUBTFUL or set(plain) <= {"0"} or (len(plain) > 1 and set(plain) <= {"x"})


def drop_placeholders(subjects: list[str]) -> list[str]:
    """Empties the identifiers of a source that identify nobody.

    Beside what :func:`is_placeholder` knows, only an identifier goes that stands on most of a source: on
    more than half of 20 images or more, where it is the only one or on more than ten times as many images
    as is usual for the others. For zeros, XXXX, ``test`` and the like 3 images are enough. Two or three
    subjects with many images each stay, and so do subjects called 1, 111, A or B.

    Args:
        subjects: One entry for each image, empty where unknown. Frames of one file should count once.

    Returns:
        As long as ``subjects``, in the same order.

    Example:
        >>> drop_placeholders(["P1", "unknown", "P2", "111"])
        ['P1', '', 'P2', '111']
    """
    plain = [normalised(s) for s in subjects]
    counts = Counter(p for p in plain if not is_placeholder(p))
    if counts:
        top, images = counts.most_common(1)[0]
        others = [n for subject, n in counts.items() if subject != top]
        enough = _FEW_IMAGES if _is_doubtful(top) else _MANY_IMAGES
        alone = not others or _is_doubtful(top) or images > 10 * statistics.median(others)
        if alone and len(subjects) >= enough and images * 2 > len(subjects):
            del counts[top]
    return [s if p in counts else "" for s, p in zip(subjects, plain, strict=True)]


def dropped_words(before: list[str], after: list[str], dataset: str) -> str:
    """What was dropped from a source as no identifier, in a sentence; empty where nothing was.

    No identifier is named, because it may be one.

    Args:
        before: What the images declare.
        after: What :func:`drop_placeholders` left of it.
        dataset: The name of the source.

    Example:
        >>> dropped_words(["P1", "ANON", "ANON"], ["P1", "", ""], "ward")  # doctest: +ELLIPSIS
        '2 of 3 images of ward declare what identifies nobody (a placeholder, or the same on most of them)...'
    """
    gone = [b for b, a in zip(before, after, strict=True) if normalised(b) and not a]
    if not gone:
        return ""
    several = len({normalised(b) for b in gone})
    spellings = "1 identifier" if several == 1 else f"{several:,} identifiers"
    return (
        f"{len(gone):,} of {len(before):,} images of {dataset} declare what identifies nobody (a "
        f"placeholder, or the same on most of them): {spellings} dropped, so these subjects count as unknown."
    )
