"""The default run name tells runs apart that differ in anything that decides them."""

from vpar_cache.runs.name import default_run_name, run_fingerprint


def test_settings_and_seal_decide_the_six_digits() -> None:
    names = [
        default_run_name("mars", "vtf", 3, run_fingerprint(settings, seal))
        for settings, seal in (({"lr": 1}, "a"), ({"lr": 1}, "a"), ({"lr": 2}, "a"), ({"lr": 1}, "b"))
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 3
    assert names[0].startswith("mars-vtf-3-")
