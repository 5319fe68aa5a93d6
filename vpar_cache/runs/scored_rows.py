"""Which rows a run was scored on, as a digest: only numbers on the same rows may stand in one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.schema import Schema
from vpar_cache.base.hashing import fingerprint
from vpar_cache.metrics.inputs import Bools


def rows_digest(
    schema: Schema,
    tracklet_ids: Sequence[str],
    people: NDArray[np.integer[Any]] | None,
    labels: Bools,
    known: Bools,
) -> str:
    """Return 64 hex digits of N rows and the schema's outputs, whatever the order of the rows.

    `people` are N integers, None where they are not known; labels and known are (N, A).
    """
    shown = np.where(known, np.where(labels, "1", "0"), "?")  # (N, A)
    rows = sorted(
        [name, None if people is None else int(people[i]), "".join(shown[i])]
        for i, name in enumerate(tracklet_ids)
    )
    outputs = list(zip(schema.output_groups(), (output.name for output in schema.outputs), strict=True))
    return fingerprint({"outputs": outputs, "rows": rows})
