"""Installed packages against what is required: real metadata of small packages that are written for the test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torchvision

from vpar_cache.workflows.doctor.packages import check_extras, check_packages, check_torch


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that packages can be installed into."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def install(site: Path, name: str, version: str = "1.0", *requires: str, extras: str = "") -> None:
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Provides-Extra: {extra}" for extra in extras.split()]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    (folder / "METADATA").write_text("\n".join(lines) + "\n")


def test_packages_that_fit_are_counted_with_what_they_need_in_turn(site: Path) -> None:
    install(site, "shop-app", "3.1", "shop-base>=1", "shop-extra; extra == 'more'", "shop-win; os_name == 'nt'")
    install(site, "Shop_Base", "1.4", "shop-core")
    install(site, "shop-core", "1.0", "shop-base")  # a circle
    check = check_packages("shop-app")
    assert check.state == "ok"
    assert "shop-app 3.1 and the 2 packages" in check.text


@pytest.mark.parametrize(
    ("installed", "parts"),
    [({}, ["missing", "'shop-base>=2'"]), ({"shop-base": "1.9"}, ["1.9 is installed", "'shop-base>=2'"])],
)
def test_a_requirement_of_its_own_that_is_not_met_fails(
    installed: dict[str, str], parts: list[str], site: Path
) -> None:
    install(site, "shop-app", "3.1", "shop-base>=2")
    for name, version in installed.items():
        install(site, name, version)
    check = check_packages("shop-app")
    assert check.state == "fails"
    assert all(part in check.text for part in ["shop-app needs", *parts]), check.text


def test_a_requirement_of_another_package_that_is_not_met_is_a_warning(site: Path) -> None:
    install(site, "shop-app", "3.1", "shop-base")
    install(site, "shop-base", "1.0", "shop-core<2")
    install(site, "shop-core", "2.5")
    check = check_packages("shop-app")
    assert check.state == "warning"
    assert "shop-base needs shop-core<2, and 2.5 is installed" in check.text


def test_a_pre_release_that_is_installed_counts(site: Path) -> None:
    install(site, "shop-app", "3.1", "shop-base>=2")
    install(site, "shop-base", "2.1rc1")
    assert check_packages("shop-app").state == "ok"


def test_extras_are_there_absent_or_in_part(site: Path) -> None:
    needs = ("a1; extra == 'a'", "b1; extra == 'b'", "c1>=2; extra == 'c'", "d1; extra == 'dev'")
    install(site, "shop-app", "3.1", *needs, extras="a b c dev")
    install(site, "a1")
    check = check_extras("shop-app")
    assert (check.state, check.text.split(";")[0]) == ("ok", "installed: a")
    assert "not installed: b, c" in check.text
    install(site, "c1", "1.0")
    check = check_extras("shop-app")
    assert check.state == "warning"
    assert "c needs c1>=2, and 1.0 is installed" in check.text


def test_the_installed_ones_fit() -> None:
    assert check_torch().state == "ok"
    assert check_packages().state != "fails"
    assert check_extras().state == "ok"


def test_a_program_that_is_not_installed_is_a_warning() -> None:
    assert check_packages("shop-absent").state == "warning"
    assert check_extras("shop-absent").state == "ok"


def test_a_torchvision_of_another_torch_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise RuntimeError("operator torchvision::nms does not exist\nand much more")

    monkeypatch.setattr(torchvision.ops, "nms", missing)
    check = check_torch()
    assert check.state == "fails"
    assert "torchvision::nms does not exist)" in check.text
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert check_torch().state == "fails"


def test_a_wrong_result_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.ops, "nms", lambda boxes, scores, most: scores.argsort())
    check = check_torch()
    assert check.state == "fails"
    assert "wrong result" in check.text


def test_builds_for_different_devices_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch, "__version__", "9.1.0+cpu")
    monkeypatch.setattr(torchvision, "__version__", "0.99.0+cu132")
    check = check_torch()
    assert check.state == "warning"
    assert "9.1.0+cpu" in check.text
