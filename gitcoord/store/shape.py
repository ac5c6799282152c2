"""The shape of a JSON file: it is read with its types, or it is damaged, whatever lies in it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


def read(kind: type[T], data: bytes) -> T:
    """The `kind` (a dataclass) that `data` holds; fields that it does not know are passed over.

    Raises ValueError, in one line, on anything else: no JSON, nested without end, a field of another type.
    """
    try:
        value: T = _adapter(kind).validate_json(data, strict=True)  # type: ignore[arg-type]
        return value
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from None


@lru_cache(maxsize=32)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
