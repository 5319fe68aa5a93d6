"""The default run name tells runs apart that differ in anything that decides them."""

import pytest

from tests.support.hostile_files import NASTY
from vpar_cache.errors import UserError
from vpar_cache.runs.name import check_run_name, default_run_name, natural_order, run_fingerprint


def test_settings_and_seal_decide_the_six_digits() -> None:
    names = [
        default_run_name("mars", "vtf", 3, run_fingerprint(settings, seal))
        for settings, seal in (({"lr": 1}, "a"), ({"lr": 1}, "a"), ({"lr": 2}, "a"), ({"lr": 1}, "b"))
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 3
    assert names[0].startswith("mars-vtf-3-")


@pytest.mark.parametrize(
    "dataset", ["../../etc", "/etc/passwd", "..", "", ".hidden", NASTY, "a\0b", "x" * 5000, "人"]
)
def test_the_default_name_is_safe_whatever_dataset_the_cache_names(dataset: str) -> None:
    name = default_run_name(dataset, "vtf", 0, "f" * 64)
    check_run_name(name)
    with pytest.raises(UserError):
        check_run_name(f"{dataset}/{name}")


def test_names_go_as_people_count() -> None:
    names = ["run-1", "run-002", "run-2", "run-10", "run-10b", "run-" + "9" * 5000, "run-a"]
    assert sorted(sorted(names), key=natural_order) == names != sorted(names)
