"""The whole path on hostile input opens nothing outside the given folders, runs and unpickles nothing."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from tests.support.fake_runs import make_run
from tests.support.hostile_files import NASTY, Program, assert_refused, bounded, call_vpar
from tests.support.hostile_shop import HANDLED, HEADER, REFUSED, ROWS, Shop, add_people, make_shop
from tests.support.small_caches import edit_sealed
from vpar_cache.cache import format as fmt
from vpar_cache.cache.features import open_features

TRAIN = ("--dim", "8", "--heads", "1", "--epochs", "2", "--device", "cpu", "--recipe", "paper")


@pytest.fixture
def shop(tmp_path: Path, tiny_backbone: str) -> Shop:
    return make_shop(tmp_path, tiny_backbone)


def make_hostile(shop: Shop) -> int:
    """All odd images, links out, pipes, devices and nasty names at once. How many tracklets cannot be used."""
    handled = add_people(shop, HANDLED)
    names = [*handled, *add_people(shop, REFUSED)]
    for name, target in (
        ("linked", "../../../outside/1.jpg"),
        ("endless", "/dev/zero"),
        ("secret", "/etc/passwd"),
    ):
        (shop.root / name).mkdir()
        (shop.root / name / "1.jpg").symlink_to(target)
        names.append(name)
    (shop.root / "held").mkdir()
    os.mkfifo(shop.root / "held" / "1.jpg")
    names += ["held", "=cmd|' /C calc'!A1"]
    rows = (f"{name},train,{20 + number},1,0,1,0\n".encode() for number, name in enumerate(names))
    (shop.root / "labels.csv").write_bytes(HEADER + b"".join(ROWS) + b"".join(rows))
    return len(names) - len(handled)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.slow
def test_extract_train_and_report_on_hostile_input_stay_inside_the_given_folders(shop: Shop) -> None:
    given, bad = shop.folder / "given", make_hostile(shop)
    assert_refused(shop.extract(), "tracklets cannot be used")  # those that are known before any frame is read
    assert_refused(shop.extract("--max-bad", str(bad - 1)), f"{bad} tracklets cannot be used")
    assert shop.extract("--max-bad", str(bad)).returncode == 0
    assert len(open_features(shop.index).tracklet_ids) == 3 + len(HANDLED)

    hints = fmt.shard_folder(shop.index) / "hints.json"
    hints.unlink(missing_ok=True)
    hints.symlink_to("../../../outside/1.jpg")
    edit_sealed(shop.index, lambda file: file.attrs.modify("dataset", "../../../outside/escaped"))
    train = ["train", "--features", str(shop.index), *TRAIN]  # the name of the run comes from the cache
    with bounded(given, outside=shop.outside):
        done = call_vpar(*train, folder=given)
    assert done.returncode == 0, done.stderr
    run = done.stdout.strip()
    assert (given / run).resolve().parent == given / "cache" / "runs"
    checkpoint = given / "cache" / "runs" / f".{Path(run).name}.checkpoint"
    checkpoint.write_bytes(pickle.dumps(Program(shop.outside / "executed")))
    with bounded(given, outside=shop.outside):
        assert_refused(call_vpar(*train, "--overwrite", folder=given), "--restart")
    make_run(given / "cache" / "runs", "theirs", dataset=NASTY, weights=NASTY)
    for arguments in (
        [*train, "--overwrite", "--restart"],
        ["verify", str(shop.index)],
        ["info", str(shop.index)],
        ["score", f"{run}/predictions.parquet", "--schema", "shop.toml"],
        ["report", run, "--details"],
        ["report", "--html", "page.html"],
    ):
        with bounded(given, outside=shop.outside):
            done = call_vpar(*arguments, folder=given)
        assert done.returncode == 0, (arguments, done.stderr)
        assert not set("\x1b\x07\u202e") & set(done.stdout + done.stderr)

    (given / "cache" / "runs" / "theirs" / "metrics.json").unlink()
    (given / "cache" / "runs" / "theirs" / "metrics.json").symlink_to(shop.outside / "1.jpg")
    with bounded(given, outside=shop.outside):
        assert_refused(call_vpar("report", "cache/runs/theirs", folder=given), "metrics.json")
    assert sorted(path.name for path in shop.outside.iterdir()) == ["1.jpg"]


# --- the watch itself ---


def read_python(outside: Path) -> object:
    return (outside / "1.jpg").read_bytes()


def read_hdf5(outside: Path) -> object:
    with h5py.File(outside / "lure.h5") as file:
        return file.name


def through_a_link(outside: Path) -> object:
    return (outside.parent / "given" / "link").read_bytes()


DEEDS: dict[str, Callable[[Path], object]] = {
    "a file read by Python": read_python,
    "a file read by HDF5": read_hdf5,
    "a file read through a link": through_a_link,
    "a program": lambda outside: subprocess.run([sys.executable, "-c", ""], check=True),
    "a pickle": lambda outside: pickle.loads(pickle.dumps(Path("x"))),  # noqa: S301
    "a call": lambda outside: socket.socket().connect_ex(("127.0.0.1", 9)),
    "memory": lambda outside: b"x" * (500 << 20),
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS.keys())
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_the_watch_of_these_tests_sees_what_it_must(deed: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "1.jpg").write_bytes(b"x")
    (tmp_path / "given" / "link").symlink_to(tmp_path / "outside" / "1.jpg")
    h5py.File(tmp_path / "outside" / "lure.h5", "w").close()
    with pytest.raises(AssertionError), bounded(tmp_path / "given", outside=tmp_path / "outside"):
        deed(tmp_path / "outside")
    with bounded(tmp_path / "given", outside=tmp_path / "outside"):
        (tmp_path / "given" / "own").write_bytes(b"x")
