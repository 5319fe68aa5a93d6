"""What `vpar tune` searches: a TOML file with a table for each setting (search.toml is the default)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from vpar_cache.base.checks import check_choice
from vpar_cache.base.toml_file import read_toml
from vpar_cache.errors import UserError
from vpar_cache.models.systems import SYSTEMS
from vpar_cache.training.config import TrainConfig

DEFAULT_SEARCH = Path(__file__).with_name("search.toml")
_FUSION = ("heads", "layers", "logit_norm", "tune_text")
SEARCHED = ("lr", "weight_decay", "batch_size", "loss", "schedule", "dim", *_FUSION)
"""The settings that may be searched: what `vpar train` has an option for, and what decides the training."""
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("lr", "weight_decay"), (float, int)),
    **dict.fromkeys(("batch_size", "dim", "heads", "layers"), (int,)),
    **dict.fromkeys(("loss", "schedule"), (str,)),
    **dict.fromkeys(("logit_norm", "tune_text"), (bool,)),
}
_MAX_CHOICES = 100


@dataclass(frozen=True)
class Setting:
    """One setting, and the values that it may have: `choices`, or what lies from `low` to `high`."""

    name: str
    choices: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False

    @property
    def ends(self) -> tuple[Any, ...]:
        """The choices, or both ends of the range."""
        return self.choices or (self.low, self.high)

    def suggest(self, trial: Any) -> Any:
        """Return the value that Optuna proposes for a trial."""
        if self.choices:
            return trial.suggest_categorical(self.name, self.choices)
        if _TYPES[self.name] == (int,):
            return trial.suggest_int(self.name, self.low, self.high, log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)


def read_search(path: Path | None, base: TrainConfig) -> tuple[Setting, ...]:
    """Return the settings of a search file, in its order; None: of search.toml, as far as they apply to the model.

    `base`: the settings that are not searched. Raises UserError for a table, a key or a value that is not allowed,
    and for values that `vpar train` would refuse.
    """
    where = f"--search {path}" if path else f"--search {DEFAULT_SEARCH.name}"
    tables = read_toml(path or DEFAULT_SEARCH, "--search")
    if path is None:
        tables = {name: table for name, table in tables.items() if _applies(name, base.model)}
    if not tables:
        raise UserError(f"{where}: got no table; expected one for each setting to search, as in [lr]")
    settings = tuple(_setting(where, name, table, base.model) for name, table in tables.items())
    for given in _combinations(settings):
        try:
            replace(base, **given)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
    return settings


def _applies(name: str, model: str) -> bool:
    if name in _FUSION:
        return SYSTEMS[model].has_fusion
    return name != "dim" or model != "linear"


def _setting(where: str, name: str, table: Any, model: str) -> Setting:
    """Return one table of the file, checked but for the values' range."""
    check_choice(f"{where}: table", name, SEARCHED)
    if not _applies(name, model):
        raise UserError(f"{where}: got [{name}], which --model {model} does not have; leave it out")
    if not isinstance(table, dict) or set(table) not in ({"choices"}, {"low", "high"}, {"low", "high", "log"}):
        keys = ", ".join(table) if isinstance(table, dict) else repr(table)[:60]
        raise UserError(
            f"{where}: [{name}]: got {keys or 'nothing'}; expected `choices`, or `low` and `high` (and `log`)"
        )
    if "choices" in table:
        choices = table["choices"]
        if not isinstance(choices, list) or not 1 <= len(choices) <= _MAX_CHOICES:
            raise UserError(
                f"{where}: [{name}] choices: got {str(choices)[:60]}; expected 1 to {_MAX_CHOICES} values"
            )
        for value in choices:
            _check_type(where, name, value)
        return Setting(name, choices=tuple(dict.fromkeys(choices)))
    low, high, log = table["low"], table["high"], table.get("log", False)
    for value in (low, high):
        _check_type(where, name, value)
    if not isinstance(log, bool):
        raise UserError(f"{where}: [{name}] log: got {log!r}; expected true or false")
    if isinstance(low, str | bool):
        raise UserError(f"{where}: [{name}]: got a range; expected `choices`, since {name} is not a number")
    if not low <= high:
        raise UserError(f"{where}: [{name}]: got low {low} and high {high}; expected low to be at most high")
    if log and not low > 0:
        raise UserError(
            f"{where}: [{name}]: got low {low} with log; expected a low above 0. Raise it, or use log = false"
        )
    return Setting(name, low=low, high=high, log=log)


def _check_type(where: str, name: str, value: Any) -> None:
    if type(value) not in _TYPES[name]:
        expected = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}[
            _TYPES[name][0]
        ]
        raise UserError(f"{where}: [{name}]: got {str(value)[:60]!r}; expected {expected}")


def _combinations(settings: tuple[Setting, ...]) -> Iterator[dict[str, Any]]:
    """Yield settings that show every value that `vpar train` may refuse: each end alone, width with heads."""
    first = {setting.name: setting.ends[0] for setting in settings}
    for setting in settings:
        yield from ({**first, setting.name: value} for value in setting.ends)
    ends = {setting.name: setting.ends for setting in settings if setting.name in ("dim", "heads")}
    for values in product(*ends.values()):
        yield {**first, **dict(zip(ends, values, strict=True))}
