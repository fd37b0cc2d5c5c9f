"""Reads pictures of any mode and bit depth as 8-bit sRGB, upright, without transparency."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin, UnidentifiedImageError

from mtv_jax.io.display import BACKGROUND, MAX_PIXELS, over_background
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_path, existing_file
from mtv_jax.io.film import open_film
from mtv_jax.io.notes import note

_FULL_SCALES = (1.0, 255.0, 65535.0, 2.0**31 - 1, 2.0**32 - 1)
"""Candidates for white where a format does not define it: a fraction, or integers of 8, 16, 31 and 32 bits."""
_DARKEST = 16
"""A full scale more than this many times the picture's brightest level is rejected."""
_HEIF = tuple(b"ftyp" + brand for brand in (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"msf1"))
_BITS_PER_SAMPLE, _SAMPLE_FORMAT = 258, 339
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
"""Tags of TIFF 6.0, and the values of the second one."""


def read_image(path: str | os.PathLike) -> UInt8[np.ndarray, "H W 3"]:
    """Reads a picture as a viewer shows it: 8-bit sRGB, rotated by its EXIF tag, transparency on white.

    Levels of 16 bits and floating point are scaled linearly: white is 65535, or 1. For formats that do not define
    white (float, 32 bits) it is the smallest of 1, 255, 65535, 2^31 and 2^32 that is not below the brightest level,
    or that level itself if the scale is far above it; with negative levels the lowest one is black. An ICC profile
    is applied. Of animations, and of files that only FFmpeg reads (videos included), the first frame is returned.

    Raises UserError if the file is missing, not a picture, damaged, or has over 134 million pixels.
    """
    path = existing_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about large pictures and unusual tags, both handled below
            with Image.open(path) as image:
                return _shown(path, image)
    except UserError:
        raise
    except UnidentifiedImageError as error:
        return _first_frame(path, error)
    except Image.DecompressionBombError as error:
        raise UserError(f"{path}: a picture too large to read ({error})") from error
    except Exception as error:  # Pillow's decoders raise various errors for damaged data
        raise UserError(f"{path}: damaged picture ({error or type(error).__name__})") from error


def write_image(path: str | os.PathLike, image: UInt8[np.ndarray, "H W 3"]) -> None:
    """Writes a picture (png, jpg, webp by suffix) atomically. Raises UserError for an unknown suffix."""
    if Path(path).suffix.lower() not in Image.registered_extensions():
        raise UserError(f"{path}: not a supported picture format; use a name that ends in .png or .jpg")
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
            values = values.view(np.uint32)  # Pillow reads them as signed
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
    """RGB of a picture without transparency, using its ICC profile if that is readable and matches the mode."""
    if profile and image.mode in ("RGB", "L", "CMYK", "LAB"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(source):
                target = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
                if converted is not None:
                    return converted
        except (ImageCms.PyCMSError, OSError):
            pass  # a damaged profile, or one of another mode: viewers ignore it as well
    return image.convert("RGB")


def _numbers(image: Image.Image) -> tuple[int | None, int]:
    """Sample format and bits of a TIFF, by its tags; None and 16 for other formats."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return None, 16
    return tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0], tags.get(_BITS_PER_SAMPLE, (16,))[0]


def _scaled(path: Path, values: np.ndarray) -> tuple[np.ndarray, float]:
    """Values shifted to start at 0, and the level of white."""
    if not np.isfinite(values).all():
        raise UserError(f"{path}: holds levels that are not finite (NaN or infinity); export it again")
    low, high = float(values.min()), float(values.max())
    if low < 0:
        note(f"{path}: its levels are {low:g} to {high:g}; they are mapped from black to white")
        return values - low, high - low
    white = next((scale for scale in _FULL_SCALES if high <= scale), None)
    if white is None or (white > 1 and 0 < high < white / _DARKEST):
        note(
            f"{path}: its levels are up to {high:g}, and its format does not define white: that level is used"
        )
        white = high
    return values, white


def _grey(values: np.ndarray, white: float, transparent: float | None = None) -> UInt8[np.ndarray, "H W 3"]:
    """A grey picture of levels [H, W] from 0 to `white`; one level may be transparent."""
    levels = np.clip(values * (255 / (white or 1)) + 0.5, 0, 255).astype(np.uint8)
    if transparent is not None:
        levels = np.where(values == transparent, np.uint8(BACKGROUND), levels)
    return np.repeat(levels[..., None], 3, axis=2)


def _first_frame(path: Path, error: UnidentifiedImageError) -> UInt8[np.ndarray, "H W 3"]:
    """Reads formats that Pillow does not support, with FFmpeg."""
    if _has_half_floats(path):  # FFmpeg reads them as integers
        raise UserError(f"{path}: floating point of 16 bits cannot be read; export it with 32") from error
    if _head(path, 12)[4:] in _HEIF:  # FFmpeg returns one of its tiles
        raise UserError(f"{path}: HEIF pictures cannot be read; export it as PNG or JPEG") from error
    try:
        with open_film(path) as film:
            return film.display.show(film.first)
    except UserError:
        raise UserError(f"{path}: not a picture that can be read") from error


def _has_half_floats(path: Path) -> bool:
    """Whether a file is a TIFF of 16-bit floating-point numbers."""
    head = _head(path, 8)
    if head[:4] not in (b"II*\0", b"MM\0*"):
        return False
    with open(path, "rb") as file:
        tags = TiffImagePlugin.ImageFileDirectory_v2(head)
        file.seek(tags.next)
        try:
            tags.load(file)
            return tags.get(_SAMPLE_FORMAT, (0,))[0] == _FLOAT and tags.get(_BITS_PER_SAMPLE, (0,))[0] == 16
        except Exception:  # a damaged one, which FFmpeg will reject
            return False


def _head(path: Path, size: int) -> bytes:
    with open(path, "rb") as file:
        return file.read(size)
