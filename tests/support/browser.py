"""Chromium without a window, for the tests of HTML pages.

Needs Chromium and its driver (Debian: chromium, chromium-driver). Skipped without them, unless
VPAR_REQUIRE_BROWSER is set, as .ci/run does.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # CI runs as root; the pages are ours
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)

# The text that is shown, with its colour and the one behind it.
COLORS = """
const behind = (e) => { for (; e; e = e.parentElement) {
  const color = getComputedStyle(e).backgroundColor;
  if (!/, 0\\)$/.test(color)) return color; } };
return [...document.querySelectorAll("body *")]
  .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
  .filter((e) => e.checkVisibility())
  .map((e) => [e.textContent.trim().slice(0, 30),
               getComputedStyle(e)[e.closest("svg") ? "fill" : "color"], behind(e)]);
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        reason = "no chromium and chromedriver (Debian: apt-get install chromium chromium-driver)"
        if os.environ.get("VPAR_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    options = ChromeOptions()
    options.binary_location = chromium
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = Chrome(options, Service(driver))  # with a path, selenium downloads no driver
    yield started
    started.quit()
