"""What a run of the benchmarks was told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T", int, float)


@dataclass(frozen=True)
class Options:
    """`folder` is the figure's own, empty at its start; `cache` keeps large ledgers between runs."""

    folder: Path
    cache: Path | None = None
    quick: bool = False
    long: bool = False

    def times(self, full: T, quick: T) -> T:
        """How many, or how long: as much as a figure needs, or as little as shows that it works."""
        return quick if self.quick else full
