"""An invalid value of an option is named."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from vpar_cache.base.checks import check_at_least, check_choice, check_new_file, check_whole
from vpar_cache.errors import UserError


def test_a_wrong_value_is_named_with_its_option() -> None:
    with pytest.raises(UserError, match=r"--resize.*'crop'.*pad, stretch"):
        check_choice("--resize", "crop", ("pad", "stretch"))
    for value in (-1, math.nan, math.inf):
        with pytest.raises(UserError, match=rf"--frames.*{value}"):
            check_at_least("--frames", value, 1)


def test_a_whole_number_has_bounds_on_both_sides() -> None:
    check_whole("--seed", 0, 0, 7)
    check_whole("--seed", 7, 0, 7)
    for value in (-1, 8, 10**20, 1.5, math.nan, True, "3"):
        with pytest.raises(UserError, match=rf"--seed: got {value};.*from 0 to 7"):
            check_whole("--seed", value, 0, 7)  # type: ignore[arg-type]


def test_only_a_file_may_be_replaced_and_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("work")
    (tmp_path / "dangling").symlink_to("absent")
    check_new_file("--out", tmp_path / "new", overwrite=False)
    for name in ("file", "dangling"):
        with pytest.raises(UserError, match=rf"--out.*{name}.*--overwrite"):
            check_new_file("--out", tmp_path / name, overwrite=False)
        check_new_file("--out", tmp_path / name, overwrite=True)
    with pytest.raises(UserError, match=r"--out.*a folder"):
        check_new_file("--out", tmp_path, overwrite=True)
