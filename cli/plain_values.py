"""Values of options that need no conversion to speak of, taken as they are.

Typer converts every value with pydantic, whose import costs more than all else that `vpar info` does. Texts, paths
and defaults need none of it; whatever else comes is typer's, with its rules and messages, as is everything where a
later typer is made otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

_CONVERSION = "get_runtime_param"
"""The method by which typer's parameters come by what converts their values."""


class PlainCommand(TyperCommand):
    """A command whose plain values are converted here."""

    def get_params(self, *args: Any) -> Any:
        """Those that typer has, --help among them."""
        return _with_plain_conversion(super().get_params(*args))


class PlainGroup(TyperGroup):
    """The same of the program's own options."""

    def get_params(self, *args: Any) -> Any:
        """Those that typer has, --help among them."""
        return _with_plain_conversion(super().get_params(*args))


def _with_plain_conversion(parameters: Sequence[Any]) -> Sequence[Any]:
    for parameter in parameters:
        if hasattr(parameter, _CONVERSION) and _CONVERSION not in vars(parameter):
            vars(parameter)[_CONVERSION] = _Conversion(getattr(parameter, _CONVERSION))
    return parameters


class _Conversion:
    """Stands for both: the method, and the object with `coerce` that it returns."""

    def __init__(self, typers: Callable[[], Any]) -> None:
        self._typers = typers

    def __call__(self) -> _Conversion:
        return self

    def coerce(self, value: Any, *, param: Any, ctx: Any) -> Any:
        """`value` as the type that the command declares."""
        kind = param.type_descriptor.annotation
        if value is None and param.nargs == 1 and not getattr(param, "multiple", False):
            return None
        if isinstance(kind, type) and type(value) is kind:
            return value
        if kind is Path and isinstance(value, str) and _is_usable(value):
            return Path(value)
        return self._typers().coerce(value, param=param, ctx=ctx)


def _is_usable(path: str) -> bool:
    """False for what typer refuses: a file that is there and cannot be read."""
    return not os.path.lexists(path) or os.access(path, os.R_OK)
