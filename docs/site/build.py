"""Build the site: README, docs/ and other pages, the commands from their own help, the Python API from docstrings.

`make docs` runs it. Warnings of Sphinx and broken links are errors. The site opens from disk and loads nothing.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import main as run_sphinx

sys.path.insert(0, str(Path(__file__).parent))
from check_site import problems
from generated_pages import api_page, command_pages

PROJECT = Path(__file__).resolve().parents[2]
SECTIONS = {
    "Use": (
        "predict",
        "own-data",
        "outputs",
        "video",
        "datasets",
        "models",
        "tune",
        "report",
        "metrics",
        "export",
        "onnx",
    ),
    "Run": ("doctor", "reproduce", "speed", "scaling", "cluster", "cache-format", "security"),
}
"""The pages of docs/ in the order of the menu. A page that is in none of them goes to the end of the first."""
ABOUT = ("cache/README.md", "benchmarks/RESULTS.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")


def write_sources(out: Path) -> None:
    """Copy the pages to where they stand in the repository, so that their links hold, and write the others."""
    for path in [
        *(PROJECT / "docs").glob("*.md"),
        *(PROJECT / "docs").glob("*.png"),
        *map(PROJECT.joinpath, ABOUT),
    ]:
        target = out / path.relative_to(PROJECT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    commands = command_pages()
    for name, text in {**commands, "api.md": api_page(), "index.md": index_page(list(commands))}.items():
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text(text, "utf-8")


def index_page(commands: list[str]) -> str:
    """Return the README with the menu of all pages."""
    listed = {page for pages in SECTIONS.values() for page in (*pages, "python")}
    others = sorted(path.stem for path in (PROJECT / "docs").glob("*.md") if path.stem not in listed)
    use, run = ([f"docs/{page}" for page in pages] for pages in SECTIONS.values())
    menu = {
        "Use": [*use, *(f"docs/{page}" for page in others)],
        "Reference": [commands[0], "docs/python", "api"],
        "Run": run,
        "Project": ABOUT,
    }
    trees = [
        f"```{{toctree}}\n:caption: {caption}\n:hidden:\n\n" + "".join(f"{page}\n" for page in pages) + "```\n"
        for caption, pages in menu.items()
    ]
    return "\n".join([(PROJECT / "README.md").read_text("utf-8"), *trees])


def build(site: Path, work: Path) -> list[str]:
    """Build the site into the folder `site`, with `work` for sources; return what is wrong."""
    for folder in (site, work):
        shutil.rmtree(folder, ignore_errors=True)
    write_sources(work / "pages")
    options = ["--fail-on-warning", "--keep-going", "--quiet", "--fresh-env", "--builder", "html"]
    places = ["--conf-dir", str(Path(__file__).parent), "--doctree-dir", str(work / "doctrees")]
    if run_sphinx([*options, *places, str(work / "pages"), str(site)]):
        return ["Sphinx found what stands above"]
    (site / ".buildinfo").unlink(missing_ok=True)
    return problems(site)


if __name__ == "__main__":
    found = build(PROJECT / "site", PROJECT / "build" / "docs")
    sys.stderr.writelines(f"error: {line}\n" for line in found)
    if found:
        sys.exit(2)
    sys.stdout.write(f"{PROJECT / 'site' / 'index.html'}\n")
