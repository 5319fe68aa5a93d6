"""The packages and what each may import, as data; `python -m tests.support.layers` prints them."""

from __future__ import annotations

import ast
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = sorted((PROJECT / "vpar_cache").rglob("*.py"))
ROOT_MODULES = {"__init__", "__main__", "errors"}

MAY_IMPORT = {
    "base": set(),
    "attributes": {"base"},
    "metrics": set(),
    "models": set(),
    "backbones": {"base"},
    "datasets": {"attributes", "base"},
    "cache": {"attributes", "base"},
    "runs": {"attributes", "metrics", "models", "base"},
    "extraction": {"datasets", "backbones", "cache"},
    "training": {"cache", "runs", "models", "metrics", "backbones"},
    "rendering": {"runs", "metrics", "base"},
    "reporting": {"rendering", "runs", "metrics"},
    "pictures": {"runs", "models", "datasets", "cache", "backbones"},
    "sharing": {"runs", "models", "datasets", "cache", "backbones"},
    "prediction": {"datasets", "backbones", "cache", "runs", "pictures", "rendering", "sharing"},
    "workflows": {"extraction", "training", "reporting", "pictures", "prediction"},
}
"""From the ground up. A package may also import what its imports may; all may import errors."""


def package_of(module: str) -> str:
    """vpar_cache.cache.format -> cache; vpar_cache.errors -> errors; vpar_cache -> the empty name."""
    return [*module.split("."), ""][1]


def allowed(package: str) -> set[str]:
    """All packages that `package` may import, itself included."""
    found = {package}
    for other in MAY_IMPORT[package]:
        found |= allowed(other)
    return found


def imports(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def unit(path: Path) -> str:
    """vpar_cache/models/fusion.py -> models; vpar_cache/errors.py -> errors"""
    return path.relative_to(PROJECT / "vpar_cache").with_suffix("").parts[0]


def files_of(package: str) -> list[Path]:
    """The modules of a package and its subfolders, without `__init__`."""
    return [path for path in SOURCES if unit(path) == package and path.name != "__init__.py"]


def main() -> None:
    """Print each package with its number of files and what it says of itself."""
    for package in reversed(MAY_IMPORT):
        text = ast.get_docstring(ast.parse((PROJECT / "vpar_cache" / package / "__init__.py").read_text("utf-8")))
        print(f"{package:11} {len(files_of(package)):2} files  {(text or '').splitlines()[0]}")


if __name__ == "__main__":
    main()
