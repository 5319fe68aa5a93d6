"""A small dataset of one's own, to be made hostile, and the images that it may be given."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
from PIL import Image

from tests.support.hostile_files import Done, bounded, call_vpar, picture, png

SCHEMA = """
name = "shop"
quality = ["occlusion"]
[[group]]
name = "hat"
[[group]]
name = "top"
values = ["black", "red"]
"""
HEADER = b"tracklet,split,person_id,camera_id,hat,top,occlusion\n"
ROWS = (b"anna/seq1,train,7,2,1,0,1\n", b"anna/seq2,train,7,3,1,1,0\n", b"bob,test,8,2,0,1,0\n")


@dataclass(frozen=True)
class Shop:
    """A dataset of one's own in a folder, and beside it a folder that no command is given."""

    folder: Path
    backbone: str

    @property
    def root(self) -> Path:
        return self.folder / "given" / "tracklets"

    @property
    def index(self) -> Path:
        return self.folder / "given" / "cache" / "shop.h5"

    @property
    def outside(self) -> Path:
        return self.folder / "outside"

    def extract(self, *options: str) -> Done:
        given = self.folder / "given"
        weights = () if "--weights" in options else ("--weights", "random:0")
        schema = () if "--schema" in options else ("--schema", "shop.toml")
        with bounded(given, *self._architectures(), outside=self.outside):
            return call_vpar(
                *("extract", "--dataset", "folder", "--root", str(self.root), "--out", str(self.index)),
                *("--backbone", self.backbone, "--frames", "2", "--device", "cpu"),
                *(*weights, *schema, *options),
                folder=given,
            )

    def skipped(self) -> list[list[str]]:
        with (self.index.with_suffix("") / "skipped.csv").open(newline="") as file:
            return list(csv.reader(file))[1:]

    def _architectures(self) -> list[Path]:
        return [path.parent for path in open_clip.factory._MODEL_CONFIG_PATHS if path.suffix == ".json"]


def make_shop(folder: Path, backbone: str) -> Shop:
    """Return a valid dataset below `folder`."""
    made = Shop(folder, backbone)
    made.outside.mkdir()
    for row in ROWS:
        tracklet = made.root / row.split(b",")[0].decode()
        tracklet.mkdir(parents=True)
        for number in (1, 2):
            (tracklet / f"{number}.jpg").write_bytes(picture())
    (made.folder / "given" / "shop.toml").write_text(SCHEMA)
    (made.root / "labels.csv").write_bytes(HEADER + b"".join(ROWS))
    (made.outside / "1.jpg").write_bytes(picture())
    return made


def animated(form: str) -> bytes:
    data = io.BytesIO()
    frames = [Image.new("RGB", (24, 48), (shade, 0, 0)) for shade in (10, 200, 90)]
    frames[0].save(data, form, save_all=True, append_images=frames[1:])
    return data.getvalue()


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture(exif=exif)


def sixteen_bits() -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.arange(24 * 48, dtype=np.uint16).reshape(48, 24) * 50).save(data, "PNG")
    return data.getvalue()


HANDLED: dict[str, Callable[[], bytes]] = {
    "CMYK": lambda: picture(mode="CMYK"),
    "gray": lambda: picture(mode="L"),
    "16 bits": sixteen_bits,
    "transparent": lambda: picture("PNG", mode="RGBA"),
    "two colours": lambda: png(24, 48, bits=1, color=0, rows=48),
    "EXIF-rotated": rotated,
    "progressive": lambda: picture(progressive=True),
    "animated WebP": lambda: animated("WEBP"),
    "animated PNG": lambda: animated("PNG"),
    "one pixel": lambda: picture("BMP", (1, 1)),
    "large and plain": lambda: png(4000, 4000, rows=4000),
    "a page of HTML behind it": lambda: picture() + b"<html>" * 1000,
}


def add_people(shop: Shop, images: Mapping[str, Callable[[], bytes]]) -> list[str]:
    """Add a train tracklet for each image, which is its first frame; return their names."""
    names = [name.replace(" ", "-") for name in images]
    for name, make in zip(names, images.values(), strict=True):
        shutil.copytree(shop.root / "bob", shop.root / name)
        (shop.root / name / "1.jpg").write_bytes(make())
    rows = [f"{name},train,{10 + number},1,0,0,0\n".encode() for number, name in enumerate(names)]
    (shop.root / "labels.csv").write_bytes(HEADER + b"".join(ROWS) + b"".join(rows))
    return names


REFUSED: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"tracklet,split\n" * 1000,
    "an animated GIF": lambda: animated("GIF"),
    "SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "EPS": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
    "TIFF": lambda: picture("TIFF"),
    "cut short": lambda: picture()[:500],
    "a bomb of plain zeros": lambda: png(20_000, 20_000, rows=20_000),
    "a bomb of 16 bits": lambda: png(12_000, 12_000, bits=16, color=0, rows=100),
    "a promise of 2 ** 62 pixels": lambda: png(2**31 - 1, 2**31 - 1),
    "a thin line that would be padded": lambda: png(60_000, 2, rows=2),
    "a comment of 60 MB": lambda: png(8, 8)[:-12] + b"\x03\x93\x87\x00tEXt" + bytes(60_000_000),
    "70 MB": lambda: picture() + bytes(70_000_000),
}
