"""Decode the bytes of a picture to the encoder's uint8 square: pad, resize, jitter.

Pillow decodes and resizes: CLIP was trained and evaluated with its antialiased bicubic.
"""

from __future__ import annotations

import base64
import io
import struct
from functools import cache
from typing import Any

import numpy as np
import PIL
from blake3 import blake3
from numpy.typing import NDArray
from PIL import ExifTags, Image, features

from vpar_cache.datasets.frame_choice import MAX_SHIFT, Jitter
from vpar_cache.errors import DataError

MAX_PIXELS = 50_000_000
"""An image whose square would be larger is refused before it is decoded: no crop of a person is that large."""
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
_PARSER_ERRORS = (OSError, SyntaxError, ValueError, IndexError, TypeError, EOFError, struct.error)
"""What Pillow's parsers raise on damaged files."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How to make a picture upright, by the orientation tag of EXIF."""


def decode_frame(data: bytes, size: int, resize: str) -> NDArray[np.uint8]:
    """Return (size, size, 3) uint8 RGB from file bytes: what the encoder sees.

    pad: black to a centred square (an odd pixel right or bottom), then one antialiased bicubic resize;
    stretch: the resize alone (paper: "zero-padded to the resolution of 224 x 224").
    Raises DataError with the reason for anything but a complete image, see decode_image.
    """
    return fit_picture(decode_image(data), size, resize)  # (size, size, 3)


def fit_picture(picture: Image.Image, size: int, resize: str) -> NDArray[np.uint8]:
    """Return (size, size, 3) uint8 RGB from a picture in RGB at its own size, see decode_frame."""
    if resize == "pad":
        picture = pad_to_square(picture)
    picture = picture.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture)  # (size, size, 3)


def decode_image(data: bytes) -> Image.Image:
    """Return a picture in RGB at its own size from file bytes.

    EXIF rotation is applied, what is transparent is put on black, 16 bits are scaled to 8, CMYK and gray become
    RGB, of an animation the first picture is taken. Raises DataError with the reason for anything but a complete
    image.
    """
    if not data:
        raise DataError("the file is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as image:
            if max(image.size) ** 2 > MAX_PIXELS:
                raise DataError(f"{image.width} x {image.height} pixels: its square has more than {MAX_PIXELS}")
            return _to_rgb(_upright(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"more than {MAX_PIXELS} pixels") from error
    except PIL.UnidentifiedImageError as error:
        raise DataError(f"not an image in one of the formats {', '.join(IMAGE_FORMATS)}") from error
    except _PARSER_ERRORS as error:  # its message is the reason
        raise DataError(f"damaged image: {error}") from error


def _upright(image: Image.Image) -> Image.Image:
    """Return the picture turned as its orientation tag says. An EXIF block that cannot be read turns nothing."""
    image.load()  # what is damaged in the picture itself shows here
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except (*_PARSER_ERRORS, KeyError, AttributeError):
        return image
    method = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Return the picture in RGB, what is transparent on black, as the padding is."""
    if image.mode.startswith("I"):  # 16 bits a pixel; Pillow's own conversion would clip at 255
        values = np.asarray(image).clip(0, 65_535)  # (H, W)
        if isinstance(clear := image.info.get("transparency"), int):
            values = np.where(values == clear, 0, values)  # (H, W)
        image = Image.fromarray((values >> 8).astype(np.uint8), "L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    return image.convert("RGB")


def pad_to_square(image: Image.Image) -> Image.Image:
    """Return the picture centred on a black square; an odd pixel goes right or bottom."""
    side = max(image.size)
    square = Image.new("RGB", (side, side))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def apply_jitter(frame: NDArray[np.uint8], jitter: Jitter) -> NDArray[np.uint8]:
    """Return the frame flipped, then shifted with black fill: (S, S, 3) -> (S, S, 3)."""
    if jitter.flip:
        frame = frame[:, ::-1]
    size = frame.shape[0]
    shifted = np.zeros_like(frame)  # (S, S, 3)
    down, right = jitter.shift_down, jitter.shift_right
    source = frame[max(0, -down) : size - max(0, down), max(0, -right) : size - max(0, right)]
    shifted[max(0, down) : size + min(0, down), max(0, right) : size + min(0, right)] = source
    return shifted


@cache
def samples_digest() -> str:
    """Return blake3 over the pixels of small embedded pictures, decoded and resized down and up as frames are.

    Another version of a library that gives the same pixels gives the same digest.
    """
    hasher = blake3()
    for sample in _SAMPLES:
        for size in (12, 40):
            hasher.update(decode_frame(base64.b64decode(sample), size, "pad").tobytes())  # (size, size, 3)
    return hasher.hexdigest()


def preprocessing_identity() -> dict[str, Any]:
    """Return the rules and the work of the libraries that decide the pixels besides the settings, for the
    fingerprint.
    """
    return {
        "decoded_samples": samples_digest(),
        "resize_kernel": "bicubic antialiased",
        "pad_rule": "black, centred, odd pixel right or bottom, before normalisation",
        "transparency": "black",
        "max_shift": MAX_SHIFT,
    }


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that decode and resize: recorded, but not in the fingerprint."""
    found = {"pillow": PIL.__version__, "libjpeg": features.version("jpg"), "libwebp": features.version("webp")}
    return {name: str(version) for name, version in found.items()}


_SAMPLES = (
    (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxO"
        "UlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09P"
        "T09PT09PT0//wAARCAAaAA8DASIAAhEBAxEB/8QAGAABAAMBAAAAAAAAAAAAAAAABQEDBAb/xAAkEAABAwMDBAMAAAAAAAAAAAAB"
        "AgQRAAMxEhMhBTJBUWGRsf/EABcBAAMBAAAAAAAAAAAAAAAAAAMEBQb/xAAhEQAABQIHAAAAAAAAAAAAAAAAAQIDIQUSBBFBUWGh"
        "sf/aAAwDAQACEQMRAD8A4hm0mOKdaMZGKv6QgWUqSbO6m4NKklRAKfPxOPHvnwV29lRMITByZA+qGmy29wo05FCl4s4kR09tpRqj"
        "Appo127YhMk4ms7IDYx6/abbAa08DtpRTiiQjLYuznwZ6lPKH//Z"
    ),
    (
        "iVBORw0KGgoAAAANSUhEUgAAAA8AAAAaBAMAAACa4xtRAAAAJFBMVEXKxoKJx2Qy1mY2tHW1jH0yjlvDX4rAQJC9GDolVC08Mic7"
        "Exn4tMKXAAAAnElEQVR42mWPLQ7CQBCFv51uCAmmQWPQBMMRuAkexR24RQWWM1CBQfIjSUhoOQGDW8K2i5gmCMZ8k5f3MvPcDjhC"
        "ELr5Xzw8gaTSEbkbERQUENLynFuqKExhMVVc7mH16T3GwcN68prH2hO3h3ZYjjx7qtkJBFpulqq5ABLt+EZoAUoEaIiQDSqSXkEa"
        "NVP2dv2KkFuLZP8ATn8tvg0zNo3wSqJHAAAAAElFTkSuQmCC"
    ),
    (
        "UklGRrIAAABXRUJQVlA4IKYAAADQBACdASoPABoAPtFWo0uoJKMhsAgBABoJbACdMoRwIsAA33cg+cuU1LyxjMSHQAD+9dlshk4f"
        "BuV+FvnUia8RWzupWVJZWkDuA3s8IAQgk3+hbU69XbgRag7oXabtK1c7DWp2C5QkiwyY9sGC8NIFYOTdIvTWhVbc22Fv/zX38gWx"
        "fMP3/8//8dj/79j0eSYv1c/g3eqH/3N4OZ2ZDJ4i1zoWN9AA"
    ),
)
"""A JPEG with halved colours, a PNG with a palette and a WebP of 15 x 26 pixels, with edges and noise: base64."""
