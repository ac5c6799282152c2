"""Records: the content of the small files of a home."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Config:
    """The node's own settings, `config.json`. `init` writes it; a person may edit it."""

    fleet_id: str
    remote: str  # a remote's name in the user's repository, or a URL
    mirror: str = ""  # the same for the remote to which a leader here mirrors the ledger; empty: to none
    namespace: str = "refs/gitcoord"
    auth: str = "ed25519"
    profile: str | None = None  # None: the fleet's
    agent: str | None = None  # the agent that writes when a command names none
    lead: bool = True
    ledger: str = "refs/heads/gitcoord/ledger"
    timeout_s: float = 60.0
    hook: str | None = None  # None: the fleet's setting
    trust: str = ""  # the founder's fingerprint, or POSITION:DIGEST (`core/ledger/anchors.py`)
    follow_moves: bool = False  # whether to follow a fleet that moves without asking
    moved: str = ""  # the move by which this clone came to its remote
    moved_from: str = ""  # the remote before it
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def mirror_ref(self) -> str:
        """The branch that a mirror has: another one than the ledger's, so that nobody takes it for the register."""
        return f"{self.ledger.rpartition('/')[0]}/mirror"


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """How far this node's chain got. The process that syncs writes it for those that wait."""

    node: str = ""
    durable: int = 0  # seq
    sequenced: int = 0  # seq
    rounds: int = 0
    online: bool = True
    positions: dict[str, int] = field(default_factory=dict)  # of the newest sequenced events, by uid
    reasons: dict[str, str] = field(default_factory=dict)  # why some changed nothing, by uid or by the line's hash
    problem: str = ""
    tokens: float | None = None  # of the push budget that all processes of the node share
    tokens_at: float = 0.0  # seconds since 1970
