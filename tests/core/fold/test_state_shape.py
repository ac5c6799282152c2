"""What a state looks like when it is written down is known by its version: a checkpoint outlives the code.

When this fails, raise the number in `STATE` (`core/fleet_state.py`) if the code that is out there would misread
the new shape, or the new code the old one; then write the golden file anew: `python -m
tests.core.fold.test_state_shape`.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gitcoord.core import feature as features_of
from gitcoord.core.fleet_state import STATE, FleetState
from gitcoord.core.fold.ledger_time import LedgerTime
from gitcoord.core.fold.members import Members
from gitcoord.core.fold.moves import Moves
from gitcoord.core.fold.places import Places
from gitcoord.core.fold.quotas import Quotas
from gitcoord.core.fold.terms import Terms
from gitcoord.features import FEATURES

GOLDEN = Path(__file__).parents[2] / "data" / "state_shape.json"


def shape_of(kind: Any, found: dict[str, Any] | None = None) -> dict[str, Any]:
    """The fields of a dataclass or model with their types, and those of all that they are made of, by name."""
    found = {} if found is None else found
    if issubclass(kind, BaseModel):
        fields = {
            name: re.sub(r" at 0x[0-9a-f]+", "", str(field.annotation))  # a place in memory is no shape
            for name, field in kind.model_fields.items()
        }
    else:
        fields = {field.name: str(field.type).replace("OrderedDict", "dict") for field in dataclasses.fields(kind)}
    found[kind.__name__] = fields
    names = sorted({word for text in fields.values() for word in re.findall(r"\w+", text)})
    for name in names:
        part = getattr(sys.modules[kind.__module__], name, None)
        if isinstance(part, type) and part.__name__ not in found:
            if dataclasses.is_dataclass(part) or issubclass(part, BaseModel):
                shape_of(part, found)
    return found


def shape() -> dict[str, Any]:
    return {
        "version": STATE,
        "core": {
            "Fleet": sorted(FleetState(FEATURES).dump()),
            **shape_of(Members),
            **shape_of(Terms),
            **shape_of(LedgerTime),
            **shape_of(Quotas),
            **shape_of(Places),
            **shape_of(Moves),
        },
        "features": {
            name: {"dump": type(features_of.dump(feature, feature.State())).__name__, **shape_of(feature.State)}
            for name, feature in sorted(FEATURES.items())
        },
    }


def test_the_shape_of_a_state_changes_with_its_version_only() -> None:
    golden, now = json.loads(GOLDEN.read_text("utf-8")), shape()
    assert golden == now, sys.modules[__name__].__doc__


def test_a_state_of_another_set_of_features_is_of_another_version() -> None:
    some = {name: feature for name, feature in FEATURES.items() if name != "health"}
    assert FleetState(some).schema != FleetState(FEATURES).schema


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(shape(), indent=1, sort_keys=True) + "\n", "utf-8")
