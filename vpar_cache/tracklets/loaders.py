"""From a dataset's name to its tracklets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vpar_cache.errors import UserError, nearest
from vpar_cache.schema import load_schema
from vpar_cache.tracklets.duke import load_duke
from vpar_cache.tracklets.folder import load_folder
from vpar_cache.tracklets.mars import load_mars
from vpar_cache.tracklets.synthetic import DemoSize, write_demo
from vpar_cache.tracklets.tracklet import Dataset


def load_dataset(name: str, root: Path, labels: Path | None, schema: str, seed: int) -> Dataset:
    """The tracklets of `mars`, `duke`, `folder` or `demo` under `root`.

    `labels` and `schema` are of `folder` alone. `demo` is rendered into `root` when it is not there, and
    then read by the MARS loader. Raises UserError or DataError, see the loaders.
    """
    if name == "mars":
        return load_mars(root)
    if name == "duke":
        return load_duke(root)
    if name == "folder":
        return load_folder(root, labels or root / "labels.csv", load_schema(schema))
    if name == "demo":
        return replace(load_mars(write_demo(root, DemoSize(), seed)), name="demo")
    raise UserError(f"dataset {name!r} is unknown; {nearest(name, ('mars', 'duke', 'folder', 'demo'))}")
