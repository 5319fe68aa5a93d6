"""Small videos with drawn people, and their box files."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, RATE = 320, 180, 10


@dataclass(frozen=True)
class Person:
    """A rectangle that walks to the right, 2 pixels a frame."""

    track_id: int
    first: int
    last: int
    left: int
    top: int = 40
    size: tuple[int, int] = (30, 90)

    def box(self, frame: int) -> tuple[int, int, int, int]:
        return self.left + 2 * (frame - self.first), self.top, *self.size


def picture(people: Sequence[Person], frame: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> NDArray[np.uint8]:
    """(H, W, 3)"""
    rng = np.random.default_rng(7)
    image = np.full((size[1], size[0], 3), 90, np.uint8) + rng.integers(0, 8, (size[1], size[0], 1), np.uint8)
    for person in people:
        if person.first <= frame <= person.last:
            left, top, width, height = person.box(frame)
            texture = np.random.default_rng(person.track_id).integers(
                0, 255, (height // 10, width // 10, 3), np.uint8
            )
            big = texture.repeat(10, axis=0).repeat(10, axis=1)
            part = image[top : top + height, max(0, left) : left + width]
            part[...] = big[: part.shape[0], : part.shape[1]]
    return image


def write_video(
    path: Path,
    people: Sequence[Person],
    frames: int,
    rate: int = RATE,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    seconds: Sequence[float] | None = None,
    pictures: Sequence[NDArray[np.uint8]] | None = None,
) -> Path:
    """Write an MP4. `seconds`: times of the frames, else evenly. `pictures`: in place of people, (H, W, 3)."""
    import av

    if pictures is not None:
        size = pictures[0].shape[1], pictures[0].shape[0]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(1, frames + 1):
            shown = picture(people, number, size) if pictures is None else pictures[number - 1]  # (H, W, 3)
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
            second = (number - 1) / rate if seconds is None else seconds[number - 1]
            frame.pts, frame.time_base = round(1000 * second), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_lossless(path: Path, pictures: Sequence[NDArray[np.uint8]]) -> Path:
    """Write pictures (H, W, 3) of any size as FFV1 in RGB, which keeps every value."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "bgr0"
        for shown in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        container.mux(stream.encode())
    return path


def set_rotation(path: Path, degrees: int) -> None:
    """Write the display matrix of an MP4's only track (ISO/IEC 14496-12, tkhd), which PyAV cannot write.

    `degrees`: counterclockwise, as av_display_rotation_get returns.
    """
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4  # version 0: 40 bytes before the matrix
    assert data[start] == 0
    angle = np.deg2rad(-degrees)
    a, b, c, d = np.round([np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)]).astype(int).tolist()
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    data[start + 40 : start + 76] = matrix
    path.write_bytes(data)


def write_boxes(path: Path, people: Sequence[Person]) -> Path:
    lines = [
        (frame, person.track_id, *person.box(frame))
        for person in people
        for frame in range(person.first, person.last + 1)
    ]
    path.write_text("".join(",".join(map(str, line)) + ",1,-1,-1,-1\n" for line in lines))
    return path
