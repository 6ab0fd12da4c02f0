"""Reads the pixels of an image and describes it for the copy check; workers do this."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np

from leakscan.decide.copies.picture_features import PictureFeatures, describe_picture, glance
from leakscan.engines.careful import Loss
from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.formats import decode
from leakscan.types import DecodedImage, ImageRef

if TYPE_CHECKING:
    from leakscan.decide.copies.volume_features import VolumeFeatures

    Features = PictureFeatures | VolumeFeatures

Pixels = ImageRef | bytes
"""Where the pixels of an image come from: its files, or the preview of a store."""


def load_pixels(pixels: Pixels | None, options: DecodeOptions) -> DecodedImage:
    """Decodes an image from its files or its preview.

    Args:
        pixels: Where the pixels are.
        options: The limits and choices for reading files.

    Raises:
        ImageError: They are not at hand or cannot be read.
        OSError: A file cannot be read.

    Example:
        >>> _, png = cv2.imencode(".png", np.full((2, 3), 7, np.uint8))
        >>> load_pixels(png.tobytes(), DecodeOptions()).values.shape
        (2, 3)
    """
    if pixels is None:
        raise ImageError("unreadable", "Its pixels are not at hand.")
    if isinstance(pixels, ImageRef):
        return decode(pixels, options)
    decoded = cv2.imdecode(np.frombuffer(pixels, np.uint8), cv2.IMREAD_UNCHANGED) if pixels else None
    if decoded is None:
        raise ImageError("unreadable", "Its preview is damaged.")
    grey = np.asarray(decoded)
    return DecodedImage(grey, grey.astype(np.float32))


def described(
    pixels: Pixels | None, describer: Callable[[DecodedImage], Features], options: DecodeOptions
) -> Features | None:
    """The features of an image; ``None`` where its pixels cannot be read.

    Args:
        pixels: Where the pixels are.
        describer: One of :func:`plainly`, :func:`at_a_glance` and :func:`in_full`.
        options: The limits and choices for reading files.

    Example:
        >>> described(None, plainly, DecodeOptions()) is None
        True
    """
    try:
        return describer(load_pixels(pixels, options))
    except (ImageError, OSError):
        return None


def nothing(item: object, why: Loss) -> None:
    """What is known of an image of which a worker dies: it cannot be checked.

    Example:
        >>> nothing("film.png", "died")
    """


def plainly(image: DecodedImage) -> Features:
    """A picture at working size, without keypoints.

    Example:
        >>> film = np.random.default_rng(0).random((64, 48)).astype(np.float32)
        >>> len(plainly(DecodedImage(film, film)).points)
        0
    """
    return describe_picture(image.values, keypoints=0)


def at_a_glance(image: DecodedImage) -> Features:
    """A picture at half the working size, with some keypoints.

    Example:
        >>> film = np.zeros((64, 48), np.float32)
        >>> at_a_glance(DecodedImage(film, film)).picture.shape
        (160, 120)
    """
    return glance(image.values)


def in_full(image: DecodedImage) -> Features:
    """All that a copy check of a picture or volume needs.

    Example:
        >>> film = np.zeros((64, 48), np.float32)
        >>> in_full(DecodedImage(film, film)).picture.shape
        (320, 240)
    """
    if image.values.ndim == 2:
        return describe_picture(image.values)
    from leakscan.decide.copies.volume_features import describe_volume  # films do not wait for it

    return describe_volume(image.values, image.spacing_mm)
