"""The import rules of the packages, read from the sources."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections import Counter

import pytest

from tests.support.layers import (
    MAY_IMPORT,
    PROJECT,
    ROOT_MODULES,
    SOURCES,
    allowed,
    files_of,
    imports,
    package_of,
    unit,
)

LIBRARIES = {
    "open_clip": {"backbones"},
    "timm": {"backbones"},
    "transformers": {"backbones"},
    "h5py": {"cache"},
    "typer": set(),
    "click": set(),
    "vpar_cli": set(),
    "pickle": {"backbones"},  # backbones/weights.py names its error alone
}
"""Which packages may import a library."""

MAX_FILES, MAX_CLI_FILES, MAX_LINES = 15, 20, 300


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_the_table_allows(package: str) -> None:
    permitted = allowed(package) | {"", "errors"}
    for path in files_of(package):
        ours = {name for name in imports(path) if name.split(".")[0] == "vpar_cache"}
        found = {package_of(name) for name in ours} - {"__version__"}
        assert found <= permitted, f"{path.relative_to(PROJECT)} imports {sorted(found - permitted)}"
        for library, users in LIBRARIES.items():
            if library in {name.split(".")[0] for name in imports(path)}:
                assert package in users, f"{path.relative_to(PROJECT)} imports {library}"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_is_small_and_says_what_goes_in_and_out(package: str) -> None:
    assert files_of(package)
    folders = Counter(path.parent for path in files_of(package))  # a subfolder is a package of its own
    assert max(folders.values()) <= MAX_FILES, folders
    text = (PROJECT / "vpar_cache" / package / "__init__.py").read_text("utf-8")
    assert text.startswith('"""')
    assert len(text.splitlines()) <= 3
    assert not [path.name for path in files_of(package) if path.stem.startswith(package)]


def test_every_module_has_a_package_in_the_table() -> None:
    assert {unit(path) for path in SOURCES} - ROOT_MODULES == set(MAY_IMPORT)
    assert len(list((PROJECT / "cli").glob("*.py"))) <= MAX_CLI_FILES


def test_every_package_is_in_the_wheel() -> None:
    listed = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(PROJECT) for path in SOURCES if path.name == "__init__.py"}
    assert set(listed) == {".".join(folder.parts) for folder in folders} | {"vpar_cli"}


def test_every_file_is_at_most_300_lines() -> None:
    files = [*SOURCES, *(PROJECT / "cli").glob("*.py")]
    assert not {p.name: n for p in files if (n := len(p.read_text("utf-8").splitlines())) > MAX_LINES}


def test_nothing_unpickles() -> None:
    for path in SOURCES:
        text = path.read_text("utf-8")
        assert not re.search(r"allow_pickle=True|pickle\.loads?\(", text), path
        for line in text.splitlines():
            assert "torch.load(" not in line or "weights_only=True" in line, f"{path.name}: {line.strip()}"


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import vpar_cache", ("torch", "h5py", "numpy", "pyarrow")),
        ("import vpar_cli.main", ("torch", "h5py", "numpy", "pyarrow", "scipy", "PIL")),
        ("import vpar_cache.extraction.extract", ("torch", "pyarrow", "scipy", "rich")),
    ],
)
def test_an_import_stays_light(statement: str, heavy: tuple[str, ...]) -> None:
    code = f"{statement}, sys; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
