"""What the raster readers share: limits, reasons, and bringing pixels to one convention."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, PngImagePlugin, UnidentifiedImageError

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions

Array = npt.NDArray[Any]

ORIENTATION_TAG = 274
SIDEWAYS = (5, 6, 7, 8)
"""The orientations in which rows are shown as columns."""

DAMAGED = "It is truncated or damaged."
_MANY_PIXELS = 50_000_000
_MOST_TEXT = 1 << 26
"""Bytes of texts and of a colour profile in a PNG; Pillow refuses files with more than 1 MB unpacked."""
_GREY_LEVELS = {"L;2": 85, "L;4": 17}
_CONVERTED = {
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "HSV": "RGB",
    "RGBX": "RGB",
    "PA": "RGBA",
    "La": "RGBA",
    "RGBa": "RGBA",
}


def without_palette(im: Image.Image, encoding: str) -> Array:
    """A Pillow picture as integers, without its palette and alpha.

    Args:
        im: A picture that Pillow has loaded and not yet converted.
        encoding: Pillow's name for the file's bit layout, which tells how it scaled shallow greys.

    Returns:
        ``(height, width)`` or ``(height, width, 3)`` in native byte order.

    Raises:
        ImageError: ``unsupported`` colour space.

    Example:
        >>> im = Image.new("P", (2, 1))
        >>> im.putpalette([0, 0, 0, 200, 10, 10])
        >>> im.putpixel((1, 0), 1)
        >>> without_palette(im, "").tolist()
        [[[0, 0, 0], [200, 10, 10]]]
    """
    if im.mode == "P":
        im = im.convert("RGBA" if "transparency" in im.info else "RGB")
    elif im.mode in _CONVERTED:
        im = im.convert(_CONVERTED[im.mode])
    elif im.mode == "RGB" and "transparency" in im.info:
        im = im.convert("RGBA")
    elif im.mode not in ("1", "L", "LA", "RGB", "RGBA", "I", "F") and not im.mode.startswith("I;16"):
        raise ImageError("unsupported", f"Its colours are {im.mode}, which is not read.")
    pixels: Array = np.asarray(im)
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    clear = im.info.get("transparency")
    if pixels.ndim == 2 and isinstance(clear, int) and im.mode != "1":
        pixels = np.where(pixels == clear * _GREY_LEVELS.get(encoding, 1), pixels.dtype.type(0), pixels)
    return blended(pixels)


def by_opencv(data: bytes, page: int) -> Array:
    """A page of an encoded file at its full depth, channels in the order red, green, blue, alpha.

    Raises:
        ImageError: ``unreadable``.

    Example:
        >>> deep = np.full((2, 3, 3), (1, 2, 40000), np.uint16)  # OpenCV writes blue, green, red
        >>> by_opencv(cv2.imencode(".png", deep)[1].tobytes(), page=0)[0, 0].tolist()
        [40000, 2, 1]
    """
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        done, found = cv2.imdecodemulti(
            np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED, None, (page, page + 1)
        )
    finally:
        cv2.utils.logging.setLogLevel(before)
    if not done or not found:
        raise ImageError("unreadable", DAMAGED)
    pixels: Array = found[0]
    return pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


def blended(pixels: Array) -> Array:
    """Composites the last of 2 or 4 channels, alpha, on black; an opaque one is dropped.

    A drawing of one colour that lives in the alpha channel alone would vanish; it is that channel then.

    Example:
        >>> blended(np.array([[[200, 255], [200, 51], [200, 0]]], np.uint8)).tolist()
        [[200, 40, 0]]
    """
    if pixels.ndim == 2 or pixels.shape[2] not in (2, 4):
        return pixels
    colour, alpha = pixels[..., :-1], pixels[..., -1:]
    top = 1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
    if not (alpha == top).all():
        if pixels.dtype.kind == "f":
            colour = colour * alpha
        else:  # at most 65535 squared, which uint64 holds with room for the rounding
            product = colour.astype(np.uint64) * alpha.astype(np.uint64)
            colour = ((product + top // 2) // top).astype(pixels.dtype)
        if (colour == colour[:1, :1]).all() and not (alpha == alpha[:1, :1]).all():
            return alpha[..., 0]
    return colour[..., 0] if colour.shape[2] == 1 else colour


def one_channel_if_equal(pixels: Array) -> Array:
    """Grey stored as colour becomes ``(height, width)``; true colour stays.

    Example:
        >>> one_channel_if_equal(np.full((6, 8, 3), 90, np.uint8)).shape
        (6, 8)
    """
    if pixels.ndim == 2:
        return pixels
    red = pixels[..., 0]
    if all(np.array_equal(red, pixels[..., i]) for i in range(1, pixels.shape[2])):
        return red
    return pixels


def inverted(pixels: Array) -> Array:
    """Black for white over the range of an unsigned type, else around zero.

    Example:
        >>> inverted(np.array([0, 200, 255], np.uint8)).tolist()
        [255, 55, 0]
        >>> inverted(np.array([-5, 7], np.int16)).tolist()
        [5, -7]
    """
    return np.iinfo(pixels.dtype).max - pixels if pixels.dtype.kind == "u" else -pixels


def orientation(im: Image.Image) -> int:
    """EXIF tag 274 (1 to 8), 1 where it is absent or damaged.

    Example:
        >>> tags = Image.Exif()
        >>> tags[ORIENTATION_TAG] = 6
        >>> Image.new("L", (8, 6)).save("photo.jpg", exif=tags)
        >>> orientation(Image.open("photo.jpg"))
        6
    """
    if not {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"} & im.info.keys():
        return 1
    try:
        return int(im.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # a damaged EXIF block does not make the picture unreadable
        return 1


def stated_aspect(im: Image.Image) -> float:
    """The height of the stored pixels over their width, by the resolution that a file states; else 1.

    Example:
        >>> Image.new("L", (80, 30)).save("squashed.png", dpi=(200, 100))
        >>> round(stated_aspect(Image.open("squashed.png")), 2)
        2.0
    """
    # A PNG without a unit, a JPEG without a unit, and what states dots per inch or per metre.
    stated = im.info.get("aspect") or im.info.get("dpi")
    if not stated and im.info.get("jfif_unit") == 0:
        stated = im.info.get("jfif_density")
    try:
        across, down = (float(n) for n in stated)  # type: ignore[union-attr]
    except (TypeError, ValueError, ZeroDivisionError):
        return 1.0
    return across / down if 0 < across < math.inf and 0 < down < math.inf else 1.0


def turned(pixels: Array, orientation: int) -> Array:
    """Applies EXIF tag 274 (Exif 3.0, section 4.6.5.1) so that the first row is the top.

    Example:
        >>> turned(np.array([[1, 2], [3, 4]]), 6).tolist()  # a quarter clockwise
        [[3, 1], [4, 2]]
    """
    if orientation in SIDEWAYS:
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels


def check_size(width: int, height: int, options: DecodeOptions) -> None:
    """Refuses a picture by its header, before memory is taken for it.

    Raises:
        ImageError: ``unreadable``: no pixels, or more than ``options.max_pixels``.

    Example:
        >>> check_size(40_000, 30_000, DecodeOptions(max_pixels=1_000_000_000))
        Traceback (most recent call last):
        leakscan.errors.ImageError: It has 40000 x 30000 pixels, more than the limit of 1000000000; ...
    """
    if width < 1 or height < 1:
        raise ImageError("unreadable", f"It has {width} x {height} pixels.")
    if width * height > options.max_pixels:
        raise ImageError(
            "unreadable",
            f"It has {width} x {height} pixels, more than the limit of {options.max_pixels}; "
            "raise max_pixels to read it.",
        )
    _stated[:] = [width * height]


_stated: list[int] = []


@contextmanager
def memory_is_named() -> Iterator[None]:
    """Names a want of memory beside damage where a very large picture cannot be decoded.

    Most libraries say the same of both, and a worker has no more memory than one file may take.

    Raises:
        ImageError: What the reader raised, with both reasons where both may be.

    Example:
        >>> with memory_is_named():
        ...     check_size(22_000, 22_000, DecodeOptions())
        ...     raise ImageError("unreadable", DAMAGED)
        Traceback (most recent call last):
        leakscan.errors.ImageError: It is truncated or damaged, or its 484,000,000 pixels take more memory ...
    """
    _stated.clear()
    try:
        yield
    except ImageError as error:
        if error.sentence != DAMAGED or sum(_stated) < _MANY_PIXELS:
            raise
        words = f"its {sum(_stated):,} pixels take more memory than one file may; max_file_mb raises that."
        raise ImageError(error.status, f"It is truncated or damaged, or {words}") from error


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Our limits of pixels and of texts beside them, no half-read pictures, no warnings on the terminal.

    The settings are global to the process: a process decodes one image at a time.

    Example:
        >>> with strict_pillow():
        ...     Image.MAX_IMAGE_PIXELS is None
        True
    """
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    texts = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, False
    PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = _MOST_TEXT
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before
        PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = texts


@contextmanager
def reasons() -> Iterator[None]:
    """Whatever a decoder throws at damaged data, as the sentence of a row.

    Example:
        >>> with reasons():
        ...     Image.open("film.png")
        Traceback (most recent call last):
        leakscan.errors.ImageError: It cannot be read: no such file or directory.
    """
    try:
        yield
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError("unreadable", "Its header is damaged or of a kind that is not read.") from error
    except MemoryError as error:
        raise ImageError("unreadable", "There is not enough memory to read it.") from error
    except OSError as error:
        reason = (error.strerror or "").lower()
        sentence = f"It cannot be read: {reason}." if error.errno else DAMAGED
        raise ImageError("unreadable", sentence) from error
    except Exception as error:  # decoders of foreign bytes fail in more ways than can be listed
        raise ImageError("unreadable", DAMAGED) from error
