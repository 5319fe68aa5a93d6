"""`vpar verify`: compare every byte of a cache with its seals."""

from pathlib import Path
from typing import Annotated

import typer

from vpar_cache.errors import count_of

from .console import print_text, say


def verify(
    index: Annotated[Path, typer.Argument(help="The index of a cache, as in cache/mars.h5.")],
) -> None:
    """Read every byte of a cache and compare it with its seals.

    Examples:

        vpar verify cache/mars.h5
    """
    from tqdm import tqdm

    from vpar_cache.cache.verify import verify_cache

    with tqdm(unit="B", unit_scale=True, desc="verify", disable=None, leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        result = verify_cache(index, progress)
    for problem in result.problems:
        say(f"error: {problem}")
    if result.problems:
        raise typer.Exit(2)
    print_text(
        f"{result.index}: {count_of(result.num_tracklets, 'tracklet')} in "
        f"{count_of(result.num_shards, 'shard')}, {result.num_bytes} bytes: undamaged\n"
    )
