"""The HTML page in a browser: it sorts, fits, and neither loads nor runs what it should not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.rendering.test_page import contrast
from tests.support.browser import COLORS
from tests.support.pages import BARS, CHART, GROUPS, HOSTILE, NOTES, SCORES, part, parts, wide
from vpar_cache.errors import printable
from vpar_cache.rendering.page import write_page
from vpar_cache.rendering.tables import Part


@pytest.fixture
def show(browser: Chrome, tmp_path: Path):
    """Opens a page of these blocks from disk, at a width and in a scheme."""

    def opened(shown: list[Part], width: int = 1000, scheme: str = "light", media: str = "") -> Chrome:
        write_page(tmp_path / "page.html", shown, HOSTILE[:1])
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [feature]})
        browser.get((tmp_path / "page.html").as_uri())
        return browser

    return opened


def rows(table: WebElement, part: str = "tbody") -> list[str]:
    return [cell.text for cell in table.find_elements(By.CSS_SELECTOR, f"{part} th")]


def press(table: WebElement, title: str, key: str = "") -> str:
    """Sorts by a column with the mouse or a key, and says the order that the column then has."""
    (button,) = (b for b in table.find_elements(By.CSS_SELECTOR, "thead button") if b.text == title)
    button.send_keys(key) if key else button.click()
    order = button.find_element(By.XPATH, "..").get_attribute("aria-sort")
    assert len(table.find_elements(By.CSS_SELECTOR, "thead th[aria-sort]")) == 1
    return order


@pytest.mark.slow
def test_nothing_is_requested_said_or_run(browser: Chrome, show) -> None:
    browser.get_log("performance")
    browser.get_log("browser")
    show([*parts(*HOSTILE)])
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in urls if not url.startswith(("file://", "data:,"))] == []
    assert sum(url.startswith("file://") for url in urls) == 1
    assert browser.get_log("browser") == []
    assert browser.execute_script("return window.pwned") is None
    assert browser.execute_script("return document.scripts.length") == 1
    assert browser.execute_script("return document.querySelectorAll('img, [onload], [onmouseover]').length") == 0
    text = browser.execute_script("return document.body.textContent")
    assert all(printable(name) in text for name in HOSTILE)


@pytest.mark.slow
def test_a_script_or_a_picture_that_came_in_after_all_would_not_act(browser: Chrome, show) -> None:
    show([])
    browser.execute_script("""
        const script = document.createElement("script");
        script.textContent = "window.pwned = 1";
        const picture = document.createElement("p");
        picture.innerHTML = '<img src="file:///etc/x.png" onerror="pwned = 1"><b onclick="pwned = 1">';
        document.body.append(script, picture);
        picture.lastChild.click();
    """)
    assert browser.execute_script("return window.pwned") is None
    refused = [entry["message"] for entry in browser.get_log("browser")]
    assert len(refused) >= 3
    assert all("Content Security Policy" in message for message in refused)


@pytest.mark.parametrize("key", ["", Keys.ENTER, Keys.SPACE], ids=["mouse", "enter", "space"])
@pytest.mark.slow
def test_numbers_sort_as_numbers_with_dashes_last(show, key: str) -> None:
    table = show([part("demo", SCORES)]).find_element(By.TAG_NAME, "table")
    assert press(table, "F1", key) == "descending"
    assert rows(table) == ["prior", "a (random weights)", "run 10", "B", "run 9"]
    assert press(table, "F1", key) == "ascending"
    assert rows(table) == ["B", "run 10", "a (random weights)", "prior", "run 9"]


@pytest.mark.slow
def test_names_sort_as_people_do_and_another_column_starts_with_its_own_order(show) -> None:
    table = show([part("demo", SCORES)]).find_element(By.TAG_NAME, "table")
    press(table, "F1")
    assert press(table, "System") == "ascending"
    assert rows(table) == ["a (random weights)", "B", "prior", "run 9", "run 10"]
    assert press(table, "System") == "descending"
    assert rows(table) == ["run 10", "run 9", "prior", "B", "a (random weights)"]


@pytest.mark.slow
def test_the_average_stays_below_the_groups(show) -> None:
    table = show([part("demo", GROUPS)]).find_element(By.TAG_NAME, "table")
    press(table, "run 9")
    assert rows(table) == ["pose", "hat"]
    assert rows(table, "tfoot") == ["average"]
    tops = [table.find_element(By.CSS_SELECTOR, part).rect["y"] for part in ("thead", "tbody", "tfoot")]
    assert tops == sorted(tops)


@pytest.mark.slow
def test_everything_can_be_reached_by_keyboard_and_shows_it(show) -> None:
    browser = show([part("demo", SCORES, CHART)])
    reached = []
    for _ in range(6):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        element = browser.switch_to.active_element
        assert element.value_of_css_property("outline-style") == "solid", element.tag_name
        reached.append(element.tag_name)
    assert reached == ["a", "div", "button", "button", "button", "button"]


@pytest.mark.parametrize("width", [360, 768, 1440])
@pytest.mark.slow
def test_a_wide_table_scrolls_in_its_box_and_never_the_page(show, width: int) -> None:
    browser = show([*parts("w" * 200, *HOSTILE), part("W", wide(30, 60))], width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    boxes = browser.find_elements(By.CSS_SELECTOR, ".box, svg.chart, figure")
    for rect in (box.rect for box in boxes if box.is_displayed()):
        assert rect["x"] >= 0
        assert rect["x"] + rect["width"] <= width
    last = browser.find_elements(By.CSS_SELECTOR, ".box")[-1]
    assert browser.execute_script("return arguments[0].scrollWidth", last) > width


@pytest.mark.parametrize(("scheme", "media", "is_dark"), [("light", "", 0), ("dark", "", 1), ("dark", "print", 0)])
@pytest.mark.slow
def test_text_has_contrast_in_every_scheme(show, scheme: str, media: str, is_dark: int) -> None:
    browser = show([part("demo", SCORES, GROUPS, BARS, CHART, NOTES)], 1000, scheme, media)
    shown = browser.execute_script(COLORS)
    assert len(shown) > 50
    for text, ink, page in shown:
        colors = [
            "#" + "".join(f"{int(channel):02x}" for channel in re.findall(r"\d+", color)[:3])
            for color in (ink, page or "rgb(255, 255, 255)")
        ]
        assert contrast(*colors) >= 4.5, (text, ink, page)
        assert (contrast(colors[1], "#000000") < 2) == is_dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.slow
def test_bars_lie_behind_readable_numbers_and_stay_with_their_row(show, scheme: str) -> None:
    browser = show([part("demo", BARS)], 1000, scheme)
    table = browser.find_element(By.TAG_NAME, "table")
    styles = "return [...document.querySelectorAll('td')].map((e) => getComputedStyle(e).backgroundImage)"
    drawn = browser.execute_script(styles)
    assert [re.findall(r"([\d.]+)%", image)[:1] for image in drawn] == [["0"], ["50"], [], ["100"], ["30"], []]
    over = browser.find_element(By.CSS_SELECTOR, "td.bar-over")
    assert over.value_of_css_property("background-color") not in (
        "rgba(0, 0, 0, 0)",
        re.findall(r"rgb\([^)]*\)", drawn[1])[0],
    )
    ink = browser.execute_script("return getComputedStyle(document.querySelector('td')).color")
    behind = re.findall(r"rgb\([^)]*\)", drawn[1])[0]
    colors = ["#" + "".join(f"{int(c):02x}" for c in re.findall(r"\d+", color)[:3]) for color in (ink, behind)]
    assert contrast(*colors) >= 4.5
    press(table, "System")
    assert rows(table) == ["run 9", "run 10"]
    press(table, "System")
    assert rows(table) == ["run 10", "run 9"]
    assert browser.execute_script(styles) == drawn[3:] + drawn[:3]


@pytest.mark.slow
def test_without_scripts_all_is_there_and_nothing_pretends_to_sort(browser: Chrome, show) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        show([part("demo", SCORES, GROUPS, BARS, CHART, NOTES)])
        text = browser.find_element(By.TAG_NAME, "body").text
        assert browser.find_elements(By.TAG_NAME, "button") == []
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    for shown in ("Table 1. demo: averages", "80.1 to 83.2", "average", "run 10", "a plain remark", "60.00"):
        assert shown in text
    assert "sorts its table" not in text
