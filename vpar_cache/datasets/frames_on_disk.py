"""Looks for the frames of tracklets on disk before any work: missing ones, links, files of other endings."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePath

from vpar_cache.base.near_names import NameIndex, near_hint
from vpar_cache.datasets.tracklet import LeftOut, Tracklet, first_few, list_names
from vpar_cache.errors import UserError, counted

_NO_FRAMES = ("thumbs.db", "desktop.ini")
"""Files that systems leave in folders, besides hidden ones."""


def check_link_folder(folder: Path | None) -> Path | None:
    """Return the real path of the folder that links may lead into. Raises UserError for what is not a folder."""
    if folder is None:
        return None
    if not folder.is_dir():
        raise UserError(f"--follow-links: got {folder}; expected a folder, the one that holds the linked files")
    return Path(os.path.realpath(folder))


def find_frames(
    tracklets: Iterable[Tracklet], follow_links: Path | None = None
) -> tuple[list[Tracklet], list[LeftOut]]:
    """Return the tracklets whose frames are all on disk, and the others with the reason.

    A frame that is a link is taken where it leads to a file inside `follow_links`, a real path.
    """
    by_folder: dict[Path, list[Tracklet]] = defaultdict(list)
    for tracklet in tracklets:
        by_folder[tracklet.folder].append(tracklet)
    found: list[Tracklet] = []
    left_out: list[LeftOut] = []
    for folder, in_folder in by_folder.items():
        listing = _Listing.of(folder)  # one listing per folder, not one look-up per frame
        for tracklet in in_folder:
            if problem := _problem(tracklet, listing, follow_links):
                left_out.append(LeftOut(tracklet.tracklet_id, tracklet.split, problem))
            elif listing.links.isdisjoint(tracklet.frames):
                found.append(tracklet)
            else:
                found.append(replace(tracklet, links_into=follow_links))
    return found, left_out


@dataclass(frozen=True)
class _Listing:
    """What a folder holds."""

    folder: Path
    files: set[str]
    """With links to files."""
    links: set[str]
    """With links that lead nowhere."""

    @classmethod
    def of(cls, folder: Path) -> _Listing:
        return cls(folder, list_names(folder, "file"), list_names(folder, "link"))

    def hint(self, missing: str, wanted: Sequence[str]) -> str:
        """Return the end of a message: a name that is near the folder, or the missing one of the wanted frames."""
        if not self._is_there:
            where = f"there is no folder {self.folder.name!r}, but {self.folder.parent} has"
            return near_hint(self.folder.name, self._near_folder, where)
        near = self._names.near(missing)
        return near_hint(missing, None if near in wanted else near, "the folder has")

    # Once for each folder: a folder of images may lack thousands of them.
    @cached_property
    def _is_there(self) -> bool:
        return self.folder.is_dir()

    @cached_property
    def _near_folder(self) -> str | None:
        return NameIndex(list_names(self.folder.parent, "folder")).near(self.folder.name)

    @cached_property
    def _names(self) -> NameIndex:
        return NameIndex(self.files)


def _problem(tracklet: Tracklet, listing: _Listing, follow_links: Path | None) -> str:
    """Return why a tracklet cannot be used; empty where it can."""
    folder, frames = tracklet.folder, tracklet.frames
    missing = [name for name in frames if name not in listing.files and name not in listing.links]
    if missing:
        problem = f"{len(missing)} of {len(frames)} frames are missing, first: {missing[0]}"
        return problem + listing.hint(missing[0], frames)
    links = [name for name in frames if name in listing.links]
    if not links:
        return ""
    if follow_links is None:
        return (
            f"{len(links)} of {len(frames)} frames are links, first: {links[0]} to "
            f"{os.path.realpath(folder / links[0])}; copy the files, or give --follow-links DIR"
        )
    for name in links:
        real = Path(os.path.realpath(folder / name))
        if not real.is_relative_to(follow_links):
            return f"{name} is a link to {real}, outside --follow-links {follow_links}; copy the file"
        if not real.is_file():
            return f"{name} is a link to {real}, where there is no file"
    return ""


def other_files(names: Iterable[str], frames: Sequence[str]) -> list[str]:
    """Return the names in a tracklet's folder that are not frames, without hidden files."""
    taken = set(frames)
    return sorted(n for n in names if n not in taken and not n.startswith(".") and n.lower() not in _NO_FRAMES)


def endings(names: Iterable[str]) -> str:
    """Return how many names have each ending: `.tif 9, .gif 3`."""
    counts = Counter(PurePath(name).suffix.lower() or "no ending" for name in names)
    return ", ".join(f"{ending} {count}" for ending, count in counts.most_common(5))


def note_other_files(paths: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return a note on the files in tracklets' folders that are not read, where there are any."""
    if not paths:
        return []
    files = counted(len(paths), "file is", "files are")
    return [
        f"{files} not read, since frames end in {', '.join(wanted)}: {endings(paths)} "
        f"({first_few([repr(path) for path in paths])})"
    ]
