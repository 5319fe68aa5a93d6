"""Loads a dataset by its name."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from vpar_cache.attributes.built_in import load_schema
from vpar_cache.datasets.demo.dataset import DemoSize, write_demo
from vpar_cache.datasets.duke import load_duke
from vpar_cache.datasets.folder import load_folder
from vpar_cache.datasets.frames_on_disk import check_link_folder
from vpar_cache.datasets.mars import load_mars
from vpar_cache.datasets.tracklet import Dataset
from vpar_cache.errors import DataError, UserError, nearest


def load_dataset(
    name: str, root: Path, labels: Path | None, schema: str, seed: int, follow_links: Path | None = None
) -> Dataset:
    """Return the tracklets of `mars`, `duke`, `folder` or `demo` under `root`.

    Only `folder` reads `labels` and `schema`. `demo` is drawn into `root` unless it is there, then read
    by the loader of MARS.
    Links inside the dataset are followed only into the folder `follow_links`. Raises UserError or DataError, see
    the loaders.
    """
    links_into = check_link_folder(follow_links)
    dataset = _load(name, root, labels, schema, seed, links_into)
    _refuse_links_out(dataset, root, links_into)
    return dataset


def _load(name: str, root: Path, labels: Path | None, schema: str, seed: int, links_into: Path | None) -> Dataset:
    if name == "mars":
        return load_mars(root, links_into)
    if name == "duke":
        return load_duke(root, links_into)
    if name == "folder":
        return load_folder(root, labels or root / "labels.csv", load_schema(schema), links_into)
    if name == "demo":
        return replace(load_mars(write_demo(root, DemoSize(), seed)), name="demo")
    raise UserError(f"dataset {name!r} is unknown; {nearest(name, ('mars', 'duke', 'folder', 'demo'))}")


def _refuse_links_out(dataset: Dataset, root: Path, links_into: Path | None) -> None:
    """Raise DataError where a link inside the dataset leads out of it and not into `links_into`.

    A user may link entries of the root, such as bbox_train on another disk, but nothing deeper.
    """
    real_root = Path(os.path.realpath(root))
    for folder in {tracklet.folder for tracklet in dataset.tracklets}:
        if links_into and folder.is_relative_to(links_into):
            continue
        base = real_root if folder.is_relative_to(real_root) else root
        top = Path(os.path.realpath(base / folder.relative_to(base).parts[0]))
        real = Path(os.path.realpath(folder))
        if not real.is_relative_to(top) and not (links_into and real.is_relative_to(links_into)):
            raise DataError(
                f"{folder} resolves to {real}, outside the dataset; copy the frames into {root}, or allow the "
                "link with --follow-links DIR, the folder that it leads into"
            )
