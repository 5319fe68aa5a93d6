"""The docs site: what is generated is complete, what is wrong with a site is found, and ours has nothing wrong."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

import vpar_cache
from tests.support import browser as with_browser
from tests.support.layers import PROJECT
from vpar_cli.main import app

browser = with_browser.browser  # a fixture
FOLDER = PROJECT / "docs" / "site"
PROGRAM: Any = typer.main.get_command(app)


def module_of_site(name: str) -> Any:
    """Import a script of docs/site, which is no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        return importlib.import_module(name)


@pytest.fixture(scope="module")
def command_pages() -> dict[str, str]:
    return dict(module_of_site("generated_pages").command_pages())


@pytest.mark.parametrize("name", PROGRAM.commands)
def test_the_page_of_a_command_has_its_examples_and_every_option(name: str, command_pages: dict[str, str]) -> None:
    page, command = command_pages[f"commands/{name}.md"], PROGRAM.commands[name]
    assert all(f"\n{line}\n" in page for line in command.examples)
    shown = [line for line in page.splitlines() if line.startswith("| `")]
    for parameter in command.params:
        text = max(parameter.opts, key=len) if parameter.param_type_name == "option" else ""
        assert any(text in line.partition("` |")[0] for line in shown), text
    assert f"commands/{name}.md" in command_pages["commands.md"]


def test_the_page_of_the_api_has_every_public_name_and_error() -> None:
    page = module_of_site("generated_pages").api_page()
    names = [f"vpar_cache.{name}" for name in vpar_cache.__all__ if name != "__version__"]
    errors = [
        f"vpar_cache.errors.{name}" for name in ("VparError", "UserError", "DataError", "CacheError", "Stopped")
    ]
    assert all(f":: {name}\n" in page for name in (*names, *errors))


GOOD = '<link href="s.css"><h1 id="top">x</h1><a href="b.html#there">b</a><a href="https://example.org">out</a>'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A small site with nothing wrong."""
    (tmp_path / "index.html").write_text(GOOD)
    (tmp_path / "b.html").write_text('<p id="there"><a href="index.html#top">a</a> <a href="#there">here</a></p>')
    (tmp_path / "s.css").write_text('a { background: url("data:image/png;base64,AA==") }')
    return tmp_path


def test_nothing_is_wrong_with_a_good_site(site: Path) -> None:
    assert module_of_site("check_site").problems(site) == []


@pytest.mark.parametrize(
    ("added", "named"),
    [
        ('<script src="https://cdn.example/x.js"></script>', "https://cdn.example/x.js"),
        ('<link rel="stylesheet" href="//fonts.example/css">', "//fonts.example/css"),
        ('<img src="http://example.org/a.png">', "http://example.org/a.png"),
        ('<img src="absent.png">', "absent.png"),
        ('<p style="background: url(https://example.org/b.png)">', "https://example.org/b.png"),
        ('<style>@import "https://example.org/c.css";</style>', "https://example.org/c.css"),
        ('<a href="c.html">c</a>', "c.html"),
        ('<a href="b.html#elsewhere">b</a>', "b.html#elsewhere"),
        ('<a href="#nowhere">b</a>', "#nowhere"),
        ('<a href="/b.html">b</a>', "/b.html"),
        ('<a href="../outside.html">b</a>', "../outside.html"),
    ],
)
def test_what_comes_from_elsewhere_or_leads_nowhere_is_named(site: Path, added: str, named: str) -> None:
    (site.parent / "outside.html").write_text("")
    (site / "index.html").write_text(GOOD + added)
    (found,) = module_of_site("check_site").problems(site)
    assert found.startswith("index.html: ")
    assert named in found


def test_a_font_of_another_host_in_a_style_sheet_is_named(site: Path) -> None:
    (site / "s.css").write_text("@font-face { src: url(https://fonts.example/a.woff2) }")
    (found,) = module_of_site("check_site").problems(site)
    assert found.startswith("s.css: ")
    assert "https://fonts.example/a.woff2" in found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, which has nothing wrong."""
    pytest.importorskip("sphinx")
    folder = tmp_path_factory.mktemp("docs")
    assert module_of_site("build").build(folder / "site", folder / "work") == []
    return folder / "site"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Sphinx and MyST warn of each other
def test_every_page_is_built(built: Path) -> None:
    pages = {path.relative_to(built).as_posix() for path in built.rglob("*.html")}
    expected = {f"docs/{path.stem}.html" for path in (PROJECT / "docs").glob("*.md")}
    expected |= {f"commands/{name}.html" for name in PROGRAM.commands}
    assert expected | {"index.html", "api.html", "commands.html", "search.html"} <= pages
    assert 'id="vpar_cache.train"' in (built / "api.html").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", ["index", "api", "commands/train", "docs/metrics"])
def test_a_page_opens_from_disk_fits_a_phone_and_follows_the_scheme(
    built: Path, browser: Chrome, page: str, scheme: str
) -> None:
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": [feature]})
    browser.get_log("browser")
    browser.get((built / f"{page}.html").as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    assert browser.get_log("browser") == []  # nothing failed to load
    behind = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ("dark" if max(map(int, re.findall(r"\d+", behind)[:3])) < 128 else "light") == scheme


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_search_works_from_disk(built: Path, browser: Chrome) -> None:
    browser.get(f"{(built / 'search.html').as_uri()}?q=videopar")
    found = WebDriverWait(browser, 20).until(lambda page: page.find_elements(By.CSS_SELECTOR, "ul.search li a"))
    assert "Metrics and their formulas" in [link.text for link in found]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Sphinx and MyST warn of each other
def test_a_broken_link_fails_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sphinx")
    build = module_of_site("build")
    write_sources = build.write_sources

    def write_broken(out: Path) -> None:
        write_sources(out)
        (out / "docs/tune.md").write_text("# Tune\n\n[nowhere](nowhere.md)\n")

    monkeypatch.setattr(build, "write_sources", write_broken)
    assert build.build(tmp_path / "site", tmp_path / "work")
    assert "nowhere.md" in capfd.readouterr().err
