"""Identifiers that can be compared but not read: one secret key, keyed hashes, and placeholders."""

from __future__ import annotations

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
_WORDS = """
    anon anonym anonymous anonymize anonymized anonymise anonymised anonymouspatient patientanonymous
    anonpatient unknown unk unspecified undefined none null nil na nan notavailable notapplicable
    missing empty blank removed deleted redacted masked hidden private confidential deidentified
    deident deid noname noid nopatientid nil default dummy test testpatient phantom patient patientid
    subject subjectid id name patientname 123456 1234567 12345678 123456789 1234567890 0123456789
"""
_PLACEHOLDERS = frozenset(_WORDS.split())


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
    """An identifier without what systems add or change: padding, case, Unicode form.

    Example:
        >>> normalised("  MRN-0042 ")
        'mrn-0042'
    """
    return unicodedata.normalize("NFC", text.strip(" \t\r\n\0")).strip().casefold()


def is_placeholder(text: str) -> bool:
    """Whether an identifier stands for "no identifier".

    Words such as ANON or UNKNOWN however they are punctuated, nothing but punctuation, ``0`` and
    ``1``, a repeated character (``XXXX``, ``000``, ``9999``; but 2 and 22 are subjects of a small
    study), and dummy counts such as 123456.

    Example:
        >>> is_placeholder("Anonymous"), is_placeholder("P-0042")
        (True, False)
    """
    plain = "".join(c for c in normalised(text) if c.isalnum())
    if not plain or plain in _PLACEHOLDERS:
        return True
    if len(set(plain)) > 1:
        return False
    return not plain.isdigit() or plain[0] == "0" or plain == "1" or len(plain) > 2


def drop_placeholders(subjects: list[str]) -> list[str]:
    """Empties the identifiers of a source that identify nobody.

    Beside :func:`is_placeholder`, an identifier goes that stands on most of a source: on more than
    half of 20 images or more, where it is the only one or on more than ten times as many images as
    is usual for the others. Two or three subjects with many images each stay.

    Args:
        subjects: One entry for each image, empty where unknown. Frames of one file should count once.

    Returns:
        As long as ``subjects``, in the same order.

    Example:
        >>> drop_placeholders(["P1", "unknown", "P2"])
        ['P1', '', 'P2']
    """
    plain = [normalised(s) for s in subjects]
    counts = Counter(p for p in plain if not is_placeholder(p))
    if counts and len(subjects) >= _MANY_IMAGES:
        top, images = counts.most_common(1)[0]
        others = [n for subject, n in counts.items() if subject != top]
        if images * 2 > len(subjects) and (not others or images > 10 * statistics.median(others)):
            del counts[top]
    return [s if p in counts else "" for s, p in zip(subjects, plain, strict=True)]
