"""The sync loop: rounds one after the other, retried during an outage, and slowed down while a person has to fix
something."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import filelock
import tenacity

from gitcoord.core.errors import (
    BadCredentials,
    Corrupt,
    Denied,
    GitcoordError,
    Lost,
    Moved,
    Paused,
    Refused,
    Unreachable,
)
from gitcoord.core.names import uid_from
from gitcoord.core.round.results import Report
from gitcoord.node.agent.round_schedule import RoundSchedule
from gitcoord.node.clock import since_boot_s
from gitcoord.node.guards import describe_error
from gitcoord.node.node import Node
from gitcoord.node.operations.status import OUTAGE
from gitcoord.node.shutdown import StopFlag
from gitcoord.store.home.locks import LockHeld

ATTEMPTS = 6  # one try, and five retries; then the node is offline
PAUSED_CHECK_S = 1.0
KINDS = {Moved: "moved", BadCredentials: "credentials", Denied: "refused", Paused: "paused", Corrupt: "damaged"}


@dataclass(slots=True)
class SyncLoop:
    """The rounds of one process, and how they have been going."""

    node: Node
    agent: str  # the agent that reports an outage
    say: Callable[[str, str], None]
    stop: StopFlag
    schedule: RoundSchedule
    offline: bool = False
    paused: bool = False
    trouble: GitcoordError | None = None  # of the last round
    _held: tuple[str, str] | None = None  # kind and message of what a person may have to fix

    def first(self, *, wait_for_credentials: bool) -> None:
        """Do the first round. Raise BadCredentials unless `wait_for_credentials`, and Refused or Denied in any case.

        An outage, damage, a busy lock or a fleet that moved does not end the start. Another fleet's ledger on the
        remote does not either: otherwise anybody who may push could keep all agents from starting.
        """
        try:
            self.node.sync(tick=False)
        except Unreachable as wrong:
            self.say("unreachable", f"{wrong}; starting all the same, events are queued")
        except Corrupt as wrong:
            self.say("damaged", f"{wrong}; starting all the same, events are queued")
        except Moved as wrong:
            self.say("moved", f"{wrong}; starting all the same")
        except BadCredentials as wrong:
            if not wait_for_credentials:
                raise
            self.say("credentials", f"{wrong}; waiting for new ones, events are queued")
        except (Lost, LockHeld):
            pass
        except GitcoordError:
            raise
        except Exception as wrong:  # caused by the ledger's content: the following rounds report more
            self.say("part_failed", f"the first round: {describe_error(wrong)}")

    def one(self) -> Report | None:
        """Do one round and return its report; None if it failed. Raise Refused only if this clone left the fleet."""
        try:
            report = self._with_retries() if not self.offline else self.node.sync()
        except Unreachable as wrong:
            self._went_offline(wrong)
        except (filelock.Timeout, Lost) as wrong:
            self._slow_down(1.0)  # others are busy, and push our queued events along with theirs
            self.trouble = Lost(str(wrong))
        except Exception as wrong:
            self.failed(wrong)
        else:
            self._went_well()
            return report
        return None

    def failed(self, wrong: Exception) -> None:
        """Report a failed round and go on at a capped pace. Raise Refused if this clone left the fleet."""
        if isinstance(wrong, Refused) and not (self.node.home.exists and self.node.home.queue.exists):
            raise wrong
        self._hold(
            wrong
            if isinstance(wrong, GitcoordError)
            else GitcoordError(f"{describe_error(wrong)}; the round is retried, and acknowledged events are safe")
        )

    def _with_retries(self) -> Report:
        profile = self.node.local.profile
        retrying = tenacity.Retrying(
            stop=lambda state: state.attempt_number >= ATTEMPTS or self.stop.is_set(),
            wait=tenacity.wait_random_exponential(multiplier=profile.retry_s, max=profile.probe_s),
            retry=tenacity.retry_if_exception_type(Unreachable),
            reraise=True,
            sleep=self.node.pause,
            before_sleep=lambda state: self.node.local.watch.discard_interval(),
        )
        report: Report = retrying(self.node.sync)
        return report

    def _went_offline(self, wrong: Unreachable) -> None:
        """Write an `error` event and one message after the fifth retry. Then queue events and probe at a capped
        pace."""
        self.trouble = wrong
        self._slow_down(self.node.local.profile.probe_s)
        if self.offline or self.stop.is_set():
            return
        self.offline = True
        node = self.node
        # All processes of a node give the event of one outage the same nonce: the first that notices it reports it.
        outage = uid_from(hashlib.sha256(f"offline {node.disk.node} {node.home.tip}".encode()).digest())
        with contextlib.suppress(GitcoordError):
            if not any(event.type == "error" and event.nonce == outage for event in node.disk.pending()):
                words = f"{OUTAGE}{ATTEMPTS - 1} retries: {wrong}"
                node.append(node.draft("error", words, actor=self.agent, uid=outage))
        self.say("offline", f"offline: {wrong}; events are queued, and pushed when the remote answers")

    def _hold(self, wrong: GitcoordError) -> None:
        """Report once what a person may have to fix, and retry at a capped pace."""
        self.trouble = wrong
        self.offline = False
        self.paused = isinstance(wrong, Paused)
        self._slow_down(PAUSED_CHECK_S if self.paused else self.node.local.profile.probe_s)
        kind = next((word for error, word in KINDS.items() if isinstance(wrong, error)), "error")
        if self._held is None or self._held[0] != kind:
            self._held = (kind, str(wrong))
            self.say(kind, str(wrong))

    def _slow_down(self, pace_s: float) -> None:
        self.node.local.watch.discard_interval()
        self.schedule.not_before_s = since_boot_s() + pace_s

    def _went_well(self) -> None:
        if self.offline:
            self.say("online", "online again")
        elif self._held is not None:
            self.say("resumed", f"{self._held[0]}: resolved, going on")
        self.offline = self.paused = False
        self._held = self.trouble = None
        self.schedule.not_before_s = 0.0
