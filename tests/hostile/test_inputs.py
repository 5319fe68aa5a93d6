"""Untrusted datasets, images, weights and settings: handled, or refused in one line and within bounds."""

from __future__ import annotations

import os
import pickle
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from tests.support.hostile_files import Program, assert_refused, bounded, call_vpar
from tests.support.hostile_shop import HEADER, REFUSED, ROWS, Shop, add_people, make_shop
from vpar_cache.cache.features import open_features


@pytest.fixture
def shop(tmp_path: Path, tiny_backbone: str) -> Shop:
    return make_shop(tmp_path, tiny_backbone)


def test_the_dataset_itself_is_good(shop: Shop) -> None:
    assert shop.extract().returncode == 0
    assert open_features(shop.index).tracklet_ids == ("anna/seq1", "anna/seq2", "bob")


# --- label files ---


LABELS: dict[str, bytes] = {
    "a path upward": HEADER + b"".join(ROWS) + b"../outside,train,9,1,0,0,0\n",
    "NUL in a name": HEADER + b"".join(ROWS) + b"bob\0,train,9,1,0,0,0\n",
    "escapes": HEADER + b"".join(ROWS) + b"\x1b[31mbob,train,9,1,0,0,0\n",
    "a very long line": HEADER + b"".join(ROWS) + b"x" * 30_000_000,
    "UTF-16": (HEADER + b"".join(ROWS)).decode().encode("utf-16"),
}


@pytest.mark.parametrize("content", LABELS.values(), ids=LABELS.keys())
def test_a_hostile_label_file_is_refused(shop: Shop, content: bytes) -> None:
    (shop.root / "labels.csv").write_bytes(content)
    assert_refused(shop.extract(), "labels.csv")


def test_line_ends_and_a_byte_order_mark_of_windows_are_read(shop: Shop) -> None:
    content = b"\xef\xbb\xbf" + (HEADER + b"".join(ROWS)).replace(b"\n", b"\r\n")
    (shop.root / "labels.csv").write_bytes(content)
    assert shop.extract().returncode == 0


FORMULAS = ("=cmd|' /C calc'!A1", "+1+1", "-2+3", "@SUM(A1)")


def test_a_formula_for_a_name_reaches_no_table_as_one(shop: Shop) -> None:
    rows = b"".join(f'"{name}",train,9,1,0,0,0\n'.encode() for name in FORMULAS)
    (shop.root / "labels.csv").write_bytes(HEADER + b"".join(ROWS) + rows)
    assert_refused(shop.extract(), "4 tracklets cannot be used")
    assert {row[0] for row in shop.skipped()} == {f"'{name}" for name in FORMULAS}


def test_a_folder_that_links_out_of_the_root_is_refused(shop: Shop) -> None:
    (shop.root / "bob" / "1.jpg").unlink()
    shutil.rmtree(shop.root / "bob")
    (shop.root / "bob").symlink_to(shop.outside)
    assert_refused(shop.extract(), "outside the root")


def test_a_frame_that_links_out_of_the_root_is_not_followed(shop: Shop) -> None:
    (shop.root / "anna" / "seq1" / "1.jpg").unlink()
    (shop.root / "anna" / "seq1" / "1.jpg").symlink_to(shop.outside / "1.jpg")
    assert_refused(shop.extract(), "1 of 2 frames are links, first: 1.jpg")
    assert shop.extract("--max-bad", "1").returncode == 0
    assert open_features(shop.index).tracklet_ids == ("anna/seq2", "bob")


def test_pipes_and_devices_among_frames_hold_nobody_up(shop: Shop) -> None:
    os.mkfifo(shop.root / "bob" / "0.jpg")
    (shop.root / "bob" / "3.jpg").symlink_to("/dev/zero")
    assert_refused(shop.extract(), "3.jpg to /dev/zero")
    assert_refused(shop.extract("--follow-links", "/dev"), "no file")
    (shop.root / "bob" / "3.jpg").unlink()
    assert shop.extract().returncode == 0
    (shop.root / "labels.csv").unlink()
    os.mkfifo(shop.root / "labels.csv")
    assert_refused(shop.extract(), "labels.csv")


ZEROS = zlib.compress(bytes(100_000_000), 9)

MARS_FILES: dict[str, tuple[str, bytes]] = {
    "names that lead out": ("info/test_name.txt", b"../../../etc/passwd.jpg\n" * 100),
    "no MATLAB file": ("info/tracks_test_info.mat", b"\x89HDF\r\n\x1a\n" + bytes(500)),
    "a MATLAB file of few bytes that unpacks to many": (
        "info/tracks_test_info.mat",
        b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 15, len(ZEROS)) + ZEROS,
    ),
}


@pytest.mark.parametrize("case", MARS_FILES.values(), ids=MARS_FILES.keys())
def test_hostile_lists_of_mars_are_refused(
    demo_root: Path, tmp_path: Path, tiny_backbone: str, case: tuple[str, bytes]
) -> None:
    shutil.copytree(demo_root, tmp_path / "root")
    name, content = case
    (tmp_path / "root" / name).write_bytes(content)
    with bounded(tmp_path):
        done = call_vpar("extract", "--dataset", "mars", "--root", "root", folder=tmp_path)
    assert_refused(done, Path(name).name)


# --- images ---


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.slow
def test_what_is_no_image_of_a_person_is_refused_and_can_be_left_out(shop: Shop) -> None:
    names = add_people(shop, REFUSED)
    assert_refused(shop.extract(), f"{len(names)} tracklets cannot be used")
    reasons = {row[0]: row[2] for row in shop.skipped()}
    assert reasons.keys() == set(names)
    assert all(reason.startswith("1.jpg: ") and len(reason) < 200 for reason in reasons.values())
    assert shop.extract("--max-bad", str(len(names))).returncode == 0
    assert set(open_features(shop.index).tracklet_ids) == {"anna/seq1", "anna/seq2", "bob"}


# --- weights ---


def state_of(backbone: str) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = open_clip.create_model(backbone, pretrained=None).state_dict()
    return state


def rewritten(path: Path, content: dict[str, bytes], compression: int) -> None:
    """A torch archive with other parts."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in parts.items():
            archive.writestr(name, content.get(name.partition("/")[2], data))


def changed(**changes: Callable[[torch.Tensor], torch.Tensor | None]) -> Callable[[Path, str], None]:
    def write(path: Path, backbone: str) -> None:
        state = state_of(backbone)
        for name, change in changes.items():
            key = name.replace("__", ".")
            tensor = change(state.pop(key, torch.zeros(1)))
            if tensor is not None:
                state[key] = tensor
        torch.save(state, path) if path.suffix == ".pt" else save_file(state, path)

    return write


def pickled(path: Path, backbone: str) -> None:
    path.write_bytes(pickle.dumps(Program(path.with_name("executed"))))


def program(path: Path, backbone: str) -> None:
    torch.save({"state_dict": {"logit_scale": Program(path.with_name("executed"))}}, path)


def compressed(path: Path, backbone: str) -> None:
    torch.save({"logit_scale": torch.zeros(1)}, path)
    rewritten(path, {"data/0": bytes(500_000_000)}, zipfile.ZIP_DEFLATED)


WEIGHTS: dict[str, tuple[str, Callable[[Path, str], None]]] = {
    "a pickle": ("w.pt", pickled),
    "a program among tensors": ("w.pt", program),
    "a bomb of zeros": ("w.pt", compressed),
    "another shape": ("w.safetensors", changed(visual__proj=lambda t: torch.zeros(64, 31))),
    "a vast shape": ("w.pt", changed(visual__proj=lambda t: torch.zeros(1).expand(10**9, 10**9))),
    "not finite": ("w.safetensors", changed(visual__proj=lambda t: t * float("nan"))),
    "a header beyond the file": (
        "w.safetensors", lambda path, backbone: path.write_bytes((2**60).to_bytes(8, "little") + b"{}")
    ),
    "a pipe": ("w.safetensors", lambda path, backbone: os.mkfifo(path)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*was saved with a quantized|.*weights_only")
@pytest.mark.parametrize("case", WEIGHTS.values(), ids=WEIGHTS.keys())
def test_hostile_weights_are_refused(shop: Shop, case: tuple[str, Callable[[Path, str], None]]) -> None:
    name, write = case
    write(shop.folder / "given" / name, shop.backbone)
    done = shop.extract("--weights", name)
    assert_refused(done, "weights")
    assert not (shop.folder / "given" / "executed").exists()
    assert not shop.index.exists()


# --- settings ---


TOML: dict[str, bytes] = {
    "no TOML": b"{}",
    "no UTF-8": b'name = "\xff"',
    "deep": b"group = " + b"[" * 40_000,
    "too large": b"#" * 10_000_000,
}


@pytest.mark.parametrize("content", TOML.values(), ids=TOML.keys())
def test_a_hostile_settings_file_is_refused(shop: Shop, content: bytes) -> None:
    (shop.folder / "given" / "odd.toml").write_bytes(content)
    for option in ("--schema", "--prompts"):
        assert_refused(shop.extract(option, "odd.toml"), "odd.toml")
