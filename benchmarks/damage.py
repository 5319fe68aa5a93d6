"""Damage a small real cache in thousands of ways; every one must be found, and no good cache called bad.

    python benchmarks/damage.py --damages 10000 --good 200

Each damage hits a copy in memory: a truncation, one flipped bit anywhere, a zeroed block, two shards swapped, an
attribute edited through HDF5, a missing shard; in the index or in a shard. `verify_cache` must report it and name
the file, and the arrays and tracklets where rows were hit; `open_features`, with which training begins, must stop.
HDF5 may never be given a file whose seal is wrong. Of every hundredth damage the extraction is run again: it must
redo the damaged shards alone and give every byte back.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import open_clip

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.support.small_caches import write_small_cache
from tests.support.tiny_clip import TINY_BACKBONE, TINY_CLIP
from vpar_cache.cache import features
from vpar_cache.cache import format as fmt
from vpar_cache.cache import headers as shard_headers
from vpar_cache.cache.damage import ShardInfo
from vpar_cache.cache.features import open_features, read_index
from vpar_cache.cache.verify import verify_cache
from vpar_cache.datasets.demo.dataset import DemoSize, write_demo
from vpar_cache.errors import CacheError, VparError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract

MEMORY = Path("/dev/shm")
EXTRACT_EVERY = 100


@dataclass
class Damage:
    """What was done to which files, and the byte range where that is known."""

    kind: str
    files: tuple[Path, ...]
    start: int = 0
    stop: int = 0


@dataclass
class Summary:
    """What became of the damages."""

    tried: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    stopped: int = 0
    """How often open_features refused the cache."""
    located: int = 0
    """Of the damages to rows, how many were reported with the arrays and the tracklets hit."""
    in_rows: int = 0
    repaired: int = 0
    repairs: int = 0
    slowest: float = 0.0
    unsealed_openings: int = 0
    complaints: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--damages", type=int, default=10_000)
    parser.add_argument("--good", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vpar-damage-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        trial = Trial(Path(folder), random.Random(options.seed))
        for number in range(options.damages):
            trial.damage_once(repair=number % EXTRACT_EVERY == 0)
        false_alarms = check_good(Path(folder) / "good", options.good, trial.config, random.Random(options.seed))
    summary = trial.summary
    for complaint in summary.complaints[:20]:
        print(complaint)
    for kind, count in sorted(summary.tried.items()):
        print(f"{kind:32} {summary.found[kind]:6} of {count:6} found")
    print(f"opening for training stopped {summary.stopped} times; slowest check {summary.slowest:.3f} s")
    print(f"rows hit: {summary.in_rows}, reported with array and tracklet: {summary.located}")
    print(f"files with a wrong seal that HDF5 was given: {summary.unsealed_openings}")
    print(f"extracted again: {summary.repaired} of {summary.repairs} restored byte for byte, nothing else redone")
    tried, found = summary.tried.total(), summary.found.total()
    met = (
        found == summary.stopped == tried
        and summary.located == summary.in_rows
        and summary.repaired == summary.repairs
        and not summary.unsealed_openings
        and not false_alarms
    )
    figures = {"tried": tried, "found": found, "good": options.good, "false_alarms": false_alarms}
    print(json.dumps({"figure": "damages found", **figures, "met": met}))
    sys.exit(not met)


class Trial:
    """A cache, its bytes as they should be, and damages to it one after the other."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.rng = rng
        self.summary = Summary()
        architecture = folder / f"{TINY_BACKBONE}.json"
        architecture.write_text(json.dumps(TINY_CLIP), "utf-8")
        open_clip.add_model_config(architecture)
        size = DemoSize(train_people=12, test_people=6, tracklets_per_person=2, frames=3)
        self.config = ExtractConfig(
            dataset="mars",
            root=write_demo(folder / "tracklets", size, 0),
            out=folder / "cache" / "tiny.h5",
            devices=("cpu",),
            backbone=TINY_BACKBONE,
            weights="random:0",
            frames=2,
            views=1,
            shard_size=6,
            workers=2,
        )
        self.index = extract(self.config).index
        self.listed: tuple[ShardInfo, ...] = read_index(self.index).fields["shards"]
        self.shards = [shard.path for shard in self.listed]
        self.whole = {path: path.read_bytes() for path in (self.index, *self.shards)}
        self.kinds: list[Callable[[], Damage]] = [
            self.truncate, self.flip, self.flip, self.zero, self.swap, self.edit_attribute, self.remove,
        ]  # fmt: skip
        for module in (features, shard_headers):
            self._watch(module)

    def _watch(self, module: Any) -> None:
        """Count the files that HDF5 is given although their seal is wrong."""
        original = module.open_hdf5

        def open_hdf5(path: Path) -> Any:
            try:
                fmt.check_seal(path)
            except CacheError:
                self.summary.unsealed_openings += 1
            return original(path)

        module.open_hdf5 = open_hdf5

    def damage_once(self, repair: bool) -> None:
        damage = self.rng.choice(self.kinds)()
        where = "index" if damage.files == (self.index,) else "shard"
        kind = f"{damage.kind}, {where}"
        self.summary.tried[kind] += 1
        started = time.perf_counter()
        problems = self.verify()
        self.summary.slowest = max(self.summary.slowest, time.perf_counter() - started)
        named = all(any(str(path) in problem for problem in problems) for path in damage.files)
        if problems and named:
            self.summary.found[kind] += 1
        else:
            self.summary.complaints.append(f"NOT FOUND: {damage}: {problems}")
        self.check_location(damage, problems)
        try:
            open_features(self.index)
            self.summary.complaints.append(f"OPENED FOR TRAINING: {damage}")
        except VparError:
            self.summary.stopped += 1
        if repair:
            self.repair(damage)
        for path in damage.files:
            path.write_bytes(self.whole[path])

    def verify(self) -> tuple[str, ...]:
        try:
            return verify_cache(self.index).problems
        except VparError as error:
            return (str(error),)

    def check_location(self, damage: Damage, problems: tuple[str, ...]) -> None:
        """Damage to the rows of a shard must be reported with their arrays and tracklets."""
        for shard in self.listed:
            if shard.path in damage.files and damage.stop:
                report = next((p for p in problems if str(shard.path) in p), "")
                for name, tracklet_ids in rows_within(shard, damage.start, damage.stop).items():
                    self.summary.in_rows += 1
                    count, first, last = len(tracklet_ids), tracklet_ids[0], tracklet_ids[-1]
                    exact = all(tracklet_id in report for tracklet_id in tracklet_ids)
                    if f"/{name}" in report and (exact or f"{count} tracklets from {first} to {last}" in report):
                        self.summary.located += 1
                    else:
                        self.summary.complaints.append(f"NOT LOCATED: {damage}: /{name} {tracklet_ids}: {report}")

    def repair(self, damage: Damage) -> None:
        """The same extraction again: only what is broken is redone, and every byte comes back."""
        self.summary.repairs += 1
        computed = extract(self.config).shards_computed
        broken = len([path for path in damage.files if path != self.index])
        same = all(path.read_bytes() == content for path, content in self.whole.items())
        if same and computed == broken:
            self.summary.repaired += 1
        else:
            self.summary.complaints.append(f"NOT REPAIRED: {damage}: {computed} shards redone, same bytes: {same}")

    def any_file(self) -> Path:
        return self.index if self.rng.random() < 0.25 else self.rng.choice(self.shards)

    def truncate(self) -> Damage:
        path = self.any_file()
        length = self.rng.randrange(len(self.whole[path]))
        path.write_bytes(self.whole[path][:length])
        return Damage("truncated", (path,), length, len(self.whole[path]))

    def flip(self) -> Damage:
        path = self.any_file()
        data = bytearray(self.whole[path])
        position = self.rng.randrange(len(data))
        data[position] ^= 1 << self.rng.randrange(8)
        path.write_bytes(data)
        return Damage("one flipped bit", (path,), position, position + 1)

    def zero(self) -> Damage:
        path = self.any_file()
        data = bytearray(self.whole[path])
        while bytes(data) == self.whole[path]:  # a block of zeros would be no damage
            start = self.rng.randrange(len(data))
            stop = min(len(data), start + self.rng.choice((1, 16, 512, 4096)))
            data[start:stop] = bytes(stop - start)
        path.write_bytes(data)
        return Damage("zeroed block", (path,))

    def swap(self) -> Damage:
        first, second = self.rng.sample(self.shards, 2)
        first.write_bytes(self.whole[second])
        second.write_bytes(self.whole[first])
        return Damage("two shards swapped", (first, second))

    def edit_attribute(self) -> Damage:
        path = self.any_file()
        with h5py.File(path, "r+") as file:
            name = self.rng.choice(sorted(file.attrs))
            value = file.attrs[name]
            file.attrs[name] = value + 1 if not isinstance(value, str) else value[:-1] + "~"
        return Damage("edited attribute", (path,))

    def remove(self) -> Damage:
        path = self.rng.choice(self.shards)
        path.unlink()
        return Damage("missing", (path,))


def rows_within(shard: ShardInfo, start: int, stop: int) -> dict[str, list[str]]:
    """Whose rows of which arrays lie, in part at least, within these bytes of the file."""
    hit: dict[str, list[str]] = {}
    for rows in shard.arrays:
        for number, tracklet_id in enumerate(rows.tracklet_ids):
            begin = rows.extent.offset + number * rows.row_bytes
            if begin < stop and start < begin + rows.row_bytes:
                hit.setdefault(rows.name, []).append(tracklet_id)
    return hit


def check_good(folder: Path, count: int, config: ExtractConfig, rng: random.Random) -> int:
    """How many of so many undamaged caches, of many sizes and contents, are called bad."""
    alarms = 0
    for number in range(count):
        index = folder / f"good-{number}.h5"
        if number % 10:
            trains = [(rng.randrange(1, 9), 0) for _ in range(rng.randrange(1, 6))]
            tests = [(0, rng.randrange(1, 9)) for _ in range(rng.randrange(1, 4))]
            write_small_cache(index, [*trains, *tests], rng.random() < 0.5, rng.random() < 0.5)
        else:
            settings = {**vars(config), "out": index, "weights": f"random:{number}", "shard_size": 1 + number % 7}
            extract(ExtractConfig(**settings))
        try:
            alarms += bool(verify_cache(index).problems)
            open_features(index)
        except VparError as error:
            alarms += 1
            print(f"FALSE ALARM: {error}")
        shutil.rmtree(fmt.shard_folder(index))
    return alarms


if __name__ == "__main__":
    main()
