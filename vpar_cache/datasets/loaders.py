"""Loads a dataset by its name."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from vpar_cache.attributes.built_in import load_schema
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.datasets.demo.dataset import DemoSize, write_demo
from vpar_cache.datasets.duke import load_duke
from vpar_cache.datasets.folder import load_folder
from vpar_cache.datasets.frames_on_disk import check_link_folder
from vpar_cache.datasets.images.listed import load_images
from vpar_cache.datasets.images.market import load_market
from vpar_cache.datasets.images.pa100k import load_pa100k
from vpar_cache.datasets.mars import load_mars
from vpar_cache.datasets.names import check_layout_options
from vpar_cache.datasets.tracklet import Dataset
from vpar_cache.errors import DataError


def load_dataset(
    name: str,
    root: Path,
    labels: Path | None = None,
    schema: str | None = None,
    seed: int = 0,
    follow_links: Path | None = None,
    test_labels: Path | None = None,
    group: str | None = None,
) -> Dataset:
    """Return the tracklets of one of DATASETS under `root`.

    Only `folder` and `images` read `labels` and `schema`, only `images` reads `test_labels`, only `market` reads
    `group`. `demo` is drawn into `root` unless it is there, then read by the loader of MARS.
    Links inside the dataset are followed only into the folder `follow_links`. Raises UserError or DataError, see
    the loaders.
    """
    check_layout_options(name, labels, test_labels, group)
    links_into = check_link_folder(follow_links)
    table = None if schema is None or name not in ("folder", "images") else load_schema(schema)
    if name == "mars":
        dataset = load_mars(root, links_into)
    elif name == "duke":
        dataset = load_duke(root, links_into)
    elif name == "market":
        dataset = load_market(root, links_into, group)
    elif name == "pa100k":
        dataset = load_pa100k(root, links_into)
    elif name == "images":
        dataset = load_images(root, labels, test_labels, table, links_into)
    elif name == "folder":
        dataset = load_folder(root, labels or root / "labels.csv", table or MARS, links_into)
    else:
        dataset = replace(load_mars(write_demo(root, DemoSize(), seed)), name="demo")
    _refuse_links_out(dataset, root, links_into)
    return dataset


def _refuse_links_out(dataset: Dataset, root: Path, links_into: Path | None) -> None:
    """Raise DataError where a link inside the dataset leads out of it and not into `links_into`.

    A user may link entries of the root, such as bbox_train on another disk, but nothing deeper.
    """
    real_root = Path(os.path.realpath(root))
    for folder in {tracklet.folder for tracklet in dataset.tracklets}:
        if links_into and folder.is_relative_to(links_into):
            continue
        base = real_root if folder.is_relative_to(real_root) else root
        if folder == base:
            continue  # images that lie in the root itself
        top = Path(os.path.realpath(base / folder.relative_to(base).parts[0]))
        real = Path(os.path.realpath(folder))
        if not real.is_relative_to(top) and not (links_into and real.is_relative_to(links_into)):
            raise DataError(
                f"{folder} resolves to {real}, outside the dataset; copy the frames into {root}, or allow the "
                "link with --follow-links DIR, the folder that it leads into"
            )
