"""The keys of a home's agents: one file each, which only its owner may read."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from gitcoord.core import limits
from gitcoord.core.errors import Corrupt, Refused
from gitcoord.core.names import agent_id
from gitcoord.store.files import write_durably
from gitcoord.store.home import sharing


class AgentKeys:
    """The secret keys in `folder`, one for each agent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self) -> None:
        """Make the folder of the keys for the owner alone; in a shared home, for the group, each user with own keys."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.folder, 0o700)
            sharing.settle(self.folder, sharing.KEYS_SHARED if sharing.is_shared(self.folder.parent) else 0o700)

    def names(self) -> list[str]:
        """Return the agents (casefolded) whose keys are here."""
        try:
            return sorted(path.stem for path in self.folder.glob("*.key"))
        except OSError:
            return []

    def path(self, agent: str) -> Path:
        """Return where the agent's key is, or would be. Raise Refused for an invalid id."""
        return self.folder / f"{agent_id(agent).casefold()}.key"

    def save(self, agent: str, seed: bytes) -> None:
        """Save an agent's secret key, readable by this user only."""
        write_durably(self.path(agent), seed.hex().encode() + b"\n", mode=0o600)

    def seed(self, agent: str) -> bytes | None:
        """Return an agent's 32 secret bytes; None if its key is not here."""
        path = self.path(agent)
        try:
            return bytes.fromhex(self.content(path).decode("ascii").strip())
        except FileNotFoundError:
            return None
        except ValueError:
            raise Corrupt(f"{path} is not a key (64 hexadecimal characters): restore it from a backup") from None

    def content(self, path: Path) -> bytes:
        """Return the content of a key file. Raise Refused if others may read it, or if it is another user's."""
        try:
            with open(path, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                data = file.read(limits.EVENT_BYTES_MAX)
        except PermissionError:
            raise Refused(
                f"{path} is the key of another user of this machine: join under a name of your own, with "
                "`gitcoord init --agent NAME`"
            ) from None
        if os.name != "nt" and mode & 0o077:
            raise Refused(
                f"{path} can be read by others, so it is not used: run `gitcoord doctor --fix`, which makes "
                "it private, and `gitcoord agent rekey` if somebody may have read it. If the file system has no "
                "permissions, set GITCOORD_KEY instead"
            )
        return data
