"""Packed films: one uint8 array of canonical images, so that training never decodes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from leakscan.engines import start_engine
from leakscan.engines.careful import Careful, Loss, TookTooLong, time_limit
from leakscan.errors import ImageError, SourceError
from leakscan.fingerprint.prepare import decode_within, given_up
from leakscan.settings import DecodeOptions
from leakscan.training.films.form import Form
from leakscan.training.films.manifests import ListedFilm, films_of
from leakscan.types import DecodedImage, ImageRef, Progress, Silent

_CHUNK = 16  # films a worker takes at a time: 4 MB at 512 px
_AGAIN_SECONDS = 0.2
_SHARE_OF_GPU = 0.5  # of what is free there, that films may take


@dataclass(frozen=True, kw_only=True)
class Pack:
    """Films ready for training.

    Attributes:
        films: ``(n, side, side)`` uint8, canonical radiographs, or ``(n, x, y, z)`` volumes; may be
            memory-mapped.
        subjects: ``(n,)`` str, whom each film shows.
        widths: ``(n,)`` int, the width in pixels at which the film was found.
        groups: ``(n,)`` str, what is declared of sex, view and age; empty strings if nothing.
        unread: Path and reason of every image that was left out.
        contrasts: ``(n,)`` str, declared contrast of volumes; empty strings if unknown.
        refs: The ``n`` files that the films were read from; empty where nobody kept them.
    """

    films: npt.NDArray[np.uint8]
    subjects: npt.NDArray[np.str_]
    widths: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_] | None = None
    unread: tuple[tuple[str, str], ...] = ()
    contrasts: npt.NDArray[np.str_] | None = None
    refs: tuple[ImageRef, ...] = ()

    @property
    def sorts(self) -> npt.NDArray[np.generic]:
        """``(n,)`` what must not tell who it is: source width of films, contrast of volumes."""
        return self.contrasts if self.films.ndim == 4 and self.contrasts is not None else self.widths


class PackedFilms:
    """Packed films by number, on the device that trains on them.

    A GPU that has room keeps them all: a batch is then drawn there, and nothing waits for the processor.

    Args:
        films: ``(n, ...)`` uint8; may be memory-mapped.
        device: The device that batches are given on.
    """

    def __init__(self, films: npt.NDArray[np.uint8], device: torch.device) -> None:
        self._films, self._device = films, device
        fits = device.type == "cuda" and films.nbytes < _SHARE_OF_GPU * torch.cuda.mem_get_info(device)[0]
        self._held = torch.from_numpy(np.array(films)).to(device) if fits else None

    def __getitem__(self, chosen: npt.NDArray[np.int64]) -> torch.Tensor:
        """``(k, ...)`` uint8."""
        if self._held is not None:
            return self._held[torch.from_numpy(chosen).to(self._device)]
        return torch.from_numpy(self._films[chosen]).to(self._device)


@dataclass(frozen=True)
class Canonical:
    """One film after a worker.

    Attributes:
        picture: The uint8 array of the form asked for, ``None`` if it cannot be used.
        width: The width of the stored image in pixels.
        error: A sentence if it cannot be used.
    """

    picture: npt.NDArray[np.uint8] | None
    width: int = 0
    error: str = ""


def canonical_film(film: ListedFilm, form: Form) -> Canonical:
    """Decodes one film. Never raises for what is wrong with the file itself.

    Example:
        >>> from PIL import Image
        >>> Image.linear_gradient("L").save("a.png")
        >>> ref = ImageRef(image_id="a", path="a.png", format="png", files=("a.png",))
        >>> film = canonical_film(ListedFilm(ref, "Ann", 0, ""), Form((128, 128)))
        >>> film.picture.shape, film.width
        ((128, 128), 256)
    """
    if film.ref.status != "ok":
        return Canonical(None, error=film.ref.error)
    options = DecodeOptions()
    try:
        with time_limit(options.max_seconds):
            image = _read(film.ref, options)
    except TookTooLong:
        return lost_film(film, "took_too_long")
    except ImageError as e:
        return Canonical(None, error=e.message)
    except OSError as e:
        return Canonical(None, error=f"It cannot be read: {e.strerror or e}.")
    except MemoryError:
        return Canonical(None, error="It does not fit into memory; fewer workers help.")
    if image.values.ndim != len(form.shape):
        what = "a volume" if image.values.ndim == 3 else "a picture"
        return Canonical(None, error=f"It is {what}; this network sees {form.words}.")
    if image.values.min() == image.values.max():
        return Canonical(None, error="It is blank: every pixel is the same.")
    return Canonical(form.of(image), film.width or int(image.stored.shape[1]))


def lost_film(film: ListedFilm, why: Loss) -> Canonical:
    """What stands for a film whose reading never came to an end.

    Example:
        >>> ref = ImageRef(image_id="a", path="a.png", format="png", files=("a.png",))
        >>> lost_film(ListedFilm(ref, "Ann", 0, ""), "died").error
        'Its decoder crashed, and again when it was read alone.'
    """
    return Canonical(None, error=given_up((film.ref, "other_2d"), why, DecodeOptions().max_seconds).error)


def read_films(films: Sequence[ListedFilm], form: Form, workers: int | None) -> Iterator[Canonical]:
    """Films as workers bring them to form, in order; one that kills its worker costs itself only.

    Args:
        films: The films.
        form: The form of the packed films.
        workers: Decoding processes; one per core if not given.

    Example::

        for film, canonical in zip(films, read_films(films, Form((160, 160)), None)):
            print(film.ref.path, canonical.error or "read")
    """
    work = Careful(partial(canonical_film, form=form), lost_film, DecodeOptions().max_seconds)
    return start_engine(workers).map(work, films, chunk=_CHUNK)


def _read(ref: ImageRef, options: DecodeOptions) -> DecodedImage:
    """The pixels of a film; a share that fails now and then is asked once more, a little later."""
    try:
        return decode_within(ref, options)
    except OSError:
        time.sleep(_AGAIN_SECONDS)
        return decode_within(ref, options)


def pack_manifest(
    manifest: Path,
    splits: set[str],
    side: int,
    workers: int | None = None,
    progress: Progress | None = None,
    most: int | None = None,
) -> Pack:
    """Reads the films of some splits of a manifest into memory.

    Args:
        manifest: A table with ``path, subject_id, split``; paths are relative to its folder.
        splits: The values of ``split`` to take.
        side: The side of the packed films in pixels.
        workers: Decoding processes; one per core if not given.
        progress: Receives the number of films read.
        most: The largest number of films to read, by a fixed draw; all if not given.

    Raises:
        SourceError: The manifest cannot be read, or holds no readable film of these splits.

    Example::

        pack = pack_manifest(Path("films.csv"), {"calibration"}, side=192)
        print(pack.films.shape, len(set(pack.subjects)), len(pack.unread))
    """
    progress = progress or Silent()
    films = [film for split in sorted(splits) for film in films_of(manifest, split, progress)]
    if most is not None:
        chosen = np.random.default_rng(0).permutation(len(films))[:most]
        films = [films[i] for i in np.sort(chosen)]
    progress.start("decode", len(films))
    kept: list[tuple[ListedFilm, Canonical]] = []
    unread: list[tuple[str, str]] = []
    form = Form((side, side))
    for film, canonical in zip(films, read_films(films, form, workers), strict=True):
        if canonical.picture is None:
            unread.append((film.ref.path, canonical.error))
        else:
            kept.append((film, canonical))
        progress.advance()
    progress.finish()
    if not kept:
        raise SourceError(f"No film of {' or '.join(sorted(splits))} in {manifest} can be read.")
    return Pack(
        films=np.stack([c.picture for _, c in kept if c.picture is not None]),
        subjects=np.array([f.subject or f"film:{f.ref.image_id}" for f, _ in kept]),
        widths=np.array([c.width for _, c in kept], np.int64),
        groups=np.array([f.group for f, _ in kept]),
        unread=tuple(unread),
        refs=tuple(f.ref for f, _ in kept),
    )


def join_packs(packs: list[Pack]) -> Pack:
    """Concatenates packs of the same side.

    Example:
        >>> films = np.zeros((2, 8, 8), np.uint8)
        >>> one = Pack(films=films, subjects=np.array(["Ann", "Ann"]), widths=np.array([2000, 2500]))
        >>> join_packs([one, one]).films.shape
        (4, 8, 8)
    """
    groups = [p.groups if p.groups is not None else np.full(len(p.subjects), "") for p in packs]
    return replace(
        packs[0],
        films=np.concatenate([p.films for p in packs]),
        subjects=np.concatenate([p.subjects for p in packs]),
        widths=np.concatenate([p.widths for p in packs]),
        groups=np.concatenate(groups),
        unread=tuple(u for p in packs for u in p.unread),
        refs=tuple(r for p in packs for r in p.refs) if all(p.refs for p in packs) else (),
    )
