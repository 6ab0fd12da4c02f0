"""Where encoders lie, and which one serves which kind of image."""

from __future__ import annotations

import lzma
import os
import shutil
import zipfile
import zlib
from pathlib import Path

from leakscan.errors import ModelError, reason
from leakscan.fingerprint.encoders.card import Card, read_card, weights_digest
from leakscan.types import Kind

_PACKAGE = Path(__file__).resolve().parents[2]
_MOST_TEXT, _MOST_TENSORS = 2**26, 2**32
_ADDABLE = {
    "card.json": _MOST_TEXT,
    "README.md": _MOST_TEXT,
    "weights.safetensors": _MOST_TENSORS,
    "calibration.safetensors": _MOST_TENSORS,
    "detail.safetensors": _MOST_TENSORS,
}
"""The files of a model, and how many bytes of each are taken from a zip."""
_SWOLLEN = 100
"""Nothing in a model shrinks so much in a zip: more is a bomb."""


def _user_models() -> Path:
    """The folder for encoders that a user adds: ``$LEAKSCAN_MODELS`` or the XDG data folder."""
    if given := os.environ.get("LEAKSCAN_MODELS"):
        return Path(given)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "leakscan" / "models"


def model_folders() -> list[Path]:
    """Folders of all encoders: added ones first, then those shipped in the wheel or checkout.

    Raises:
        ModelError: The folder that the user named for encoders cannot be read.

    Example:
        >>> {"brain-folds", "cxr-lite0"} <= {folder.name for folder in model_folders()}
        True
    """
    roots = [_user_models(), _PACKAGE / "_models", _PACKAGE.parent / "models"]
    folders: dict[str, Path] = {}
    for root in roots:
        try:
            inside = sorted(root.iterdir()) if root.is_dir() else []
            found = [folder for folder in inside if (folder / "card.json").is_file()]
        except OSError as e:
            # A home that belongs to somebody else, as in many a container, holds no encoder of this user.
            if not os.environ.get("LEAKSCAN_MODELS") or root != roots[0]:
                continue
            raise ModelError(
                f"The encoders in {{path}} cannot be read: {reason(e)}.",
                "Name another folder in the environment variable LEAKSCAN_MODELS.",
                path=root,
            ) from e
        for folder in found:
            folders.setdefault(folder.name, folder)
    return list(folders.values())


def cards() -> dict[str, tuple[Card, Path]]:
    """Every encoder by name, with its folder.

    Raises:
        ModelError: A card is damaged.

    Example:
        >>> card, folder = cards()["cxr-lite0"]
        >>> card.kind, (folder / card.weights).is_file()
        ('chest_radiograph', True)
    """
    return {card.name: (card, folder) for folder in model_folders() for card in (read_card(folder),)}


def default_encoder(kind: Kind) -> str | None:
    """The name of the encoder that serves a kind of image where the user names none, if there is one.

    Example:
        >>> default_encoder("other_2d") is None
        True
    """
    entry = card_for(kind)
    return None if entry is None else entry[0].name


def card_for(kind: Kind, name: str | None = None) -> tuple[Card, Path] | None:
    """The encoder for a kind of image, ``None`` where there is none.

    Args:
        kind: The kind of the images.
        name: The encoder to prefer where it serves this kind. The default is the first by name of
            those that the user added, else of those shipped.

    Raises:
        ModelError: ``name`` is unknown.

    Example:
        >>> card, folder = card_for("brain_mri")
        >>> card.name
        'brain-folds'
    """
    known = cards()
    if name is not None:
        if name not in known:
            raise ModelError(
                f"There is no encoder {name!r}; known are: {', '.join(known) or 'none'}.",
                "Name one of these, or add it first.",
                code="no_encoder",
            )
        if known[name][0].kind == kind:
            return known[name]
    return next((entry for entry in known.values() if entry[0].kind == kind), None)


def add_model(file: Path) -> Card:
    """Installs an encoder from a zip of its folder.

    Taken are card.json, weights.safetensors, calibration.safetensors, detail.safetensors and README.md.

    Raises:
        ModelError: The file is no such zip, or its weights are not those of its card.

    Example:
        >>> _, folder = cards()["cxr-lite0"]
        >>> with zipfile.ZipFile("model.zip", "w") as z:
        ...     for name in ("card.json", "weights.safetensors"):
        ...         z.write(folder / name, name)
        >>> add_model(Path("model.zip")).name
        'cxr-lite0'
        >>> cards()["cxr-lite0"][1] == Path(os.environ["LEAKSCAN_MODELS"]) / "cxr-lite0"
        True
    """
    try:
        with zipfile.ZipFile(file) as z:
            members = {Path(m.filename).name: m for m in z.infolist() if Path(m.filename).name in _ADDABLE}
            for name, member in members.items():
                if member.flag_bits & 1:
                    raise ModelError(f"The {name} in {{path}} is encrypted.", "Unpack it first.", path=file)
                if member.file_size > min(_ADDABLE[name], _SWOLLEN * member.compress_size + _MOST_TEXT // 8):
                    raise ModelError(
                        f"The {name} in {{path}} would be {member.file_size:,} bytes, which no model's is.",
                        path=file,
                    )
            contents = {name: z.read(member) for name, member in members.items()}
    # A compression that zipfile does not know is a NotImplementedError.
    except (
        OSError,
        EOFError,
        ValueError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
    ) as e:
        raise ModelError(
            f"{{path}} cannot be read as a zip of a model folder: {reason(e)}.", path=file
        ) from e
    if not {"card.json", "weights.safetensors"} <= set(contents):
        raise ModelError(
            "{path} holds no card.json with weights.safetensors, so it is no encoder.", path=file
        )
    part = _user_models() / ".part"
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name, content in contents.items():
            (part / name).write_bytes(content)
        try:
            card = read_card(part)
        except ModelError as e:  # names a folder that is gone by the time that it is read
            raise ModelError(
                e.sentence.replace("{path}", "The card.json in {path}", 1), "Ask for a whole one.", path=file
            ) from e
        if weights_digest(contents["weights.safetensors"], card.preprocessing, card.side) != card.digest:
            raise ModelError(
                "The weights in {path} are not those its card describes (the digests differ).", path=file
            )
        if Path(card.name).name != card.name or not card.name.strip("."):
            raise ModelError(f"The card in {{path}} has an unusable name: {card.name!r}.", path=file)
        target = _user_models() / card.name
        shutil.rmtree(target, ignore_errors=True)
        part.replace(target)
    except OSError as e:
        raise ModelError(
            f"Encoders cannot be added to {{path}}: {e.strerror or e}.",
            "Name another folder in the environment variable LEAKSCAN_MODELS.",
            path=_user_models(),
        ) from e
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return card
