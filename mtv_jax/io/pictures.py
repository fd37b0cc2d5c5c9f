"""Pictures: any mode and bit depth read as 8-bit sRGB, upright, without transparency."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin, UnidentifiedImageError

from mtv_jax.io.display import BACKGROUND, MAX_PIXELS, over_background
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_path, existing_file
from mtv_jax.io.film import open_film
from mtv_jax.io.notes import note
from mtv_jax.typing import UInt8

_FULL_SCALES = (1.0, 255.0, 65535.0, 2.0**31 - 1, 2.0**32 - 1)
"""White in pictures of numbers that do not say it: of a share, or of whole numbers of 8, 16, 31 and 32 bits."""
_DARKEST = 16
"""Where a picture's brightest level is this many times below a full scale, that one is not meant."""
_HEIF = tuple(b"ftyp" + brand for brand in (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"msf1"))
_BITS_PER_SAMPLE, _SAMPLE_FORMAT = 258, 339
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
"""Tags of TIFF 6.0, and values of the second."""


def read_image(path: str | os.PathLike) -> UInt8[np.ndarray, "H W 3"]:
    """Reads a picture as a viewer shows it: 8-bit sRGB, turned as its EXIF says, transparency on white.

    Levels of 16 bits and floating point are scaled, so that a ramp stays one: white is 65535, or 1. Numbers that do
    not say their white (float, 32 bits) have the least of 1, 255, 65535, 2^31 and 2^32 that holds them, or, if that
    is far above them, their brightest one; where some are negative the darkest one is black. An ICC profile is
    applied. Of an animation the first frame is taken; so it is of what only FFmpeg reads (videos, too).

    Raises UserError if it is missing, not a picture, damaged, or of over 134 million pixels.
    """
    path = existing_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures and of odd tags: both are dealt with below
            with Image.open(path) as image:
                return _shown(path, image)
    except UserError:
        raise
    except UnidentifiedImageError as error:
        return _first_frame(path, error)
    except Image.DecompressionBombError as error:
        raise UserError(f"{path}: a picture too large to be read ({error})") from error
    except Exception as error:  # each of Pillow's decoders has its own way to fail on damaged data
        raise UserError(f"{path}: damaged picture ({error or type(error).__name__})") from error


def write_image(path: str | os.PathLike, image: UInt8[np.ndarray, "H W 3"]) -> None:
    """Writes a picture (png, jpg, webp by suffix), atomically. Raises UserError for an unknown suffix."""
    if Path(path).suffix.lower() not in Image.registered_extensions():
        raise UserError(f"{path}: not a kind of picture that can be written; end the name in .png or .jpg")
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary)


def _shown(path: Path, image: Image.Image) -> UInt8[np.ndarray, "H W 3"]:
    if image.width * image.height > MAX_PIXELS:
        raise UserError(
            f"{path}: a picture of {image.width}x{image.height} is too large to be read; scale it down"
        )
    profile, (sample_format, bits) = image.info.get("icc_profile"), _numbers(image)
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        return _grey(np.asarray(image, np.float32), 2.0**bits - 1, image.info.get("transparency"))
    if image.mode in ("I", "F"):
        values = np.asarray(image)
        if (sample_format, bits) == (_UNSIGNED, 32):
            values = values.view(np.uint32)  # Pillow takes them for signed ones
        if (sample_format, bits) == (_SIGNED, 16):
            return _grey(np.maximum(values, 0), 32767.0)
        return _grey(*_scaled(path, values.astype(np.float64)))
    transparent = image.has_transparency_data
    opacity = np.array(image.convert("RGBA"))[..., 3:] if transparent else None
    if transparent and image.mode not in ("RGB", "L"):
        image = image.convert("RGBA").convert("RGB")
    colours = np.array(_in_srgb(image, profile))
    return colours if opacity is None else over_background(colours, opacity)


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB of a picture without transparency; by its ICC profile where that fits its mode and can be read."""
    if profile and image.mode in ("RGB", "L", "CMYK", "LAB"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(source):
                target = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
                if converted is not None:
                    return converted
        except (ImageCms.PyCMSError, OSError):
            pass  # a profile that is damaged, or of another mode: viewers leave it out, too
    return image.convert("RGB")


def _numbers(image: Image.Image) -> tuple[int | None, int]:
    """Format and bits of a TIFF's numbers, by its tags; None and 16 for other kinds."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return None, 16
    return tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0], tags.get(_BITS_PER_SAMPLE, (16,))[0]


def _scaled(path: Path, values: np.ndarray) -> tuple[np.ndarray, float]:
    """Values from 0 on, and which is white."""
    if not np.isfinite(values).all():
        raise UserError(f"{path}: holds levels that are not finite (NaN or infinity); export it again")
    low, high = float(values.min()), float(values.max())
    if low < 0:
        note(f"{path}: its levels are {low:g} to {high:g}; they are shown from black to white")
        return values - low, high - low
    white = next((scale for scale in _FULL_SCALES if high <= scale), None)
    if white is None or (white > 1 and 0 < high < white / _DARKEST):
        note(f"{path}: its levels are up to {high:g}, and it does not say what is white: that one is")
        white = high
    return values, white


def _grey(values: np.ndarray, white: float, transparent: float | None = None) -> UInt8[np.ndarray, "H W 3"]:
    """Levels [H, W] from 0 to `white`; one of them may be transparent."""
    levels = np.clip(values * (255 / (white or 1)) + 0.5, 0, 255).astype(np.uint8)
    if transparent is not None:
        levels = np.where(values == transparent, np.uint8(BACKGROUND), levels)
    return np.repeat(levels[..., None], 3, axis=2)


def _first_frame(path: Path, error: UnidentifiedImageError) -> UInt8[np.ndarray, "H W 3"]:
    """Of what Pillow does not know, by FFmpeg."""
    if _has_half_floats(path):  # FFmpeg takes them for whole numbers
        raise UserError(f"{path}: floating point of 16 bits cannot be read; export it with 32") from error
    if _head(path, 12)[4:] in _HEIF:  # FFmpeg gives one of its tiles
        raise UserError(f"{path}: HEIF pictures cannot be read; export it as PNG or JPEG") from error
    try:
        with open_film(path) as film:
            return film.display.show(film.first)
    except UserError:
        raise UserError(f"{path}: not a picture that can be read") from error


def _has_half_floats(path: Path) -> bool:
    """Whether a file is a TIFF of floating-point numbers of 16 bits."""
    head = _head(path, 8)
    if head[:4] not in (b"II*\0", b"MM\0*"):
        return False
    with open(path, "rb") as file:
        tags = TiffImagePlugin.ImageFileDirectory_v2(head)
        file.seek(tags.next)
        try:
            tags.load(file)
            return tags.get(_SAMPLE_FORMAT, (0,))[0] == _FLOAT and tags.get(_BITS_PER_SAMPLE, (0,))[0] == 16
        except Exception:  # a damaged one, which FFmpeg will refuse
            return False


def _head(path: Path, size: int) -> bytes:
    with open(path, "rb") as file:
        return file.read(size)
