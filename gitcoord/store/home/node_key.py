"""The node's own key, by which it vouches for the keys of its agents (`core/format/vouches.py`).

It gives no right in the fleet. All users of a shared home may read it, because all of them write into one queue.
"""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path

from gitcoord.core.errors import Corrupt, Refused
from gitcoord.core.format.event import Signer
from gitcoord.core.format.keys import SEED_BYTES, Ed25519Signer
from gitcoord.core.format.vouches import node_id
from gitcoord.store.files import write_durably
from gitcoord.store.home import sharing

ENDS = ".key"


def new(name: str, seed: bytes | None = None) -> tuple[str, bytes]:
    """Return the id of a new node and the 32 secret bytes of its key: `seed`, or random ones if that is None."""
    seed = seed or secrets.token_bytes(SEED_BYTES)
    return node_id(name, Ed25519Signer(seed).key), seed


def keep(home: Path, node_id: str, seed: bytes) -> None:
    """Save the key BEFORE the node is named anywhere."""
    write_durably(_path(home, node_id), seed.hex().encode() + b"\n", mode=sharing.mode_in(home) & _mask(home))


def signer(home: Path, node_id: str) -> Signer:
    """Return the node's signer. Raise Refused if the key is not here, Corrupt if the file is not a key."""
    path = _path(home, node_id)
    try:
        return Ed25519Signer(bytes.fromhex(path.read_text(encoding="ascii")))
    except FileNotFoundError:
        raise Refused(
            f"{path}, the key of this clone, is gone, so no further agent can write from here: restore it "
            "from a backup, or make a new clone and run `gitcoord init` there"
        ) from None
    except ValueError:
        raise Corrupt(f"{path} is not a key (64 hexadecimal characters): restore it from a backup") from None


def forget(home: Path, node_id: str) -> None:
    """Remove the key of a node id that this home no longer has."""
    with contextlib.suppress(OSError):
        _path(home, node_id).unlink()


def _path(home: Path, node_id: str) -> Path:
    return home / f"{node_id}{ENDS}"


def _mask(home: Path) -> int:
    return 0o660 if sharing.is_shared(home) else 0o600
