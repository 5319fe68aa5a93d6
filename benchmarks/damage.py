"""Damage a small real cache in thousands of ways; every one must be found, and no good cache called bad.

    python benchmarks/damage.py --damages 10000 --good 200

Each damage hits a file of the cache: a truncation, one flipped bit anywhere, a zeroed block, two shards
swapped, an attribute edited through HDF5, a missing shard; in the index or in a shard. `verify_cache` must
report it and name the file; `open_features`, with which training begins, must stop. HDF5 may never be given a
file whose seal is wrong. After every hundredth damage the extraction is run again: it must redo only the
damaged shards and restore every byte.
"""

from __future__ import annotations

import json
import random
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
from support.program import extract, remove_cache
from support.timing import option_parser

from tests.support.small_caches import write_small_cache
from tests.support.tiny_clip import TINY_BACKBONE, TINY_CLIP
from vpar_cache.cache import headers, index
from vpar_cache.cache.features import open_features
from vpar_cache.cache.format import shard_folder
from vpar_cache.cache.seal import bears_seal, check_seal
from vpar_cache.cache.verify import verify_cache
from vpar_cache.datasets.demo.dataset import DemoSize, write_demo
from vpar_cache.errors import CacheError, VparError

MEMORY = Path("/dev/shm")
EXTRACT_EVERY = 100


@dataclass
class Damage:
    """What was done to which files."""

    kind: str
    files: tuple[Path, ...]


@dataclass
class Summary:
    """The counts of what was done, found and repaired."""

    tried: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    stopped: int = 0
    """How often open_features refused the cache."""
    repaired: int = 0
    repairs: int = 0
    slowest: float = 0.0
    unsealed_openings: int = 0
    complaints: list[str] = field(default_factory=list)


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--damages", type=int, default=10_000)
    parser.add_argument("--good", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    place = options.folder or (MEMORY if MEMORY.is_dir() else None)
    with tempfile.TemporaryDirectory(prefix="vpar-damage-", dir=place) as folder:
        trial = Trial(Path(folder), random.Random(options.seed))
        for number in range(options.damages):
            trial.damage_once(repair=number % EXTRACT_EVERY == 0)
        false_alarms = check_good(Path(folder) / "good", options.good, trial.settings, random.Random(options.seed))
    summary = trial.summary
    for complaint in summary.complaints[:20]:
        print(complaint)
    for kind, count in sorted(summary.tried.items()):
        print(f"{kind:32} {summary.found[kind]:6} of {count:6} found")
    print(f"opening for training stopped {summary.stopped} times; slowest check {summary.slowest:.3f} s")
    print(f"files with a wrong seal that HDF5 was given: {summary.unsealed_openings}")
    print(f"extracted again: {summary.repaired} of {summary.repairs} restored byte for byte, nothing else redone")
    tried, found = summary.tried.total(), summary.found.total()
    met = (
        found == summary.stopped == tried
        and summary.repaired == summary.repairs
        and not summary.unsealed_openings
        and not false_alarms
    )
    figures = {"tried": tried, "found": found, "good": options.good, "false_alarms": false_alarms}
    print(json.dumps({"figure": "damages found", **figures, "met": met}))
    sys.exit(not met)


class Trial:
    """A cache, its right bytes, and damages to it one after the other."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.rng = rng
        self.summary = Summary()
        architecture = folder / f"{TINY_BACKBONE}.json"
        architecture.write_text(json.dumps(TINY_CLIP), "utf-8")
        open_clip.add_model_config(architecture)
        size = DemoSize(train_people=12, test_people=6, tracklets_per_person=2, frames=3)
        self.index = folder / "cache" / "tiny.h5"
        self.settings: dict[str, Any] = {
            "dataset": "mars",
            "root": write_demo(folder / "tracklets", size, 0),
            "backbone": TINY_BACKBONE,
            "frames": 2,
            "views": 1,
            "shard_size": 6,
            "workers": 2,
        }
        extract(out=self.index, **self.settings)
        self.shards = sorted(shard_folder(self.index).glob("*.h5"))
        self.whole = {path: path.read_bytes() for path in (self.index, *self.shards)}
        self.kinds: list[Callable[[], Damage]] = [
            self.truncate, self.flip, self.flip, self.zero, self.swap, self.edit_attribute, self.remove,
        ]  # fmt: skip
        for module in (headers, index):
            self._watch(module)

    def _watch(self, module: Any) -> None:
        """Count the files that HDF5 is given although their seal is wrong."""
        original = module.open_hdf5

        def open_hdf5(path: Path) -> Any:
            try:
                check_seal(path)
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

    def repair(self, damage: Damage) -> None:
        """Run the same extraction: only the damaged shards are redone, and every byte is restored."""
        self.summary.repairs += 1
        if damage.files == (self.index,) and not bears_seal(self.index):
            self.index.unlink()  # refused, since nobody can tell whose it was: the user moves it away
        computed = extract(out=self.index, **self.settings).shards_written
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
        return Damage("truncated", (path,))

    def flip(self) -> Damage:
        path = self.any_file()
        data = bytearray(self.whole[path])
        data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
        path.write_bytes(data)
        return Damage("one flipped bit", (path,))

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


def check_good(folder: Path, count: int, settings: dict[str, Any], rng: random.Random) -> int:
    """Return how many of so many undamaged caches, of many sizes and contents, are called bad."""
    alarms = 0
    for number in range(count):
        index = folder / f"good-{number}.h5"
        if number % 10:
            trains = [(rng.randrange(1, 9), 0) for _ in range(rng.randrange(1, 6))]
            tests = [(0, rng.randrange(1, 9)) for _ in range(rng.randrange(1, 4))]
            write_small_cache(index, [*trains, *tests], rng.random() < 0.5, rng.random() < 0.5)
        else:
            extract(**{**settings, "out": index, "weights": f"random:{number}", "shard_size": 1 + number % 7})
        try:
            alarms += bool(verify_cache(index).problems)
            open_features(index)
        except VparError as error:
            alarms += 1
            print(f"FALSE ALARM: {error}")
        remove_cache(index)
    return alarms


if __name__ == "__main__":
    main()
