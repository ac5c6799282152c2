"""Values: a state as JSON values and back, for checkpoints and caches. A state is a dataclass of plain values."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}  # kept: an adapter compiles the whole shape of a state


def dump(state: Any) -> Any:
    """Return a state as JSON values, the same on every machine. Defaults are omitted: half of the bytes."""
    return _adapter(type(state)).dump_python(state, mode="json", exclude_defaults=True)


def load(kind: type[T], value: Any) -> T:
    """Return the state that `dump` wrote. Raise ValueError for anything else."""
    state: T = _adapter(kind).validate_python(value)
    return state


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]
