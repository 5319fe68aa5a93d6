"""The template: it is sound itself, follows the schema and the pictures, and never replaces a file of the user."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from vpar_cache.attributes.schema import read_schema
from vpar_cache.datasets.own.folders import find_tracklet_folders
from vpar_cache.datasets.own.template import start_template, write_template
from vpar_cache.errors import DataError, UserError

FILES = ["README.md", "labels.csv", "schema.toml"]


def add(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 8)).save(root / name)


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}


def test_an_empty_template_is_a_valid_schema_and_a_label_file_with_its_columns(tmp_path: Path) -> None:
    template = write_template(tmp_path / "new")
    assert sorted(contents(tmp_path / "new")) == FILES
    assert (sorted(template.written), template.kept, template.tracklets) == (FILES, (), 0)
    assert [group.name for group in read_schema(tmp_path / "new/schema.toml").groups] == [
        "hat",
        "backpack",
        "top color",
    ]
    assert (tmp_path / "new/labels.csv").read_text() == "tracklet,split,person_id,hat,backpack,top color\n"
    assert len((tmp_path / "new/README.md").read_text().splitlines()) <= 12


def test_what_was_written_before_the_crops_is_not_called_the_user_s(tmp_path: Path) -> None:
    _, started = start_template(tmp_path)
    template = write_template(tmp_path, started)
    assert (sorted(template.written), template.kept) == (FILES, ())


def test_each_folder_with_pictures_has_a_row_in_natural_order(tmp_path: Path) -> None:
    add(tmp_path, "crops/v/10/1.jpg", "crops/v/9/1.png", "crops/.hidden/1.jpg", "loose.jpg", "crops/v/x.txt.bmp")
    (tmp_path / "crops/away").symlink_to(tmp_path / "crops/v/9")
    template = write_template(tmp_path)
    rows = (tmp_path / "labels.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["crops/v", "crops/v/9", "crops/v/10"]
    assert rows[1] == "crops/v/9,,crops/v/9,,,"
    assert template.tracklets == 3
    assert (tmp_path / "label.html").is_file()


def test_a_changed_schema_changes_a_label_file_without_rows(tmp_path: Path) -> None:
    write_template(tmp_path)
    (tmp_path / "schema.toml").write_text('quality = ["blur"]\n[[group]]\nname = "bag"\ncolumn = "Tasche"\n')
    template = write_template(tmp_path)
    assert (tmp_path / "labels.csv").read_text() == "tracklet,split,person_id,Tasche,blur\n"
    assert template.kept == ("schema.toml", "README.md")


def test_files_of_the_user_stay_to_the_byte(tmp_path: Path) -> None:
    add(tmp_path, "crops/a/1.jpg")
    write_template(tmp_path)
    (tmp_path / "labels.csv").write_bytes(b"\xef\xbb\xbftracklet;hat\r\ncrops/a;1\r\n")
    (tmp_path / "README.md").write_text("mine")
    before = contents(tmp_path)
    add(tmp_path, "crops/b/1.jpg")
    assert write_template(tmp_path).kept == ("schema.toml", "README.md", "labels.csv")
    after = contents(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"label.html"}
    assert b"crops/b" in after["label.html"]


def test_what_cannot_be_a_dataset_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"DIR: got .*file, which is a file"):
        start_template(tmp_path / "file")
    (tmp_path / "page").mkdir()
    (tmp_path / "page/label.html").write_text("mine")
    with pytest.raises(UserError, match=r"label\.html: got a page of another program"):
        write_template(tmp_path / "page")
    assert list(contents(tmp_path / "page")) == ["label.html"]
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema/schema.toml").write_text("[[group]]")
    with pytest.raises(UserError, match=re.escape("schema.toml")):
        write_template(tmp_path / "schema")


def test_a_folder_name_that_no_label_file_can_hold_is_refused(tmp_path: Path) -> None:
    add(tmp_path, "crops/a\nb/1.jpg")
    with pytest.raises(DataError, match=r"'crops/a\\nb'.*Rename"):
        find_tracklet_folders(tmp_path)
