"""Fragments of keys: a log keeps both halves of a key that is told in two events."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import AnyStr

from gitcoord.core.names import shared_beginning

KEY_BYTES = (32, 64)  # an Ed25519 seed, alone or with its public half
FRAGMENT_BYTES = 18  # 24 characters of base64, 36 of hexadecimal: no text has so many by chance


class KeyFragments:
    """Large parts of those `secrets` that are keys, by what each is."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        keys = {f"a part of {name}": secret for name, secret in secrets.items() if len(secret) in KEY_BYTES}
        self._bytes = [*keys.items()]
        self._hex = [(name, key.hex()) for name, key in keys.items()]
        self._base64 = [(name, base64.b64encode(key).decode().rstrip("=")) for name, key in keys.items()]

    def in_hex(self, text: str) -> tuple[str, str] | None:
        """Return which key a text of small letters holds a part of, and that part."""
        return _first(text, self._hex, FRAGMENT_BYTES * 2)

    def in_base64(self, text: str) -> tuple[str, str] | None:
        """Return the same of a text that may hold base64 with + and /."""
        return _first(text, self._base64, FRAGMENT_BYTES * 4 // 3)

    def in_bytes(self, data: bytes) -> str | None:
        found = _first(data, self._bytes, FRAGMENT_BYTES)
        return found[0] if found else None


def _first(text: AnyStr, keys: list[tuple[str, AnyStr]], least: int) -> tuple[str, AnyStr] | None:
    return next(((name, part) for name, key in keys if (part := _part(text, key, least))), None)


def _part(text: AnyStr, key: AnyStr, least: int) -> AnyStr | None:
    """Return a part of `key` that occurs in `text` and is at least `least` long; None without one."""
    block = least // 2  # so that every such part holds one of these blocks whole
    for at in range(0, len(key) - block + 1, block):
        found = text.find(key[at : at + block])
        while found >= 0:
            before = shared_beginning(key[:at][::-1], text[max(0, found - at) : found][::-1])
            after = shared_beginning(key[at + block :], text[found + block : found + len(key)])
            if before + block + after >= least:
                return key[at - before : at + block + after]
            found = text.find(key[at : at + block], found + 1)
    return None
