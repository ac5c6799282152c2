"""Errors, named for whose fault they are. Each message says what happened and what to do next.

The command line makes exit codes from them in one place (`gitcoord.cli.main`).
"""

from __future__ import annotations


class GitcoordError(Exception):
    """A failure that is reported to a user. `exit_code` is the exit code of the command line."""

    exit_code = 1


class Refused(GitcoordError):
    """The caller asked for something impossible: wrong arguments, too large, not allowed."""

    exit_code = 2


class Lost(GitcoordError):
    """Somebody else was first: a claim, an election, or a second run of one agent."""

    exit_code = 3


class NoEffect(Lost):
    """The event is in the ledger, and changed nothing; the message says why."""


class NotConfirmed(GitcoordError):
    """The event is safe on the local disk, but did not reach the requested level in time."""

    exit_code = 4


class Unreachable(GitcoordError):
    """The remote did not answer. Queued events are pushed as soon as it does."""

    exit_code = 4


class BadCredentials(GitcoordError):
    """The remote rejected our credentials."""

    exit_code = 5


class Denied(GitcoordError):
    """The remote denied the request: permission, a hook, a protected ref."""

    exit_code = 1


class Moved(Denied):
    """The fleet moved to another remote. What is written waits in the queue until this clone follows."""


class Corrupt(GitcoordError):
    """Data on the disk or on the remote differs from what gitcoord wrote."""

    exit_code = 6


class ForeignLedger(Corrupt):
    """The ledger's branch has something else than the ledger of the fleet that this clone belongs to."""


class Oversized(Corrupt):
    """An object is larger than any that gitcoord writes for its purpose. It was not read."""


class Paused(GitcoordError):
    """Writing to the local disk failed. Nothing more is tried until somebody runs `gitcoord resume`."""

    exit_code = 1
