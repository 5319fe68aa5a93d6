"""An invalid value of an option is named."""

from __future__ import annotations

import math

import pytest

from vpar_cache.base.checks import check_at_least, check_choice
from vpar_cache.errors import UserError


def test_a_wrong_value_is_named_with_its_option() -> None:
    with pytest.raises(UserError, match=r"--resize.*'crop'.*pad, stretch"):
        check_choice("--resize", "crop", ("pad", "stretch"))
    for value in (-1, math.nan, math.inf):
        with pytest.raises(UserError, match=rf"--frames.*{value}"):
            check_at_least("--frames", value, 1)
