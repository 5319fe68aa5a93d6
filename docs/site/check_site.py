"""Checks of the built site: it loads nothing from other hosts, and each link inside it leads somewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {
    ("script", "src"),
    ("link", "href"),
    ("img", "src"),
    ("source", "src"),
    ("iframe", "src"),
    ("use", "href"),
}
"""What a browser loads by itself, as tag and attribute; of links only <a> waits for a click."""
_IN_STYLE = re.compile(r"""(?:url\(|@import)\s*["']?([^"')\s]+)""")


class _Page(HTMLParser):
    """The ids of a page, what it loads, and what it links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self._in_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        for name, value in attributes:
            if name == "id" and value:
                self.ids.add(value)
            elif (tag, name) in LOADED and value:
                self.loaded.append(value)
            elif (tag, name) == ("a", "href") and value:
                self.links.append(value)
            elif name == "style" and value:
                self.loaded += _IN_STYLE.findall(value)

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.loaded += _IN_STYLE.findall(data)


def problems(site: Path) -> list[str]:
    """Return a line for each thing that is wrong with the site in a folder."""
    found = []
    site = site.resolve()
    pages = {path: _Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    if site / "index.html" not in pages:
        found.append("index.html: is missing")
    for path, page in pages.items():
        for target in page.loaded:
            found += _of_loaded(site, path, target)
        for target in page.links:
            found += _of_link(site, path, target, pages)
    for path in sorted(site.rglob("*.css")):
        for target in _IN_STYLE.findall(path.read_text("utf-8")):
            found += _of_loaded(site, path, target)
    return found


def _of_loaded(site: Path, path: Path, target: str) -> list[str]:
    parts = urlsplit(target)
    if parts.scheme == "data":
        return []
    if parts.scheme or parts.netloc:
        return [f"{path.relative_to(site)}: loads {target} from elsewhere"]
    return _of_missing(site, path, target)


def _of_link(site: Path, path: Path, target: str, pages: dict[Path, _Page]) -> list[str]:
    parts = urlsplit(target)
    if parts.scheme in ("http", "https", "mailto"):
        return []
    missing = _of_missing(site, path, target)
    if missing or not parts.fragment:
        return missing
    page = pages.get(_leads_to(path, target))
    if page is not None and unquote(parts.fragment) not in page.ids:
        return [f"{path.relative_to(site)}: {target} leads to no place of that page"]
    return []


def _leads_to(path: Path, target: str) -> Path:
    place = unquote(urlsplit(target).path)
    return (path.parent / place).resolve() if place else path


def _of_missing(site: Path, path: Path, target: str) -> list[str]:
    file = _leads_to(path, target)
    if target.startswith("/") or not file.is_relative_to(site) or not file.is_file():
        return [f"{path.relative_to(site)}: {target} leads to no file of the site"]
    return []
