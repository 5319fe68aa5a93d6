"""Small valid inputs of every parser, and seeded ways to spoil them: what the fuzz script and the suite share."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.io
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from tests.support.fake_runs import SMALL, make_run, predictions
from tests.support.hostile_files import picture
from tests.support.image_trees import draw, write_market, write_pa100k, write_table
from tests.support.small_caches import write_small_cache
from vpar_cache.attributes.built_in import load_schema
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.attributes.prompts import build_prompts
from vpar_cache.backbones.weights import load_weights
from vpar_cache.base.matlab_file import read_matrices
from vpar_cache.cache import format as fmt
from vpar_cache.cache.features import open_features
from vpar_cache.cache.headers import read_shard_header
from vpar_cache.cache.seal import write_seal
from vpar_cache.datasets.decoding import decode_frame
from vpar_cache.datasets.demo.dataset import DemoSize, write_demo
from vpar_cache.datasets.folder import load_folder
from vpar_cache.datasets.images.listed import load_images
from vpar_cache.datasets.images.market import load_market
from vpar_cache.datasets.images.pa100k import load_pa100k
from vpar_cache.datasets.mars import read_lists
from vpar_cache.reporting.score import score
from vpar_cache.runs.finished import read_run
from vpar_cache.training.checkpoints import Checkpoint, CheckpointFile

TOKENS = (
    b"", b"\0", b"\xff", b"\r", b"\r\n", b"\n\n", b",", b",,,,", b'"', b"'", b"=1+1", b"../", b"/", b"\\", b".",
    b"-1", b"0", b"1e999", b"nan", b"NaN", b"Infinity", b"null", b"true", b"99999999999999999999", b"-0.0",
    b"1_000", b"0x1F", b"1979-05-27T07:32:00Z", b"{", b"}", b"[", b"]", b"[[", b"]]", b":", b"[[group]]",
    b"values = []", b"{}", b'"""', b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xe2\x80\xae", b"\x1b[2J",
    b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x80\x00\x00\x00", b"\x7f\xff\xff\xff", b"\xff\xd8",
    b"\xff\xda", b"IDAT", b"PK", b"0001C1T0001F001.jpg", b"tracklet", b"split", b"labels", b"vtf", b"average",
    b"F32", b"shape",
)  # fmt: skip
"""What formats are made of, and what breaks them."""

Parse = Callable[[Path], object]


@dataclass(frozen=True)
class Parser:
    """A file that one of our readers takes: valid contents, and the reading."""

    name: str
    path: Path
    """Where the reader looks for it."""
    seeds: tuple[bytes, ...] = field(repr=False)
    parse: Parse
    in_c: bool = False
    """Read by a C library that a hostile file may crash or hang: to be tried in a process of its own."""

    def try_bytes(self, data: bytes) -> None:
        """Read these bytes. Raises whatever the reader raises."""
        self.path.write_bytes(data)
        self.parse(self.path)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Between one and eight changes: bits, tokens, cuts, repetitions, swaps."""
    spoiled = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(spoiled) + 1)
        length = rng.choice((1, 2, 4, 16, 100))
        kind = rng.randrange(8)
        if kind == 0 and at < len(spoiled):
            spoiled[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(spoiled):
            spoiled[at] = rng.randrange(256)
        elif kind in (2, 3):
            spoiled[at : at + rng.choice((0, 1, length))] = rng.choice(TOKENS)
        elif kind == 4:
            del spoiled[at : at + length]
        elif kind == 5:
            spoiled[at:at] = bytes(spoiled[at : at + length]) * rng.choice((1, 2, 100))
        elif kind == 6:
            other = rng.randrange(len(spoiled) + 1)
            spoiled[at : at + length], spoiled[other : other + length] = (
                spoiled[other : other + length],
                spoiled[at : at + length],
            )
        else:
            del spoiled[at:]
    return bytes(spoiled)


NASTY_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**70, 1e308, float("nan"), float("inf"), "", "\0", "=1+1", "\x1b[2J", "x" * 5000, [], {},
    [[]], [None], {"": 0}, {"name": 1}, "random:", "random:0", 0.5, 1, "mars", "\ud800",
)  # fmt: skip


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """Another value, or none, at a random place of the tree; the result is JSON as Python writes it."""
    tree = json.loads(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        node, way = tree, []
        while isinstance(node, dict | list) and node and (not way or rng.random() < 0.8):
            key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
            way.append((node, key))
            node = node[key]
        if not way:
            continue
        parent, key = way[-1]
        if rng.random() < 0.2:
            del parent[key]
        else:
            parent[key] = deepcopy(rng.choice(NASTY_VALUES))  # a later round may change it
    return json.dumps(tree).encode()


def spoil(parser: Parser, rng: random.Random) -> bytes:
    """A seed after mutations, by bytes or by the structure of its format."""
    seed = rng.choice(parser.seeds)
    if parser.path.suffix == ".json" and rng.random() < 0.5:
        return mutate_json(seed, rng)
    return mutate(seed, rng)


def make_parsers(folder: Path) -> list[Parser]:
    """Every parser of ours with its seeds, working below `folder`."""
    parsers = [*_text_parsers(folder), *_mars_parsers(folder), *_image_set_parsers(folder), *_run_parsers(folder)]
    return [*parsers, *_weight_parsers(folder), *_image_parsers(folder), *_cache_parsers(folder)]


_SCHEMA = b"""
name = "shop"
quality = ["occlusion"]
[[group]]
name = "hat"
phrase = "a hat"
negative = "no hat"
[[group]]
name = "top"
column = "upcolor"
values = ["black", "white"]
phrases = ["black top", "white top"]
"""
_PROMPTS = b"""
template = "a photo of {}"
[phrases]
"hat" = "a hat or a cap"
"""


def _text_parsers(folder: Path) -> list[Parser]:
    root = folder / "own"
    for name in ("anna/1", "bob", "cy"):
        (root / name).mkdir(parents=True)
        (root / name / "1.jpg").write_bytes(b"never decoded here")
    columns = [group.name for group in MARS.groups]
    labels = "tracklet,split,person_id,camera_id," + ",".join([*columns, *MARS.quality]) + "\n"
    cells = len(columns) + len(MARS.quality)
    for number, name in enumerate(("anna/1,train", "bob,test")):
        labels += f"{name},{number},1," + ",".join(["0"] * cells) + "\n"
    partly = labels + "cy,val,2,1," + ",".join((["", "-1", "NA", "1.0", "True"] * cells)[:cells]) + "\n"
    seeds = (labels.encode(), partly.encode())
    return [
        Parser("labels", root / "labels.csv", seeds, lambda path: load_folder(root, path, MARS)),
        Parser("schema", folder / "s.toml", (_SCHEMA,), lambda path: load_schema(str(path))),
        Parser("prompts", folder / "p.toml", (_PROMPTS,), lambda path: build_prompts(MARS, str(path))),
    ]


def _mars_parsers(folder: Path) -> list[Parser]:
    """The lists of a dataset in the layout of MARS, one spoiled at a time."""
    size = DemoSize(train_people=2, test_people=2, tracklets_per_person=1, frames=2)
    parsers = []
    for name in ("mars_attributes.csv", "info/test_name.txt", "info/tracks_train_info.mat"):
        root = write_demo(folder / Path(name).stem, size, 0)
        seed = (root / name).read_bytes()
        parsers.append(
            Parser(f"MARS {Path(name).name}", root / name, (seed,), lambda path, at=root: read_lists(at))
        )
    scipy.io.savemat(folder / "a.mat", {"t": np.arange(40).reshape(10, 4)}, do_compression=True)
    mat = (*parsers[-1].seeds, (folder / "a.mat").read_bytes())
    return [*parsers, Parser(".mat", folder / "a.mat", mat, read_matrices)]


def _image_set_parsers(folder: Path) -> list[Parser]:
    """The label files of image datasets."""
    market, pa100k, images = (folder / name for name in ("market", "pa100k", "images"))
    write_market(market, people=2, images=1)
    write_pa100k(pa100k, {"train": 2, "val": 1, "test": 2})
    rows = [["a.jpg", "train", "0", "1"], ["b/c.jpg", "test", "1", ""]]
    draw(images / "a.jpg", 0)
    draw(images / "b" / "c.jpg", 1)
    listed = write_table(images / "labels.csv", ["image", "split", "hat", "long coat"], rows)
    files = (
        ("Market-1501", market / "market_attribute.mat", load_market),
        ("PA-100K", pa100k / "annotation.mat", load_pa100k),
        ("images", listed, load_images),
    )
    return [
        Parser(name, path, (path.read_bytes(),), lambda path, load=load: load(path.parent))
        for name, path, load in files
    ]


def _run_parsers(folder: Path) -> list[Parser]:
    parsers = []
    for name in ("run.json", "metrics.json"):
        run = make_run(folder / "runs", name.replace(".", "-"))
        seed = (run / name).read_bytes()
        parsers.append(Parser(name, run / name, (seed,), lambda path: read_run(path.parent)))
    probabilities, labels = predictions(SMALL, 6)
    table = {
        "tracklet_id": [str(i) for i in range(6)],
        "probabilities": list(probabilities),
        "labels": list(labels),
    }
    path = folder / "p.parquet"
    seeds = []
    for options in ({"compression": "none"}, {"write_page_checksum": True}, {"use_dictionary": False}):
        pq.write_table(pa.table(table), path, **options)
        seeds.append(path.read_bytes())
    table_parser = Parser("predictions", path, tuple(seeds), lambda path: score(path, SMALL), in_c=True)
    return [*parsers, table_parser]


def _weight_parsers(folder: Path) -> list[Parser]:
    model = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))
    state = model.state_dict()
    save_file(state, folder / "w.safetensors", {"vpar": '{"model":"linear"}'})
    torch.save(state, folder / "w.pt")
    torch.save(state, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    saved = CheckpointFile(folder / "runs", "x", "f" * 64)
    saved._saved_at -= 100  # so that it is due
    saved.save_if_due(Checkpoint(1, {"a": torch.zeros(3)}, history=[{"epoch": 1}]))

    def load(path: Path) -> None:
        load_weights(model, path, "tiny")

    files = {name: (folder / name).read_bytes() for name in ("w.safetensors", "w.pt", "legacy.pt")}
    return [
        Parser("safetensors", folder / "w.safetensors", (files["w.safetensors"],), load),
        Parser("torch file", folder / "w.pt", (files["w.pt"], files["legacy.pt"]), load),
        Parser("checkpoint", saved.path, (saved.path.read_bytes(),), lambda path: saved.load()),
    ]


def _image_parsers(folder: Path) -> list[Parser]:
    seeds = [picture(form, (9, 12)) for form in ("JPEG", "PNG", "WEBP", "BMP")]
    seeds += [picture("PNG", (9, 12), mode) for mode in ("L", "RGBA", "P")]
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    seeds += [picture(form, (9, 12), exif=exif) for form in ("JPEG", "PNG", "WEBP")]
    seeds += [picture("JPEG", (9, 12), "CMYK"), picture("JPEG", (9, 12), progressive=True)]

    def decode(path: Path) -> None:
        decode_frame(path.read_bytes(), 32, "pad")

    return [Parser("image", folder / "i.jpg", tuple(seeds), decode)]


def _cache_parsers(folder: Path) -> list[Parser]:
    """Index and shard under a seal that fits, so that HDF5 and our checks of what it finds are reached."""
    cache = write_small_cache(folder / "cache" / "mars.h5", ((2, 0), (1, 2)), unknown=True)
    index, shard = cache.index.read_bytes(), cache.shard(0).read_bytes()

    def open_sealed(path: Path) -> None:
        write_seal(path)
        open_features(path)

    def read_sealed(path: Path) -> None:
        write_seal(path)
        read_shard_header(path)

    other = folder / "shard" / cache.shard(0).name
    other.parent.mkdir()
    hints = fmt.shard_folder(cache.index) / "hints.json"
    open_features(cache.index)
    return [
        Parser("hints", hints, (hints.read_bytes(),), lambda path: open_features(cache.index)),
        Parser("sealed shard", other, (shard,), read_sealed, in_c=True),
        Parser("sealed index", cache.index, (index,), open_sealed, in_c=True),
    ]
