"""The label page in a browser: it opens from disk, takes keys alone, and keeps and saves what it took."""

from __future__ import annotations

import csv
import re
import time
from pathlib import Path

import pytest
from PIL import Image
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.rendering.test_page import contrast
from tests.support.browser import COLORS
from tests.support.pages import HOSTILE
from vpar_cache.attributes.schema import Group, Output, Schema, binary, choice
from vpar_cache.datasets.folder import load_folder
from vpar_cache.datasets.own.folders import find_tracklet_folders
from vpar_cache.datasets.own.label_page import check_page, write_label_page
from vpar_cache.datasets.own.template import empty_labels, format_labels
from vpar_cache.errors import UserError

SHOP = Schema(
    "shop <b>&amp;</b>",
    (binary("hat", "hat", "a hat", "no hat"), choice("coat", "{} coat", "no, short, long")),
    ("occlusion",),
)
NAMES = ("crops/anna 1", "crops/b#e%n", "crops/ünï <i>")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        (tmp_path / name).mkdir(parents=True)
        for frame in range(1 + 13 * number):
            Image.new("RGB", (20, 50), (40 * number, 90, 200)).save(tmp_path / name / f"{frame:03d}.jpg")
    write(tmp_path)
    return tmp_path


def write(root: Path) -> None:
    folders = find_tracklet_folders(root)
    write_label_page(root / "label.html", SHOP, folders, empty_labels(SHOP, folders))


@pytest.fixture
def downloads(browser: Chrome, root: Path) -> None:
    """Puts what the page saves beside it."""
    folder = str(root / "saved")
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": folder})


@pytest.fixture
def page(browser: Chrome, root: Path, downloads: None) -> Chrome:
    browser.get_log("browser")
    browser.get((root / "label.html").as_uri())
    return browser


def press(page: Chrome, *keys: str) -> None:
    """As a user without a mouse: to whatever has the focus."""
    for key in keys:
        ActionChains(page).send_keys(key).perform()


def text(page: Chrome, name: str) -> str:
    return page.find_element(By.ID, name).text


def shown(page: Chrome) -> str:
    return text(page, "frames-title").partition(":")[0]


def saved(page: Chrome, root: Path) -> list[dict[str, str]]:
    """The rows of labels.csv once it was saved with the keyboard."""
    ActionChains(page).key_down(Keys.CONTROL).send_keys("s").key_up(Keys.CONTROL).perform()
    file = root / "saved" / "labels.csv"
    end = time.monotonic() + 20
    while not file.exists() and time.monotonic() < end:
        time.sleep(0.05)
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    file.rename(root / "labels.csv")
    return rows


def load(page: Chrome, file: Path, contents: str | bytes) -> str:
    file.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    page.execute_script("document.getElementById('message').textContent = ''")
    page.find_element(By.ID, "file").send_keys(str(file))
    end = time.monotonic() + 20
    while not text(page, "message") and time.monotonic() < end:
        time.sleep(0.05)
    return text(page, "message")


def test_one_key_a_value_labels_all_and_what_is_saved_can_be_loaded_as_a_dataset(page: Chrome, root: Path) -> None:
    assert (shown(page), text(page, "done")) == (NAMES[0], "0 of 3 tracklets complete, 3 without a split")
    press(page, "1", "2", "0")  # hat, coat, occlusion of the first
    assert shown(page) == NAMES[1]
    press(page, "0", "-", "1")
    assert shown(page) == NAMES[2]
    press(page, Keys.ARROW_DOWN, "1", "0")  # coat, occlusion
    press(page, "1")  # the hat was left open
    assert text(page, "done").startswith("3 of 3 tracklets complete")
    assert "No answer is missing" in text(page, "message")
    page.find_element(By.ID, "divide").send_keys(Keys.ENTER)
    rows = saved(page, root)
    assert [list(row.values()) for row in rows] == [
        [NAMES[0], "train", NAMES[0], "1", "2", "0"],
        [NAMES[1], "test", NAMES[1], "0", "NA", "1"],
        [NAMES[2], "train", NAMES[2], "1", "1", "0"],
    ]
    dataset = load_folder(root, root / "labels.csv", SHOP)
    assert {t.tracklet_id: (t.split, t.labels.tolist(), t.known_labels().tolist()) for t in dataset.tracklets} == {
        NAMES[0]: ("train", [1, 0, 0, 1], [True] * 4),
        NAMES[1]: ("test", [0, 0, 0, 0], [True, False, False, False]),
        NAMES[2]: ("train", [1, 0, 1, 0], [True] * 4),
    }


def test_every_frame_is_shown_whatever_its_name_and_nothing_else_is_loaded(page: Chrome) -> None:
    for name, count, said in zip(NAMES, (1, 14, 24), ("1 frame", "14 frames", "24 of 27 frames"), strict=True):
        assert text(page, "frames-title") == f"{name}: {said}"
        decoded = "Promise.all([...document.images].map((i) => i.decode())).then(arguments[0], arguments[0])"
        page.execute_async_script(decoded)
        sizes = page.execute_script("return [...document.images].map((i) => i.naturalHeight)")
        assert sizes == [50] * count
        press(page, Keys.ARROW_RIGHT)
    assert page.get_log("browser") == []  # the policy refused nothing, and no file was missing
    requested = [
        entry["message"]
        for entry in page.get_log("performance")
        if '"Network.requestWillBeSent"' in entry["message"]
    ]
    assert not [message for message in requested if re.search(r'"url":"(?!file:|data:)', message)]


def test_what_was_entered_is_there_after_a_reload_and_after_the_page_is_written_again(
    page: Chrome, root: Path
) -> None:
    press(page, "1", "2")
    assert "not in labels.csv yet" in text(page, "kept")
    for again in (lambda: None, lambda: write(root)):
        again()
        page.refresh()
        assert "kept on" in text(page, "message")
        assert page.find_elements(By.CSS_SELECTOR, "option")[0].text == f"{NAMES[0]}: 1 missing"
        assert page.execute_script(
            "return [...document.querySelectorAll(':checked[type=radio]')].map(e => e.value)"
        ) == ["1", "2"]
    page.find_element(By.ID, "forget").click()
    page.switch_to.alert.accept()
    assert text(page, "done").startswith("0 of 3")
    assert page.find_elements(By.CSS_SELECTOR, "option")[0].text == f"{NAMES[0]}: 3 missing"


def test_another_dataset_at_the_same_place_starts_empty(page: Chrome, root: Path) -> None:
    press(page, "1")
    (root / "label.html").unlink()
    write(root)
    page.refresh()
    assert page.find_elements(By.CSS_SELECTOR, ":checked[type=radio]") == []


def test_missing_answers_are_said_in_words(page: Chrome) -> None:
    def marked() -> list[str]:
        return [box.text.splitlines()[0] for box in page.find_elements(By.CSS_SELECTOR, "fieldset.missing")]

    assert marked() == [
        "hat (missing)",
        "coat (missing)",
        "occlusion (quality) (missing)",
        "split of this person (missing)",
    ]
    press(page, "1", "-")
    assert marked() == ["occlusion (quality) (missing)", "split of this person (missing)"]
    press(page, Keys.ARROW_UP, Keys.ARROW_UP, Keys.DELETE)
    assert marked()[0] == "hat (missing)"


def test_a_person_has_one_split_in_all_tracklets(page: Chrome, root: Path) -> None:
    press(page, Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_DOWN, "2")  # the split: test
    press(page, Keys.ARROW_RIGHT, "=")
    person = page.find_element(By.ID, "person")
    assert person.get_attribute("value") == NAMES[0]
    press(page, Keys.ARROW_RIGHT, Keys.ARROW_UP, 'Zoë, "the third"', Keys.ENTER, Keys.ESCAPE)
    press(page, "1")
    rows = saved(page, root)
    assert [(row["person_id"], row["split"], row["hat"]) for row in rows] == [
        (NAMES[0], "test", ""),
        (NAMES[0], "test", ""),
        ('Zoë, "the third"', "", "1"),
    ]


@pytest.mark.parametrize(
    ("header", "line", "mark"),
    [
        ("tracklet,HAT,coat,split", "{},True,1.0,valid", ""),
        ("sep=;\r\nCoat;tracklet;hat;split", "1;{};1;validation", "\ufeff"),
    ],
)
def test_a_label_file_of_another_program_is_read(
    page: Chrome, root: Path, header: str, line: str, mark: str
) -> None:
    said = load(page, root / "other.csv", f"{mark}{header}\r\n{line.format(NAMES[1])}\r\n")
    assert "1 of 3 tracklets read." in said
    row = saved(page, root)[1]
    assert (row["hat"], row["coat"], row["split"]) == ("1", "1", "validation")


def test_a_loaded_file_loses_no_column_and_no_row_and_its_false_values_are_counted(
    page: Chrome, root: Path
) -> None:
    rows = [
        ["tracklet", "split", "note", "hat", "coat", "camera_id"],
        [NAMES[0], "train", 'he said "hm",\nso', "7", "2", "4"],
        ["gone", "test", "=1", "0", "", "5"],
    ]
    said = load(page, root / "other.csv", format_labels(rows))
    assert "1 of 3 tracklets read; 1 cell holds no value" in said
    assert "1 row of other tracklets kept" in said
    first, _, _, other = saved(page, root)
    assert (first["note"], first["hat"], first["coat"], first["camera_id"]) == ('he said "hm",\nso', "", "2", "4")
    assert (other["tracklet"], other["note"], other["hat"], other["camera_id"]) == ("gone", "=1", "0", "5")


@pytest.mark.parametrize("contents", ["a,b\n1,2\n", 'tracklet,"hat\n', b"tracklet\n\xff\n", ""])
def test_a_file_that_is_no_label_file_changes_nothing(page: Chrome, root: Path, contents: str | bytes) -> None:
    press(page, "1")
    assert "cannot be read" in load(page, root / "bad.csv", contents)
    assert saved(page, root)[0]["hat"] == "1"


def test_no_name_becomes_code(browser: Chrome, root: Path, downloads: None) -> None:
    names = [name for name in HOSTILE if name.isprintable() and name]
    groups = tuple(
        Group(name, (Output(f"{name} {name}", name), Output(f"{name} 2", "b")), (name,)) for name in names
    )
    folders = find_tracklet_folders(root)
    schema = Schema(names[0], groups, ("</script><script>window.pwned = 1</script>",))
    rows = empty_labels(schema, folders)
    rows[1][2] = names[0]
    write_label_page(root / "label.html", schema, folders, rows)
    browser.get((root / "label.html").as_uri())
    press(browser, *"0" * len(names))
    assert browser.execute_script("return window.pwned") is None
    legends = [legend.text for legend in browser.find_elements(By.TAG_NAME, "legend")]
    assert legends[: len(names)] == names
    assert browser.find_element(By.ID, "person").get_attribute("value") == names[0]
    assert saved(browser, root)[0]["person_id"] == names[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 400])
def test_the_page_fits_and_its_text_can_be_read(page: Chrome, scheme: str, width: int) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": [feature]})
    page.refresh()
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    for words, ink, behind in page.execute_script(COLORS):
        colors = ["#" + "".join(f"{int(c):02x}" for c in re.findall(r"\d+", color)[:3]) for color in (ink, behind)]
        assert contrast(*colors) >= 4.5, words


def test_a_page_of_another_program_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "label.html").write_text("<title>mine</title>")
    with pytest.raises(UserError, match=r"label\.html: got a page of another program"):
        check_page(tmp_path / "label.html")
