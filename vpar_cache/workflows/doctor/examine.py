"""All checks, in the order in which an extraction would meet what they look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vpar_cache.base.devices import check_device_name
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.workflows.doctor.check import LIBRARY_FAILURES, STATES, Check, State, in_one_line
from vpar_cache.workflows.doctor.packages import check_extras, check_packages, check_torch


def examine(config: ExtractConfig) -> Iterator[Check]:
    """Yield a check for all that an extraction with these settings needs; without a dataset, that any one needs.

    What is written to try the file system is removed again. The model hub is asked whether it answers only where
    weights are not on this machine and may be fetched. Raises UserError for a device name that no machine has.
    """
    for name in config.devices:
        check_device_name(name)
    yield check_packages()
    yield check_extras()
    torch = check_torch()
    yield torch
    try:
        # Here, so that the checks above can tell of a library that is missing.
        from vpar_cache.workflows.doctor.of_settings import examine_settings
    except LIBRARY_FAILURES as error:
        yield Check("others", "fails", f"not checked, since a library cannot be imported ({in_one_line(error)})")
        return
    yield from examine_settings(config, has_torch=torch.state != "fails")


def worst(checks: Iterable[Check]) -> State:
    """Return the worst state among the checks."""
    return max((check.state for check in checks), key=STATES.index, default="ok")
