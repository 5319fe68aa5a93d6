"""The dataset: found, complete, readable, by the loader of an extraction."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.image_trees import write_market, write_pa100k
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.runs.finished import PAPER_TEST_TRACKLETS, PAPER_TRAIN_TRACKLETS
from vpar_cache.workflows.doctor.check import Check
from vpar_cache.workflows.doctor.data import check_data

Make = Callable[..., ExtractConfig]


@pytest.fixture
def root(demo_root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo_root, tmp_path / "MARS"))


def states(checks: tuple[Check, ...]) -> dict[str, str]:
    return {check.name: check.state for check in checks}


def test_a_part_of_mars_is_a_warning_and_all_of_it_is_not(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = extract_config(tmp_path / "a.h5")
    found = check_data(config, 32)
    assert states(found.checks) == {"dataset": "warning", "frames": "ok"}
    assert all(part in found.checks[0].text for part in ("12 train", "6 test", "8,298", "8,062"))
    assert "18 tracklets" in found.checks[1].text
    assert found.dataset is not None
    monkeypatch.setitem(PAPER_TRAIN_TRACKLETS, "mars", 12)
    monkeypatch.setitem(PAPER_TEST_TRACKLETS, "mars", 6)
    assert states(check_data(config, 32).checks) == {"dataset": "ok", "frames": "ok"}


def test_missing_frames_fail_unless_they_are_allowed(extract_config: Make, root: Path, tmp_path: Path) -> None:
    next((root / "bbox_train").rglob("*.jpg")).unlink()
    found = check_data(extract_config(tmp_path / "a.h5", root=root), 32)
    assert states(found.checks)["dataset"] == "fails"
    assert "1 of 4 frames are missing" in found.checks[0].text
    assert "--max-bad 1" in found.checks[0].text
    allowed = check_data(extract_config(tmp_path / "a.h5", root=root, max_bad=1), 32)
    assert states(allowed.checks)["dataset"] == "warning"


def test_a_damaged_picture_fails(extract_config: Make, root: Path, tmp_path: Path) -> None:
    for path in (root / "bbox_test").rglob("*.jpg"):
        path.write_bytes(path.read_bytes()[:200])
    found = check_data(extract_config(tmp_path / "a.h5", root=root), 32)
    assert states(found.checks)["frames"] == "fails"
    assert "6 cannot be decoded" in found.checks[1].text


def test_a_root_or_a_file_that_is_missing_fails_in_the_loader_s_words(
    extract_config: Make, root: Path, tmp_path: Path
) -> None:
    (root / "mars_attributes.csv").rename(root / "MARS_attributes.csv")
    (check,) = check_data(extract_config(tmp_path / "a.h5", root=root), 32).checks
    assert check.state == "fails"
    assert "differs in case" in check.text
    (check,) = check_data(extract_config(tmp_path / "a.h5", root=tmp_path / "nowhere"), 32).checks
    assert check.state == "fails"


def test_your_own_folders_are_read_with_their_labels_and_schema(
    extract_config: Make, people: Path, tmp_path: Path
) -> None:
    names = sorted(path.name for path in people.iterdir())
    schema, labels = tmp_path / "shop.toml", tmp_path / "labels.csv"
    schema.write_text('name = "shop"\n[[group]]\nname = "hat"\nphrase = "a hat"\nnegative = "no hat"\n')
    rows = [f"{name},{'train' if i % 2 else 'test'},p{i},{i % 2}\n" for i, name in enumerate(names)]
    labels.write_text("tracklet,split,person_id,hat\n" + "".join(rows))
    changes = {"dataset": "folder", "root": people, "labels": labels, "schema": str(schema)}
    found = check_data(extract_config(tmp_path / "a.h5", **changes), 32)
    assert states(found.checks) == {"dataset": "ok", "frames": "ok"}


def test_the_demo_is_not_drawn_to_look_at_it(extract_config: Make, tmp_path: Path) -> None:
    found = check_data(extract_config(tmp_path / "a.h5", dataset="demo", root=tmp_path / "demo"), 32)
    assert states(found.checks) == {"dataset": "ok"}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "write", "options", "counted"),
    [
        ("market", write_market, {}, "20 images spread over 27"),
        ("market", write_market, {"group": "camera"}, "15 tracklets"),
        ("pa100k", write_pa100k, {}, "images spread over"),
    ],
)
def test_every_layout_of_an_extraction_is_looked_at(
    name: str,
    write: Callable[[Path], Path],
    options: dict[str, str],
    counted: str,
    extract_config: Make,
    tmp_path: Path,
) -> None:
    (tmp_path / "root").mkdir()
    root = write(tmp_path / "root")
    found = check_data(extract_config(tmp_path / "a.h5", dataset=name, root=root, **options), 32)
    assert states(found.checks) == {"dataset": "ok", "frames": "ok"}
    assert counted in found.checks[1].text
