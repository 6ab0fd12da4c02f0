"""What fingerprints of films give away: inversion, membership, and what a project key hides.

``python -m leakscan.research.given_away DATA`` plays somebody who holds a store and the encoder. A small
decoder learns on films of ``train`` to draw a film from its fingerprint, and is judged on people of ``val``
whom it has never seen. Whether the encoder was trained on somebody is guessed from how alike it finds their
films. And a store under a project key is attacked in two ways: with some films whose plain fingerprints are
known, and with nothing but films of other people.

Films that are drawn, and no films of people, are shown with ``--pictures``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
import typer

from leakscan.cli.output import Output
from leakscan.fingerprint.encoders.load import encoder_here
from leakscan.fingerprint.encoders.registry import cards
from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph
from leakscan.fingerprint.project_key import ProjectKey
from leakscan.research.command import DataArgument, run_command
from leakscan.settings import DecodeOptions
from leakscan.sources.formats import decode
from leakscan.sources.open import open_source
from leakscan.synthetic.films import draw_film
from leakscan.types import ImageRef, Silent

SIDE = 64
"""Pixels a side of what the decoder draws."""
_EPOCHS, _BATCH, _RATE, _WIDE = 30, 64, 3e-4, 1024
_COMPONENTS, _SPREAD_OF = 600, 2_000
"""Axes of most spread that the decoder draws along, and of how many films they are those."""
_DRAWN = 6
_AXES = 24

Floats = npt.NDArray[np.float32]
Decoder = Callable[[Floats], Floats]


@dataclass(frozen=True)
class SeenFilms:
    """Films, as small pictures and as fingerprints.

    Attributes:
        pictures: ``(n, 64, 64)`` in 0..1.
        prints: ``(n, d)`` fingerprints, as a store holds them.
        people: ``(n,)`` whose film each is.
    """

    pictures: Floats
    prints: Floats
    people: npt.NDArray[np.str_]


class Eyes:
    """The shipped encoder of films.

    Args:
        name: The name of the encoder.
    """

    def __init__(self, name: str = "cxr-lite0") -> None:
        self.card, self._folder = cards()[name]

    def prints(self, films: Sequence[npt.NDArray[np.float32]]) -> Floats:
        """Fingerprints ``(n, d)`` of films of any size, in half precision as stores keep them."""
        out = []
        for film in films:
            canonical = np.rint(canonical_radiograph(film, self.card.side) * 255).astype(np.uint8)
            out.append(encoder_here(str(self._folder)).encode(canonical[None]).fingerprints[0])
        return np.array(out, np.float16).astype(np.float32)

    def seen(self, films: Sequence[npt.NDArray[np.float32]], people: Sequence[str]) -> SeenFilms:
        """Films and their fingerprints."""
        small = np.stack([canonical_radiograph(film, SIDE) for film in films]).astype(np.float32)
        return SeenFilms(small, self.prints(films), np.array(people))


def read_people(manifest: str, people: int, each: int, seed: int, eyes: Eyes) -> SeenFilms:
    """Films of people drawn at random.

    Args:
        manifest: The manifest, with a selection of rows.
        people: How many people.
        each: How many films of each, at most.
        seed: The seed of the draw.
        eyes: The encoder.

    Example::

        seen = read_people("cxr/nih/manifest.csv?split=val", 300, 2, 0, Eyes())
    """
    options = DecodeOptions()
    by_person: dict[str, list[ImageRef]] = {}
    for ref in open_source(manifest, options).scan(Silent()):
        if ref.status == "ok" and ref.tags.subject:
            by_person.setdefault(ref.tags.subject, []).append(ref)
    names = sorted(by_person)
    chosen = [names[i] for i in np.random.default_rng(seed).permutation(len(names))[:people]]
    refs = [(ref, name) for name in chosen for ref in by_person[name][:each]]
    films = [decode(ref, options).values for ref, _ in refs]
    return eyes.seen(films, [name for _, name in refs])


def kept_people(file: Path | None, read: Callable[[], SeenFilms]) -> SeenFilms:
    """Films as they were read once, or read now and kept.

    Args:
        file: The npz file that keeps them; ``None`` reads them every time.
        read: Reads them.

    Example::

        kept_people(Path("val.npz"), lambda: read_people("cxr/nih/manifest.csv?split=val", 300, 2, 0, Eyes()))
    """
    if file is not None and file.exists():
        with np.load(file, allow_pickle=False) as kept:
            return SeenFilms(kept["pictures"], kept["prints"], kept["people"])
    seen = read()
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part.npz")
        np.savez(part, pictures=seen.pictures, prints=seen.prints, people=seen.people)
        part.replace(file)
    return seen


def trained_decoder(train: SeenFilms, seed: int, tell: Callable[[str], None] = lambda words: None) -> Decoder:
    """A decoder that has learnt to draw films from their fingerprints.

    It finds where a film lies along the axes of most spread of the films that it learns from. People set
    aside, a tenth, choose the epoch.

    Args:
        train: The films that it learns from.
        seed: The seed of its weights and of the order of films.
        tell: Receives how far it is, in a sentence.

    Example::

        decoder = trained_decoder(train, seed=0)
        decoder(val.prints).shape  # (n, 64, 64)
    """
    import torch
    from torch import nn

    torch.manual_seed(seed)
    mean, axes = _components(train.pictures, seed)
    flat = (train.pictures - mean).reshape(len(train.pictures), -1)
    scale = train.prints.shape[1] ** 0.5  # numbers near 1, as networks like them
    prints, wanted = torch.from_numpy(train.prints * np.float32(scale)), torch.from_numpy(flat @ axes.T)
    names = np.unique(train.people)
    aside = np.isin(train.people, np.random.default_rng(seed).permutation(names)[: len(names) // 10])
    learnt, judged = torch.from_numpy(np.flatnonzero(~aside)), torch.from_numpy(np.flatnonzero(aside))
    net = nn.Sequential(
        nn.Linear(prints.shape[1], _WIDE), nn.GELU(), nn.Dropout(0.5),
        nn.Linear(_WIDE, _WIDE), nn.GELU(), nn.Dropout(0.5),
        nn.Linear(_WIDE, len(axes)),
    )  # fmt: skip
    steps = torch.optim.AdamW(net.parameters(), _RATE, weight_decay=0.05)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(steps, _EPOCHS)
    best, kept = np.inf, {name: value.clone() for name, value in net.state_dict().items()}
    for epoch in range(_EPOCHS):
        net.train()
        for at in torch.split(learnt[torch.randperm(len(learnt))], _BATCH):
            steps.zero_grad()
            ((net(prints[at]) - wanted[at]) ** 2).sum(dim=1).mean().backward()
            steps.step()
        rates.step()
        net.eval()
        with torch.no_grad():
            off = float(((net(prints[judged]) - wanted[judged]) ** 2).sum(dim=1).mean())
        if off < best:
            best, kept = off, {name: value.clone() for name, value in net.state_dict().items()}
        if (epoch + 1) % 10 == 0:
            part = off / float((flat[aside] ** 2).sum(axis=1).mean())
            tell(f"  epoch {epoch + 1} of {_EPOCHS}: {part:.3f} of the variance is not drawn")
    net.load_state_dict(kept)

    def decoder(vectors: Floats) -> Floats:
        with torch.no_grad():
            found = net(torch.from_numpy((vectors * scale).astype(np.float32))).numpy()
        return np.asarray((found @ axes).reshape(-1, SIDE, SIDE) + mean, np.float32)

    return decoder


def _components(pictures: Floats, seed: int) -> tuple[Floats, Floats]:
    """The mean picture, and the axes ``(k, pixels)`` of most spread about it."""
    some = np.random.default_rng(seed).permutation(len(pictures))[:_SPREAD_OF]
    mean = pictures.mean(axis=0)
    _, _, axes = np.linalg.svd((pictures[some] - mean).reshape(len(some), -1), full_matrices=False)
    return mean, np.ascontiguousarray(axes[:_COMPONENTS])


def correlations(one: Floats, other: Floats) -> npt.NDArray[np.float64]:
    """``(n,)`` correlations of pictures, pixel by pixel.

    Example:
        >>> picture = np.arange(8, dtype=np.float32).reshape(1, 2, 4)
        >>> correlations(picture, 2 * picture).round(6).tolist()
        [1.0]
    """
    a, b = (np.asarray(p, np.float64).reshape(len(p), -1) for p in (one, other))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    return np.asarray(
        (a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-9)
    )


def inversion(decoder: Decoder, train: SeenFilms, others: SeenFilms, eyes: Eyes) -> Mapping[str, float]:
    """How well films of unseen people are drawn, beside the mean film and the film of the nearest person.

    Args:
        decoder: The decoder.
        train: What it learnt from.
        others: Films of people whom it has not seen.
        eyes: The encoder, which is shown what was drawn.

    Example::

        print(inversion(decoder, train, val, Eyes()))
    """
    drawn = decoder(others.prints)
    mean = train.pictures.mean(axis=0)
    nearest = train.pictures[(others.prints @ train.prints.T).argmax(axis=1)]
    shown = eyes.prints([picture.astype(np.float32) for picture in np.clip(drawn, 0, 1)])
    alike = shown @ others.prints.T
    found = alike.argmax(axis=1) == np.arange(len(alike))
    rank = (alike > np.diag(alike)[:, None]).sum(axis=1)
    return {
        "films": float(len(drawn)),
        "drawn": float(np.median(correlations(drawn, others.pictures))),
        "mean film": float(np.median(correlations(np.broadcast_to(mean, drawn.shape), others.pictures))),
        "nearest film": float(np.median(correlations(nearest, others.pictures))),
        "beyond the mean, drawn": float(np.median(correlations(drawn - mean, others.pictures - mean))),
        "beyond the mean, nearest": float(np.median(correlations(nearest - mean, others.pictures - mean))),
        "drawn film found among all": float(found.mean()),
        "drawn film among the first ten": float((rank < 10).mean()),
    }


def membership(train: SeenFilms, others: SeenFilms) -> float:
    """AUC of guessing from two films of a person whether the encoder was trained on this person.

    Args:
        train: Films of people of the training set, two each.
        others: Films of others, two each.

    Example::

        membership(train, val)  # 0.5 where nothing is given away
    """
    scores = []
    for films in (train, others):
        pairs = [np.flatnonzero(films.people == name)[:2] for name in np.unique(films.people)]
        scores.append(np.array([films.prints[p[0]] @ films.prints[p[1]] for p in pairs if len(p) == 2]))
    above = scores[0][:, None] - scores[1][None, :]
    return float((above > 0).mean() + (above == 0).mean() / 2)


def matched_with_known(plain: Floats, keyed: Floats, known: int) -> float:
    """The share of a keyed store that is found again with so many pairs of plain and keyed fingerprints.

    The rotation is the one that fits the known pairs best (orthogonal Procrustes: Schoenemann 1966).

    Args:
        plain: ``(n, d)`` plain fingerprints, of which the first ``known`` are known to the attacker.
        keyed: ``(n, d)`` the same under the key.
        known: How many pairs the attacker has.

    Example:
        >>> some = np.random.default_rng(0).normal(size=(90, 8)).astype(np.float32)
        >>> turned = some @ np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))[0]
        >>> matched_with_known(some, turned, known=20)
        1.0
    """
    left, _, right = np.linalg.svd(plain[:known].T @ keyed[:known])
    return _found(plain[known:] @ (left @ right), keyed[known:])


def matched_with_nothing(others: Floats, plain: Floats, keyed: Floats) -> float:
    """The share of a keyed store that is found again with nothing but fingerprints of other people.

    Axes of most spread are the same in any two samples of one population, up to their signs, which the
    skewness tells.

    Args:
        others: ``(m, d)`` plain fingerprints of other people.
        plain: ``(n, d)`` plain fingerprints of the people in the store, which are sought in it.
        keyed: ``(n, d)`` the store.

    Example::

        matched_with_nothing(train.prints, val.prints, key.turned(val.prints))
    """
    axes = []
    for prints in (others, keyed):
        centred = prints - prints.mean(axis=0)
        _, _, own = np.linalg.svd(centred, full_matrices=False)
        own = own[:_AXES]  # those of least spread differ from sample to sample
        signs = np.sign(((centred @ own.T) ** 3).mean(axis=0))
        axes.append((own.T * signs, prints.mean(axis=0)))
    (from_, mean), (to, keyed_mean) = axes
    return _found((plain - mean) @ from_, (keyed - keyed_mean) @ to)


def _found(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> float:
    a, b = (v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-9) for v in (one, other))
    return float(((a @ b.T).argmax(axis=1) == np.arange(len(a))).mean())


def draw_pictures(decoder: Decoder, eyes: Eyes, path: Path) -> None:
    """Drawn films, which show nobody, above what the decoder makes of their fingerprints.

    Args:
        decoder: The decoder.
        eyes: The encoder.
        path: The PNG file to write.

    Example::

        draw_pictures(decoder, Eyes(), Path("docs/inverted.png"))
    """
    films = [np.asarray(draw_film(np.random.default_rng([11, i]), height=208)) for i in range(_DRAWN)]
    seen = eyes.seen([film.astype(np.float32) for film in films], list(map(str, range(_DRAWN))))
    rows = [
        np.concatenate(list(some), axis=1) for some in (seen.pictures, np.clip(decoder(seen.prints), 0, 1))
    ]
    cv2.imwrite(str(path), cv2.resize(np.rint(np.concatenate(rows) * 255).astype(np.uint8), None, fx=2, fy=2))


def given_away(
    data: DataArgument,
    people: Annotated[int, typer.Option("--people", help="People of train, two films each.")] = 1500,
    others: Annotated[int, typer.Option("--others", help="People of val, two films each.")] = 250,
    seed: Annotated[int, typer.Option("--seed", help="Seed of all draws.")] = 0,
    pictures: Annotated[Path | None, typer.Option("--pictures", help="PNG of inverted drawn films.")] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Folder that keeps what was read, for the next time.")
    ] = None,
) -> None:
    """Invert fingerprints, guess membership, and attack a project key.

    Example: python -m leakscan.research.given_away shared/data
    """
    import torch

    torch.set_num_threads(1)
    out, eyes = Output(), Eyes()
    manifest = f"{data / 'cxr' / 'nih' / 'manifest.csv'}?split="

    def films(split: str, count: int) -> SeenFilms:
        name = f"{eyes.card.encoder.replace('@', '-')}-{split}-{count}-{seed}.npz"
        read = partial(read_people, f"{manifest}{split}", count, 2, seed, eyes)
        return kept_people(keep / name if keep else None, read)

    train, val = films("train", people), films("val", others)
    out.say(f"{eyes.card.encoder}: {len(train.people):,} films of train, {len(val.people):,} of val.")
    out.say(f"membership in the training set, AUC: {membership(train, val):.3f}")
    secret = Path("given-away.key")
    secret.write_bytes(np.random.default_rng(seed).bytes(32))
    first = np.unique(val.people, return_index=True)[1]
    plain = val.prints[first]
    keyed = ProjectKey(secret).turned(plain).astype(np.float16).astype(np.float32)
    secret.unlink()
    for known in (16, 64, 128):
        if known < len(plain) - 1:
            out.say(
                f"keyed films found with {known} known pairs: {matched_with_known(plain, keyed, known):.3f}"
            )
    out.say(f"keyed films found without any: {matched_with_nothing(train.prints, plain, keyed):.3f}")
    decoder = trained_decoder(train, seed, out.say)
    for name, figure in inversion(decoder, train, val, eyes).items():
        out.say(f"{name}: {figure:.3f}")
    if pictures is not None:
        draw_pictures(decoder, eyes, pictures)


if __name__ == "__main__":
    run_command(given_away)
