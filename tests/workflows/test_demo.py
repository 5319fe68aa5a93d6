"""`vpar demo` replaces nothing unasked, and checks all settings before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from vpar_cache.errors import UserError
from vpar_cache.workflows.demo import DemoConfig, run_demo


def test_an_existing_picture_is_replaced_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / "predictions.png").write_text("years of work")
    with pytest.raises(UserError, match=r"--out.*predictions\.png.*--overwrite"):
        DemoConfig(out=tmp_path)
    assert DemoConfig(out=tmp_path, overwrite=True).picture == tmp_path / "predictions.png"


def test_a_wrong_setting_is_told_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"--epochs.*{10**20}"):
        run_demo(DemoConfig(out=tmp_path / "demo", epochs=10**20, device="cpu"))
    assert not list(tmp_path.iterdir())
