"""The bytes of a picture become the encoder's square, or a reason why not."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from tests.support.hostile_files import call_vpar, png
from vpar_cache.datasets import decoding
from vpar_cache.datasets.decoding import (
    apply_jitter,
    decode_frame,
    decode_image,
    library_versions,
    pad_to_square,
    preprocessing_identity,
)
from vpar_cache.datasets.frame_choice import Jitter
from vpar_cache.errors import DataError

RNG = np.random.default_rng(7)


def noise(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, (height, width, channels), dtype=np.uint8)


def smooth(height: int, width: int) -> NDArray[np.uint8]:
    """A picture that a JPEG keeps nearly as it is."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (height + width)], axis=2).astype(
        np.uint8
    )


def encoded(picture: Image.Image | NDArray[np.uint8], form: str = "PNG", **options: object) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def padded(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Black bars, written out: the odd pixel goes right or bottom."""
    height, width = picture.shape[:2]
    side = max(height, width)
    square = np.zeros((side, side, 3), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = picture
    return square


def shifted_by_hand(frame: NDArray[np.uint8], jitter: Jitter) -> NDArray[np.uint8]:
    size = len(frame)
    result = np.zeros_like(frame)
    for y in range(size):
        for x in range(size):
            from_y, from_x = y - jitter.shift_down, x - jitter.shift_right
            if 0 <= from_y < size and 0 <= from_x < size:
                result[y, x] = frame[from_y, size - 1 - from_x if jitter.flip else from_x]
    return result


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("right", "down"), [(0, 0), (-3, 2), (2, -5), (10, 10)])
def test_jitter_flips_then_shifts_in_black(flip: bool, right: int, down: int) -> None:
    frame = noise(12, 12)
    before = frame.copy()
    jitter = Jitter(flip, right, down)
    np.testing.assert_array_equal(apply_jitter(frame, jitter), shifted_by_hand(frame, jitter))
    np.testing.assert_array_equal(frame, before)


@pytest.mark.parametrize(("height", "width"), [(7, 4), (5, 8), (6, 6), (1, 9)])
def test_padding_is_centred_with_the_odd_pixel_right_or_bottom(height: int, width: int) -> None:
    picture = noise(height, width)
    np.testing.assert_array_equal(np.asarray(pad_to_square(Image.fromarray(picture))), padded(picture))
    side = max(height, width)
    np.testing.assert_array_equal(decode_frame(encoded(picture), side, "pad"), padded(picture))


def bicubic(picture: NDArray[np.uint8], size: int, antialias: bool = True) -> NDArray[np.uint8]:
    """torch's kernel, an implementation of its own."""
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(tensor, (size, size), mode="bicubic", antialias=antialias)
    return resized[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize(("height", "width"), [(256, 128), (37, 90), (20, 11)])
@pytest.mark.parametrize("resize", ["pad", "stretch"])
def test_the_resize_is_one_antialiased_bicubic(height: int, width: int, resize: str) -> None:
    picture = noise(height, width) // 4 + 100  # noise shows a kernel best; without values that are clipped
    frame = decode_frame(encoded(picture), 224, resize)
    assert frame.shape == (224, 224, 3)
    assert frame.dtype == np.uint8
    wanted = bicubic(padded(picture) if resize == "pad" else picture, 224)
    difference = np.abs(frame.astype(int) - wanted)
    assert difference.max() <= 2
    assert difference.mean() < 0.5


# --- decoding ---


def test_a_jpeg_is_read_as_rgb() -> None:
    picture = smooth(16, 16)
    frame = decode_frame(encoded(picture, "JPEG", quality=95), 16, "pad")
    assert np.abs(frame.astype(int) - picture).max() < 16


@pytest.mark.parametrize("form", ["PNG", "BMP", "WEBP"])
def test_lossless_formats_give_their_pixels(form: str) -> None:
    picture = noise(9, 9)
    options = {"lossless": True} if form == "WEBP" else {}
    np.testing.assert_array_equal(decode_frame(encoded(picture, form, **options), 9, "pad"), picture)


@pytest.mark.parametrize("mode", ["L", "1", "LA", "P", "RGBA"])
def test_every_colour_mode_becomes_rgb(mode: str) -> None:
    image = Image.fromarray(smooth(8, 8)).convert(mode)
    np.testing.assert_array_equal(
        decode_frame(encoded(image), 8, "pad"), np.asarray(image.convert("RGBA").convert("RGB"))
    )


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    frame = decode_frame(encoded(Image.fromarray(values)), 8, "pad")
    np.testing.assert_array_equal(frame, np.repeat((values >> 8).astype(np.uint8)[:, :, None], 3, axis=2))


def test_exif_rotation_is_applied() -> None:
    picture = noise(6, 6)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    frame = decode_frame(encoded(picture, "PNG", exif=exif), 6, "pad")
    np.testing.assert_array_equal(frame, np.rot90(picture, k=-1))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_every_exif_rotation_is_applied_as_pillow_does(orientation: int, form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(noise(6, 4), form, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(np.asarray(decode_image(data)), wanted)


ODD_EXIF = (
    b"Exif\0\0garbage",
    b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",  # more entries than bytes
    # Orientation 1, then a tag whose value lies beyond the end.
    b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x12\0\x03\0\0\0\x01\0\x01\0\0\x01\x0e\0\x05\0\0\0\x01\0\0\0\xff\0\0\0\0",
)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF|Truncated File")
@pytest.mark.parametrize("exif", ODD_EXIF, ids=["garbage", "cut", "value-beyond-the-end"])
@pytest.mark.parametrize("form", ["JPEG", "WEBP", "PNG"])
def test_an_exif_block_that_cannot_be_read_leaves_the_picture_intact(exif: bytes, form: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    picture = smooth(8, 8)
    plain = decode_frame(encoded(picture, form, **options), 8, "pad")
    np.testing.assert_array_equal(decode_frame(encoded(picture, form, exif=exif, **options), 8, "pad"), plain)


@pytest.mark.filterwarnings("ignore:Truncated File")
@pytest.mark.parametrize(
    "other_tag",
    [
        b"\x01\x0e\0\x05\0\0\0\x01\0\0\0\xff",  # its value lies beyond the end
        b"\x01\x02\0\x04\0\0\0\x01\0\x01\0\0",  # 65536 bits a sample: Pillow cannot write it back
    ],
    ids=["damaged", "not-writable"],
)
def test_an_orientation_beside_an_odd_tag_is_applied(other_tag: bytes) -> None:
    orientation = b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
    turned = b"Exif\0\0MM\0*\0\0\0\x08\0\x02" + orientation + other_tag + b"\0\0\0\0"
    picture = noise(6, 6)
    frame = decode_frame(encoded(picture, "PNG", exif=turned), 6, "pad")
    np.testing.assert_array_equal(frame, np.rot90(picture, k=-1))


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_transparent_pixels_are_composited_on_black(form: str) -> None:
    picture = noise(8, 8, 4)
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    frame = decode_frame(encoded(picture, form, **options), 8, "pad")
    wanted = picture[..., :3].astype(float) * picture[..., 3:] / 255
    assert np.abs(frame - wanted).max() <= 1
    picture[..., 3] = 0
    assert not decode_frame(encoded(picture, form, **options), 8, "pad").any()


@pytest.mark.parametrize("transparency", [3, bytes(range(0, 256, 8))])
def test_a_palette_with_transparency_is_on_black_without_a_warning(transparency: int | bytes) -> None:
    image = Image.fromarray(smooth(8, 8)).quantize(32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = decode_frame(encoded(image, "PNG", transparency=transparency), 8, "pad")
    numbers = np.asarray(image)
    opacity = np.full(256, 255.0)
    if isinstance(transparency, int):
        opacity[transparency] = 0
    else:
        opacity[: len(transparency)] = list(transparency)
    wanted = np.asarray(image.convert("RGB")) * opacity[numbers][..., None] / 255
    assert np.abs(frame - wanted).max() <= 1


@pytest.mark.parametrize(("mode", "clear"), [("L", 7), ("RGB", (1, 2, 3)), ("I;16", 40_000)])
def test_a_single_transparent_colour_becomes_black(mode: str, clear: int | tuple[int, ...]) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((4, 4), 40_000, np.uint16))
    else:
        image = Image.new(mode, (4, 4), clear)
    image.putpixel((0, 0), 20_000 if mode == "I;16" else (90 if mode == "L" else (90, 90, 90)))
    frame = decode_frame(encoded(image, "PNG", transparency=clear), 4, "pad")
    assert frame[0, 0].any()
    assert not frame[1:].any()


@pytest.mark.parametrize("form", ["WEBP", "PNG"])
def test_of_an_animation_the_first_picture_is_taken(form: str) -> None:
    first, second = noise(8, 8), noise(8, 8)
    options = {"lossless": True} if form == "WEBP" else {}
    data = encoded(first, form, save_all=True, append_images=[Image.fromarray(second)], **options)
    np.testing.assert_array_equal(decode_frame(data, 8, "pad"), first)


JPEG = encoded(noise(40, 30), "JPEG")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"the file is empty \(0 bytes\)"),
        (b"tracklet_id,split\n0001,train\n", "not an image"),
        (JPEG[: len(JPEG) // 2], "damaged image: .*truncated"),
        (encoded(smooth(4, 4), "GIF"), "not an image"),
    ],
)
def test_what_is_no_complete_image_gives_a_reason(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        decode_frame(data, 32, "pad")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("resize", ["pad", "stretch"])
@pytest.mark.parametrize(("width", "height"), [(2**31 - 1, 2**31 - 1), (10_000, 9_500), (3, 60_000)])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(
    width: int, height: int, resize: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: object) -> None:
        pytest.fail("it was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    with pytest.raises(DataError, match="pixels"):
        decode_frame(png(width, height), 224, resize)


def test_the_identity_holds_rules_and_no_version() -> None:
    identity = preprocessing_identity()
    assert {"decoded_samples", "resize_kernel", "pad_rule", "max_shift"} <= identity.keys()
    assert PIL.__version__ not in str(identity)
    assert library_versions()["pillow"] == PIL.__version__
    assert "None" not in str(library_versions())


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_another_decoder_of_any_format_changes_the_digest(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = decoding.samples_digest.__wrapped__()
    assert before == decoding.samples_digest()
    plain = decoding.decode_image

    def other(data: bytes) -> Image.Image:
        image = plain(data)
        if Image.open(io.BytesIO(data)).format == form:
            red, *_ = image.getpixel((3, 3))
            image.putpixel((3, 3), (red ^ 64, 0, 0))
        return image

    monkeypatch.setattr(decoding, "decode_image", other)
    assert decoding.samples_digest.__wrapped__() != before


def test_another_resize_changes_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = decoding.samples_digest.__wrapped__()
    plain = Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda image, size, _: plain(image, size, Image.Resampling.LANCZOS))
    assert decoding.samples_digest.__wrapped__() != before


def test_the_program_shows_no_warning_of_pillow(tmp_path: Path) -> None:
    data = encoded(smooth(8, 8), "PNG", exif=ODD_EXIF[1])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decode_frame(data, 8, "pad")
        assert caught
        caught.clear()
        call_vpar("--version", folder=tmp_path)
        decode_frame(data, 8, "pad")
        assert not caught
