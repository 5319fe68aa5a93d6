"""The program, called in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.hostile_files import Done, call_vpar

Call = Callable[..., Done]


@pytest.fixture
def vpar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """The program's entry point, called in an empty folder, with pipes for a terminal."""

    def call(*arguments: str, columns: int = 100) -> Done:
        monkeypatch.setenv("COLUMNS", str(columns))
        return call_vpar(*arguments, folder=tmp_path)

    return call
