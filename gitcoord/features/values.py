"""States as JSON values and back, for checkpoints and caches: a state is a dataclass of plain values."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}  # made once: it compiles the whole of a state


def dump(state: Any) -> Any:
    """Equal values for equal states, on every machine. What is as it is by default is left out: half of the bytes."""
    return _adapter(type(state)).dump_python(state, mode="json", exclude_defaults=True)


def load(kind: type[T], value: Any) -> T:
    """What `dump` wrote down. Raises ValueError on anything else."""
    state: T = _adapter(kind).validate_python(value)
    return state


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]
