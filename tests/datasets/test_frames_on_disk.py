"""What is wrong with frames on disk is known before any of them is read."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from tests.datasets.test_folder import HEADER, ROWS, SHOP, add_frames
from vpar_cache.datasets.folder import load_folder
from vpar_cache.datasets.frames_on_disk import check_link_folder, find_frames
from vpar_cache.datasets.loading import read_frame
from vpar_cache.datasets.tracklet import Dataset
from vpar_cache.errors import DataError, UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "own"
    for name in ("annA/seq1", "annA/seq2", "bob"):
        add_frames(root / name)
    return root


def load(root: Path, *rows: str, follow: Path | None = None) -> Dataset:
    labels = root / "labels.csv"
    labels.write_text("\n".join([HEADER, *ROWS, *rows]), "utf-8")
    return load_folder(root, labels, SHOP, check_link_folder(follow))


def test_frames_that_are_links_are_left_out_and_the_option_is_named(root: Path, tmp_path: Path) -> None:
    add_frames(tmp_path / "store")
    (root / "cy").mkdir()
    (root / "cy" / "f1.jpg").symlink_to(tmp_path / "store" / "frame1.jpg")
    add_frames(root / "cy", "f2.jpg")
    (item,) = load(root, "cy,test,9,1,0,0,0").left_out
    assert item.tracklet_id == "cy"
    for part in ("1 of 2 frames are links", "f1.jpg", str(tmp_path / "store" / "frame1.jpg"), "--follow-links"):
        assert part in item.reason


def test_links_are_followed_only_into_the_folder_that_the_user_names(root: Path, tmp_path: Path) -> None:
    add_frames(tmp_path / "store", "a.jpg")
    add_frames(tmp_path / "secret", "b.jpg")
    for name, target in (("cy", "store/a.jpg"), ("dee", "secret/b.jpg"), ("eve", "store/none.jpg")):
        (root / name).mkdir()
        (root / name / "f1.jpg").symlink_to(tmp_path / target)
    rows = [f"{name},test,9,1,0,0,0" for name in ("cy", "dee", "eve")]
    dataset = load(root, *rows, follow=tmp_path / "store")
    assert [(item.tracklet_id, "outside --follow-links" in item.reason) for item in dataset.left_out] == [
        ("dee", True),
        ("eve", False),
    ]
    assert "no file" in dataset.left_out[1].reason
    linked = next(t for t in dataset.tracklets if t.tracklet_id == "cy")
    assert read_frame(linked, "f1.jpg") == b"no decoder sees this"
    (root / "cy" / "f1.jpg").unlink()
    (root / "cy" / "f1.jpg").symlink_to(tmp_path / "secret" / "b.jpg")  # exchanged after loading
    with pytest.raises(OSError, match="symbolic links"):
        read_frame(linked, "f1.jpg")


def test_a_linked_folder_is_taken_where_it_stays_inside_the_named_one(root: Path, tmp_path: Path) -> None:
    add_frames(tmp_path / "store" / "cy")
    (root / "cy").symlink_to(tmp_path / "store" / "cy")
    with pytest.raises(DataError, match=r"outside the root.*--follow-links"):
        load(root, "cy,test,9,1,0,0,0")
    assert load(root, "cy,test,9,1,0,0,0", follow=tmp_path / "store").count("test") == 2


def test_the_folder_of_links_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--follow-links.*none"):
        check_link_folder(tmp_path / "none")


@pytest.mark.parametrize(
    ("written", "on_disk", "what"),
    [
        ("7/1", "0007/01", "leading zeros"),
        ("CY", "cy", "case"),
        ("cy_1", "cy/1", "separators"),
    ],
)
def test_a_missing_folder_names_the_near_one(root: Path, written: str, on_disk: str, what: str) -> None:
    add_frames(root / on_disk)
    (item,) = load(root, f"{written},test,9,1,0,0,0").left_out
    for part in ("its folder is missing", repr(on_disk), what, "rename"):
        assert part in item.reason


def test_a_missing_file_names_the_near_one(root: Path) -> None:
    (root / "Labels.csv").write_text(HEADER)
    with pytest.raises(UserError, match=r"no file at .*labels.csv; .* has 'Labels.csv', which differs in case"):
        load_folder(root, root / "labels.csv", SHOP)


def test_a_backslash_names_the_folder_that_is_meant(root: Path) -> None:
    with pytest.raises(DataError, match=r"line 5, .* the root has 'bob/x'"):
        add_frames(root / "bob" / "x")
        load(root, "bob\\x,test,9,1,0,0,0")
    add_frames(root / "eve\\x")  # a folder of that very name: no other one is near
    with pytest.raises(DataError, match=r"line 5, .* without \.\. or .$"):
        load(root, "eve\\x,test,9,1,0,0,0")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_folder_in_another_unicode_form_is_the_tracklet_s(root: Path, form: str) -> None:
    name = "Jos\u00e9"
    add_frames(root / unicodedata.normalize(form, name))
    dataset = load(root, f"{name},test,9,1,0,0,0")
    assert [t.tracklet_id for t in dataset.tracklets if t.split == "test"] == [name, "bob"]


@pytest.mark.parametrize("space", ["\u00a0", "\u2009", "\u3000"])
def test_names_may_hold_any_space(root: Path, space: str) -> None:
    add_frames(root / f"cy{space}1", f"frame{space}1.jpg")
    dataset = load(root, f"cy{space}1,test,9,1,0,0,0")
    assert dataset.left_out == ()
    assert dataset.tracklets[-1].frames == (f"frame{space}1.jpg",)


def test_files_of_other_endings_are_counted(root: Path) -> None:
    add_frames(root / "bob", "frame3.tif", "frame4.TIF", "notes.txt", ".DS_Store", "Thumbs.db")
    add_frames(root / "cy", "frame1.gif", "frame2.gif")
    dataset = load(root, "cy,test,9,1,0,0,0")
    (note,) = dataset.notes
    for part in ("3 files are not read", ".tif 2", ".txt 1", "bob/frame3.tif"):
        assert part in note
    assert ".gif 2" in dataset.left_out[0].reason


def test_missing_frames_name_the_near_one(root: Path) -> None:
    tracklet = load(root).tracklets[0]
    (root / "annA" / "seq1" / "frame1.jpg").rename(root / "annA" / "seq1" / "frame01.JPG")
    found, (item,) = find_frames([tracklet])
    assert found == []
    assert "1 of 2 frames are missing, first: frame1.jpg" in item.reason
    assert "'frame01.JPG', which differs in case and leading zeros" in item.reason
