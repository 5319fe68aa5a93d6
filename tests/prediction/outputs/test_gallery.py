"""The page of people, in a browser: it filters, sorts, fits, and loads nothing."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from tests.rendering.test_page import contrast
from tests.support.browser import COLORS
from tests.support.pages import HOSTILE
from vpar_cache.attributes.built_in import load_schema
from vpar_cache.prediction.answers import Answering
from vpar_cache.prediction.outputs import gallery
from vpar_cache.prediction.outputs.gallery import write_gallery
from vpar_cache.prediction.rows import PersonRow, Segment

MARS = load_schema("mars")
ANSWERING = Answering(MARS, np.full(MARS.num_outputs, 0.5))


def thumbnail(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (64, 32, 3), np.uint8)).save(file, "JPEG")
    return file.getvalue()


def person(number: int, holds: dict[str, int], sure: float = 0.9, **changes: Any) -> PersonRow:
    """`holds`: by group the place of the output that holds; of a group of one 0 for yes."""
    probabilities = np.full(MARS.num_outputs, 0.1, np.float32)
    for group, columns in MARS.slices():
        if group.name in holds:
            probabilities[columns.start + holds[group.name]] = sure
        elif group.is_choice:
            probabilities[columns.start] = 0.8
    values: dict[str, Any] = {
        "tracklet_id": f"a.mp4/{number}",
        "source": "a.mp4",
        "track_id": number,
        "first_frame": 10 * number,
        "last_frame": 10 * number + 5 * (10 - number),
        "first_second": float(100 - number),
        "last_second": 101.0,
        "frames_used": 6,
        "answers": ANSWERING.answer(probabilities),
        "probabilities": tuple(probabilities.tolist()),
        "thumbnails": (thumbnail(number),) * 6,
    }
    return PersonRow(**{**values, **changes})


RED = [o.name for o in MARS.groups[11].outputs].index("top color red")
PEOPLE = [
    person(1, {"top color": RED, "backpack": 0}, 0.7),
    person(2, {"top color": RED}, 0.9),
    person(3, {"backpack": 0}, 0.8),
    person(4, {"gender": 0}, segments=(Segment("motion", "running", 0.7, 40, 50, 65.0, 66.0),)),
]


@pytest.fixture
def show(browser: Chrome, tmp_path: Path) -> Callable[..., Chrome]:
    def opened(
        rows: list[PersonRow], width: int = 1000, scheme: str = "light", mark: str = "", at: str = ""
    ) -> Chrome:
        path = tmp_path / "people.html"
        write_gallery(rows, ANSWERING, "a.mp4", mark, path)
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        browser.get("about:blank")
        browser.get(path.as_uri() + at)
        return browser

    return opened


def shown(browser: Chrome) -> list[str]:
    cards = browser.find_elements(By.TAG_NAME, "article")
    return [card.find_element(By.TAG_NAME, "h2").text.partition("/")[2] for card in cards if card.is_displayed()]


def choose(browser: Chrome, group: str, value: str, key: str = "") -> None:
    (field,) = (f for f in browser.find_elements(By.TAG_NAME, "fieldset")
                if f.find_element(By.TAG_NAME, "legend").text == group)  # fmt: skip
    (label,) = (
        x for x in field.find_elements(By.TAG_NAME, "label") if x.find_element(By.TAG_NAME, "span").text == value
    )
    box = label.find_element(By.TAG_NAME, "input")
    box.send_keys(key) if key else box.click()


def test_values_of_several_groups_are_all_wanted_and_of_one_group_any(show: Callable[..., Chrome]) -> None:
    browser = show(PEOPLE)
    assert shown(browser) == ["4", "3", "2", "1"], "by time of appearance"
    choose(browser, "top color", "red")
    assert shown(browser) == ["2", "1"]
    choose(browser, "backpack", "yes", Keys.SPACE)
    assert shown(browser) == ["1"]
    choose(browser, "top color", "black")
    assert shown(browser) == ["3", "1"]
    assert browser.find_element(By.ID, "shown").text == "2 of 4 people"
    browser.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
    browser.implicitly_wait(1)
    assert len(shown(browser)) == 4


def counts(browser: Chrome, group: str) -> dict[str, int]:
    """What stands beside the values of a group."""
    (field,) = (f for f in browser.find_elements(By.TAG_NAME, "fieldset")
                if f.find_element(By.TAG_NAME, "legend").text == group)  # fmt: skip
    labels = [label.find_elements(By.TAG_NAME, "span") for label in field.find_elements(By.TAG_NAME, "label")]
    return {value.text: int(count.text) for value, count in labels}


@pytest.mark.slow
def test_the_number_beside_a_value_is_what_a_click_on_it_brings(show: Callable[..., Chrome]) -> None:
    browser = show(PEOPLE)
    assert counts(browser, "top color") == {"black": 2, "red": 2}
    choose(browser, "top color", "red")
    assert counts(browser, "top color") == {"black": 2, "red": 2}, "its own group does not narrow it"
    assert counts(browser, "backpack") == {"yes": 1, "no": 1}
    choose(browser, "backpack", "yes")
    assert counts(browser, "top color") == {"black": 1, "red": 1}
    assert counts(browser, "backpack") == {"yes": 1, "no": 1}
    assert counts(browser, "gender") == {"female": 0, "male": 1}
    browser.find_element(By.ID, "search").send_keys("nobody")
    assert counts(browser, "top color") == {"black": 0, "red": 0}
    browser.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
    browser.implicitly_wait(1)
    assert counts(browser, "backpack") == {"yes": 2, "no": 2}


def test_the_order_follows_the_probability_of_what_is_chosen(show: Callable[..., Chrome]) -> None:
    browser = show(PEOPLE)
    choose(browser, "top color", "red")
    order = Select(browser.find_element(By.ID, "sort"))
    order.select_by_value("frames")
    assert shown(browser) == ["1", "2"]
    order.select_by_value("sure")
    assert shown(browser) == ["2", "1"]


def test_the_address_keeps_what_is_chosen(show: Callable[..., Chrome]) -> None:
    browser = show(PEOPLE)
    choose(browser, "top color", "red")
    browser.find_element(By.ID, "search").send_keys("mp4/2")
    assert shown(browser) == ["2"]
    address = browser.execute_script("return location.hash")
    browser = show(PEOPLE, at=address)
    assert shown(browser) == ["2"]
    assert browser.find_element(By.ID, "search").get_attribute("value") == "mp4/2"


def test_nobody_is_said(show: Callable[..., Chrome]) -> None:
    browser = show(PEOPLE)
    browser.find_element(By.ID, "search").send_keys("nobody")
    assert shown(browser) == []
    assert browser.find_element(By.ID, "none").is_displayed()


def test_a_page_of_nobody_says_so_and_asks_for_nothing(show: Callable[..., Chrome]) -> None:
    browser = show([])
    assert browser.find_element(By.ID, "none").text == "Nobody was found."
    assert not browser.find_element(By.ID, "filters").is_displayed()


def test_cards_say_what_values_mean_and_when(show: Callable[..., Chrome]) -> None:
    text = show(PEOPLE, mark="random weights: no meaning").find_element(By.TAG_NAME, "body").text
    for words in ("gender: female 0.90", "gender: male 0.90", "backpack: yes 0.70", "1:39.0 - 1:41.0", "\na.mp4\n",
                  "random weights: no meaning", "Not for identifying or judging people"):  # fmt: skip
        assert words in text


@pytest.mark.parametrize("width", [400, 800, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_read(width: int, scheme: str, show: Callable[..., Chrome]) -> None:
    browser = show(PEOPLE, width, scheme, "random weights")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    for text, *colors in browser.execute_script(COLORS):
        assert contrast(*map(hexadecimal, colors)) >= 4.5, text


def hexadecimal(color: str | None) -> str:
    """rgb(0, 16, 255) -> #0010ff; what has no colour behind it is on white."""
    return "#" + "".join(f"{int(n):02x}" for n in re.findall(r"\d+", color or "255 255 255")[:3])


@pytest.mark.slow
def test_hostile_names_stay_text_and_nothing_is_loaded(browser: Chrome, show: Callable[..., Chrome]) -> None:
    browser.get_log("performance")
    browser.get_log("browser")
    rows = [person(n, {}, tracklet_id=text, source=text) for n, text in enumerate(HOSTILE)]
    show(rows)
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in urls if not url.startswith(("file://", "data:", "about:"))] == []
    assert browser.get_log("browser") == []
    assert browser.execute_script("return window.pwned") is None
    assert len(browser.find_elements(By.TAG_NAME, "article")) == len(HOSTILE)


def test_a_thousand_people_are_filtered_and_sorted(show: Callable[..., Chrome]) -> None:
    rows = [person(n % 40, {"top color": n % 9}, tracklet_id=f"a.mp4/{n}") for n in range(1000)]
    browser = show(rows)
    choose(browser, "top color", "red")
    visible = "return [...document.querySelectorAll('article:not([hidden]) h2')].map((e) => e.textContent)"
    found = browser.execute_script(visible)
    assert {int(name.partition("/")[2]) for name in found} == {n for n in range(1000) if n % 9 == RED}
    times = [float(100 - int(name.partition("/")[2]) % 40) for name in found]
    assert times == sorted(times)


@pytest.mark.slow
def test_without_scripts_everybody_is_there_and_nothing_pretends_to_filter(
    browser: Chrome, show: Callable[..., Chrome]
) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        show(PEOPLE)
        assert len(shown(browser)) == 4
        assert not browser.find_element(By.ID, "filters").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_page_says_whom_it_leaves_out(monkeypatch: pytest.MonkeyPatch, show: Callable[..., Chrome]) -> None:
    monkeypatch.setattr(gallery, "MOST_PEOPLE", 3)
    browser = show(PEOPLE)
    assert len(shown(browser)) == 3
    assert "3 of 4 people" in browser.find_element(By.TAG_NAME, "header").text


def test_a_card_is_reached_and_a_value_chosen_by_keyboard_alone(show: Callable[..., Chrome]) -> None:
    browser = show(PEOPLE)
    reached = []
    for _ in range(60):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        element = browser.switch_to.active_element
        if element.tag_name == "body":
            break
        assert element.value_of_css_property("outline-style") == "solid", element.tag_name
        reached.append(element.get_attribute("type") or element.tag_name)
    values = len(browser.find_elements(By.CSS_SELECTOR, "fieldset input"))
    assert reached == ["search", "select-one", "reset", *["checkbox"] * values, "summary"]
