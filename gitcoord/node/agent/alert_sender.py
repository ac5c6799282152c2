"""Alerts: the leader notifies people by mail, chat or webhook; `alert_sent` records it.

Only this node knows the addresses (`GITCOORD_ALERTS`, in apprise's format), because they hold tokens and passwords.
A leader without addresses leaves waiting alerts to its successor. If a leader is killed between the message and its
record, its successor sends the message again: twice is better than never.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gitcoord.core.commands import Context
from gitcoord.core.errors import GitcoordError
from gitcoord.core.text import count
from gitcoord.features import alerts
from gitcoord.features.alerts import Alert
from gitcoord.node.clock import since_boot_s, utc_now
from gitcoord.node.node import Node

VARIABLE = "GITCOORD_ALERTS"
RETRY_S = (2.0, 300.0)  # the first pause after a failure, and the longest: it doubles in between
ATTEMPTS = 5  # for an address, if another address has accepted the alert
END_S = 5.0  # how long a message that is being sent may delay the end of the process


def addresses(environ: Mapping[str, str]) -> list[str]:
    """Return the addresses in `GITCOORD_ALERTS`, which are separated by spaces."""
    return environ.get(VARIABLE, "").split()


@dataclass(slots=True)
class _Message:
    """A batch of alerts that is being sent. A retry sends the same text."""

    alerts: list[Alert]
    title: str
    text: str
    remaining: list[int]  # indices of the addresses that have not accepted it yet
    attempts: int = 0
    failed: list[int] = field(default_factory=list)
    thread: threading.Thread | None = None


class AlertSender:
    """The messages of one process. `agent run` calls it between two rounds."""

    agent = ""  # it belongs to no single agent

    def __init__(self, node: Node, urls: Sequence[str], *, say: Callable[[str, str], None]) -> None:
        self.node = node
        self.say = say
        self._senders = _senders(urls, say)
        self._message: _Message | None = None
        self._not_before_s = 0.0

    @property
    def busy(self) -> bool:
        return self._message is not None and self._message.thread is not None

    def is_due(self, now_s: float) -> bool:
        """Return whether `step` has something to do although no round brought news."""
        return self.busy and self._has_ended()

    def step(self, now_s: float) -> bool:
        """Send what is due if an agent of this process leads, or record what was sent. Return True if anything was
        done."""
        if self.busy:
            return self._has_ended() and self._conclude(now_s)
        local, terms = self.node.local, self.node.fleet.terms
        lead = local.leading(terms)
        wanted = self._wanted() if lead is not None and now_s >= self._not_before_s else None
        local.lease.wanted = wanted is not None
        if wanted is None or not local.holds_lease(terms, since_boot_s()):
            return False
        self._message = wanted
        wanted.failed = []
        wanted.thread = threading.Thread(target=self._send, args=(wanted,), daemon=True)
        wanted.thread.start()
        return True

    def ask_to_end(self) -> None:
        """Do nothing: `end` waits for the message, which takes seconds."""

    def end(self) -> None:
        """Wait up to END_S for the message that is being sent, so that the next leader does not send it again."""
        self.node.local.lease.wanted = False
        if self._message is not None and self._message.thread is not None:
            self._message.thread.join(END_S)
            if self._has_ended():
                self._conclude(float("inf"))

    def _wanted(self) -> _Message | None:
        """Return the message to send; None if there is none. A message that an address has not accepted is sent again,
        unless another leader has recorded it meanwhile."""
        if not self._senders:
            return None
        waiting = self.node.fleet.states["alerts"].waiting
        if self._message is not None and any(one.id in waiting for one in self._message.alerts):
            return self._message
        self._message = None
        fleet = self.node.fleet
        due = alerts.due(Context(fleet, utc_now(), seen_s=self.node.replica.seen_s))
        if not due or any(event.type == "alert_sent" for event in self.node.disk.pending()):
            return None  # recorded already, but not sequenced yet
        return _Message(due, *alerts.message(due, fleet.id or ""), remaining=list(range(len(self._senders))))

    def _send(self, message: _Message) -> None:
        """Send the message and note which addresses failed. This runs in a thread, because an address may be slow."""
        for number in message.remaining:
            try:
                taken = self._senders[number](message.title, message.text)
            except Exception:  # apprise may raise anything; the text is not shown, because it may hold the address
                taken = False
            if not taken:
                message.failed.append(number)

    def _has_ended(self) -> bool:
        thread = self._message.thread if self._message is not None else None
        return thread is not None and not thread.is_alive()

    def _conclude(self, now_s: float) -> bool:
        message = self._message
        assert message is not None
        message.thread, message.remaining, message.attempts = None, message.failed, message.attempts + 1
        reached = len(self._senders) - len(message.remaining)
        if message.remaining:
            self.say(
                "alert_failed",
                f"{len(message.remaining)} of {len(self._senders)} addresses in {VARIABLE} did not accept an alert "
                f"(attempt {message.attempts}): check the addresses and their services",
            )
        if message.remaining and (not reached or message.attempts < ATTEMPTS):
            self._not_before_s = now_s + min(RETRY_S[0] * 2 ** min(message.attempts - 1, 20), RETRY_S[1])
            return False
        try:
            self._record(message, reached)
        except GitcoordError as wrong:  # the disk or a lock failed: the alert was sent, and is recorded later
            self._not_before_s, message.remaining = now_s + RETRY_S[0], []
            self.say("alert_waits", f"an alert was sent, but it cannot be recorded yet: {wrong}")
            return False
        self._message = None
        return True

    def _record(self, message: _Message, reached: int) -> None:
        terms = self.node.fleet.terms
        lead = self.node.local.leading(terms)
        if lead is None:
            self.say(
                "alert",
                f"alert sent: {message.title}. This agent lost the leadership meanwhile: the next leader may send "
                "the alert again",
            )
            return
        self.node.append(
            self.node.draft(
                "alert_sent",
                f"people were alerted to {count(len(message.alerts), 'event')}",
                actor=lead.agent,
                re=message.alerts[0].id,
                term=terms.term,
                data={"events": [one.id for one in message.alerts], "addresses": reached},
            )
        )
        self.say("alert", f"alert sent: {message.title}")


def _senders(urls: Sequence[str], say: Callable[[str, str], None]) -> list[Callable[[str, str], bool]]:
    """Return a function for each valid address. It sends a title and a text, and returns whether they were accepted."""
    if not urls:
        return []
    try:
        import apprise
    except ImportError:
        say("alerts", f"{VARIABLE} is set, but apprise is not installed: pip install 'gitcoord[alerts]'")
        return []
    logging.getLogger("apprise").addHandler(logging.NullHandler())  # its warnings name the address
    senders: list[Callable[[str, str], bool]] = []
    for number, url in enumerate(urls, start=1):
        one = apprise.Apprise()
        if one.add(url):
            senders.append(_sender(one.notify))
        else:
            say("alerts", f"address {number} in {VARIABLE} has no format that apprise knows: see apprise's services")
    return senders


def _sender(notify: Callable[..., object]) -> Callable[[str, str], bool]:
    return lambda title, text: bool(notify(title=title, body=text))
