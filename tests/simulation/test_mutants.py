"""A check that cannot fail is none: each wrong variant of the protocol is caught within 2,000 seeds."""

from __future__ import annotations

import re

import pytest

from gitcoord.simulation.schedule import Options, run
from tests.simulation.mutants import MUTANTS, Mutant

SCHEDULES_MAX = 2000


def caught(seeds: range, options: Options) -> tuple[int, str]:
    """The first seed that fails, and how."""
    for seed in seeds:
        violation = run(seed, options).violation
        if violation:
            return seed, violation
    raise AssertionError(f"not caught from seed {seeds[0]} to {seeds[-1]}: what would reveal it?")


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_a_wrong_protocol_is_caught(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as wrong:
        mutant.apply(wrong)
        seed, violation = caught(range(mutant.start, mutant.start + SCHEDULES_MAX), mutant.world)
    assert re.search(mutant.seen, violation), f"seed {seed} breaks another promise: {violation}"
    assert run(seed, mutant.world).violation == "", "the right protocol fails there as well"
