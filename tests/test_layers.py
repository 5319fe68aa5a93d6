"""The design's import rules, read from the sources."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]

BASE = {
    "errors",
    "files",
    "interrupts",
    "lock",
    "config",
    "train_config",
    "systems",
    "schema",
    "prompts",
    "cache_format",
    "devices",
    "timing",
    "toml_file",
}
BOXES = {
    "tracklets": {"tracklets"},
    "frames": {"frames", "shard_plan", "loading"},
    "encoder": {"encoder", "encoder_memory", "backbones", "weights"},
    "writing": {"shards"},
    "reading": {"features", "hdf5_reading", "shard_headers", "shard_table", "damage", "row_array"},
    "models": {"models"},
    "metrics": {"metrics", "output_metrics", "intervals"},
    "reporting": {"reporting"},
    "runs": {"runs", "checkpoints"},
    "figures": {"figures"},
}
BETWEEN = {
    "device_rows",
    "lazy_encoder",
    "model_card",
    "saved_models",
    "schedule",
    "shard_rows",
    "shard_run",
    "splits",
    "trainer",
}
"""What joins several boxes for one verb."""
VERBS = {"extract", "train", "illustrate", "report", "score", "verify", "info"}
LEVELS = [BASE, set().union(*BOXES.values()), BETWEEN, VERBS, {"workflows"}]
"""From the ground up: a module imports from its own level or below."""

NEIGHBOURS = {("frames", "tracklets"), ("reporting", "metrics")}
"""Boxes that build on another: choosing frames needs to know what a tracklet is, a table what a score is."""


def unit(path: Path) -> str:
    """vpar_cache/models/fusion.py -> models; vpar_cache/features.py -> features"""
    parts = path.relative_to(PROJECT / "vpar_cache").with_suffix("").parts
    return parts[0]


def imports(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


SOURCES = sorted(p for p in (PROJECT / "vpar_cache").rglob("*.py") if p.name != "__init__.py")


def units_imported(path: Path) -> set[str]:
    known = set().union(*LEVELS)
    names = {name.split(".")[1] for name in imports(path) if name.startswith("vpar_cache.")}
    return (names & known) - {unit(path)}


def box_of(name: str) -> str | None:
    return next((box for box, units in BOXES.items() if name in units), None)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PROJECT)))
def test_imports_go_down_only(path: Path) -> None:
    level = {name: number for number, names in enumerate(LEVELS) for name in names}
    assert unit(path) in level, "a new module needs a place in LEVELS"
    for other in units_imported(path):
        assert level[other] <= level[unit(path)], f"{path.name} imports {other} from above"
        if unit(path) in VERBS:
            assert other not in VERBS, f"verb {unit(path)} imports verb {other}"
        ours, theirs = box_of(unit(path)), box_of(other)
        if ours and theirs and ours != theirs:
            assert (ours, theirs) in NEIGHBOURS, f"box {ours} imports box {theirs}"


def test_only_the_command_line_knows_typer_and_the_package_never_imports_it_back() -> None:
    for path in SOURCES:
        assert not {"typer", "click", "vpar_cli", "cli"} & {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("open_clip", {"open_clip_vit.py"}),
        ("timm", {"timm_model.py"}),
        ("transformers", {"sentences.py"}),
        ("h5py", {"shards.py", "hdf5_reading.py", "shard_headers.py", "shard_table.py", "features.py"}),
        ("pickle", set()),
    ],
)
def test_a_library_stays_in_its_file(module: str, allowed: set[str]) -> None:
    users = {path.name for path in SOURCES if module in {name.split(".")[0] for name in imports(path)}}
    assert users - allowed == ({"weights.py"} if module == "pickle" else set())  # it names the error alone


def test_hdf5_is_opened_in_one_file_for_reading_and_in_one_for_writing() -> None:
    users = {path.name for path in SOURCES if "h5py.File(" in path.read_text("utf-8")}
    assert users == {"shards.py", "hdf5_reading.py"}


def test_nothing_unpickles() -> None:
    for path in SOURCES:
        text = path.read_text("utf-8")
        assert "allow_pickle=True" not in text
        for line in text.splitlines():
            assert "torch.load(" not in line or "weights_only=True" in line, f"{path.name}: {line.strip()}"


def test_every_source_is_at_most_300_lines() -> None:
    long = {p.name: n for p in SOURCES if (n := len(p.read_text("utf-8").splitlines())) > 300}
    assert not long


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import vpar_cache", ("torch", "h5py", "numpy", "pyarrow")),
        ("import vpar_cli.main", ("torch", "h5py", "numpy", "pyarrow", "scipy", "PIL")),
        ("import vpar_cache.cache.info", ("torch", "pyarrow", "scipy", "PIL")),
        ("import vpar_cache.extraction.extract", ("torch", "pyarrow", "scipy", "rich")),
    ],
)
def test_an_import_stays_light(statement: str, heavy: tuple[str, ...]) -> None:
    code = f"{statement}, sys; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
