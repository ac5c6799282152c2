"""Many schedules, on all processors. A seed's result does not depend on the process that runs it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from gitcoord.simulation.schedule import Options, Result, run
from gitcoord.store.program import safe_children

CHUNK = 4


def results(seeds: range, options: Options, *, processes: int | None = None) -> Iterator[Result]:
    """Yield the results in the order of the seeds."""
    processes = min(processes or os.cpu_count() or 1, len(seeds))
    if processes <= 1:
        yield from map(partial(run, options=options), seeds)
        return
    with safe_children(), ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            yield from pool.map(partial(run, options=options), seeds, chunksize=CHUNK)
        finally:
            pool.shutdown(cancel_futures=True)
