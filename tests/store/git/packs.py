"""Packs that nobody's git would make: a few hundred bytes whose objects are gigabytes, if they are asked for."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import zlib
from collections.abc import Iterable
from pathlib import Path

PIECE = 1024 * 1024
COMMIT, TREE, BLOB, DELTA = 1, 2, 3, 7


def delta_bomb(repository: Path, name: str, pieces: int) -> tuple[str, str, int]:
    """Put a commit into `repository` whose file `name` is kept as a difference: `pieces` copies of a MiB of zeros.

    That MiB is another file of it, so that a server hands the difference on as it is. Return the ids of commit and
    file, and the pack's size.
    """
    zeros = bytes(PIECE)
    base, large = _oid("blob", PIECE, [zeros]), _oid("blob", PIECE * pieces, (zeros for _ in range(pieces)))
    difference = _number(PIECE) + _number(PIECE * pieces) + b"\xc0\x10" * pieces  # copy 16 << 16 bytes, from 0
    tree = b"".join(f"100644 {one}\0".encode() + bytes.fromhex(oid) for one, oid in ((name, large), (f"{name}0", base)))
    commit = f"tree {_oid('tree', len(tree), [tree])}\nauthor m <m> 1 +0000\ncommitter m <m> 1 +0000\n\nx\n".encode()
    objects = [
        _head(BLOB, PIECE) + zlib.compress(zeros, 9),
        _head(DELTA, len(difference)) + bytes.fromhex(base) + zlib.compress(difference, 9),
        _head(TREE, len(tree)) + zlib.compress(tree),
        _head(COMMIT, len(commit)) + zlib.compress(commit),
    ]
    pack = b"PACK" + struct.pack(">II", 2, len(objects)) + b"".join(objects)
    pack += hashlib.sha1(pack, usedforsecurity=False).digest()
    command = ["git", "-C", str(repository), "index-pack", "--stdin"]
    subprocess.run(command, input=pack, check=True, capture_output=True)
    return _oid("commit", len(commit), [commit]), large, len(pack)


def _oid(kind: str, size: int, parts: Iterable[bytes]) -> str:
    digest = hashlib.sha1(f"{kind} {size}\0".encode(), usedforsecurity=False)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _head(kind: int, size: int) -> bytes:
    """Return an object's head in a pack: its kind and its size."""
    first, rest = (kind << 4) | (size & 15), size >> 4
    return bytes([first | 0x80]) + _number(rest) if rest else bytes([first])


def _number(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
