"""Alerts: the leader notifies people by mail, chat or webhook; `alert_sent` records it.

The addresses are known to this node alone (`GITCOORD_ALERTS`, as apprise writes them): they hold tokens and passwords.
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
RETRY_S = (2.0, 300.0)  # after a failure: doubles from the first to the second
ATTEMPTS = 5  # with one address, if another one has taken the alert
END_S = 5.0  # to finish a message when told to stop


def addresses(environ: Mapping[str, str]) -> list[str]:
    """Return the addresses in `GITCOORD_ALERTS`, which are separated by spaces."""
    return environ.get(VARIABLE, "").split()


@dataclass(slots=True)
class _Message:
    """A batch of alerts on its way; it stays as it is until it is sent."""

    alerts: list[Alert]
    title: str
    text: str
    left: list[int]  # addresses that do not have it yet, by number
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
        """Send what is due, if the leader is here; conclude what was sent. Return True if anything was done."""
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
        """Do nothing: a message takes seconds."""

    def end(self) -> None:
        """Wait a little for a message on its way, so that it is not sent again."""
        self.node.local.lease.wanted = False
        if self._message is not None and self._message.thread is not None:
            self._message.thread.join(END_S)
            if self._has_ended():
                self._conclude(float("inf"))

    def _wanted(self) -> _Message | None:
        """Return the message to send: again, if an address has not got it; otherwise what is due. Another leader may
        have sent it."""
        if not self._senders:
            return None
        waiting = self.node.fleet.states["alerts"].waiting
        if self._message is not None and any(one.id in waiting for one in self._message.alerts):
            return self._message
        self._message = None
        fleet = self.node.fleet
        due = alerts.due(Context(fleet, utc_now(), seen_s=self.node.replica.seen_s))
        if not due or any(event.type == "alert_sent" for event in self.node.disk.pending()):
            return None  # sent already, though not sequenced yet
        return _Message(due, *alerts.message(due, fleet.id or ""), left=list(range(len(self._senders))))

    def _send(self, message: _Message) -> None:
        """Send in a thread of its own: an address may take its time."""
        for number in message.left:
            try:
                taken = self._senders[number](message.title, message.text)
            except Exception:  # of a third-party package, which may do anything; its text may hold the address
                taken = False
            if not taken:
                message.failed.append(number)

    def _has_ended(self) -> bool:
        thread = self._message.thread if self._message is not None else None
        return thread is not None and not thread.is_alive()

    def _conclude(self, now_s: float) -> bool:
        message = self._message
        assert message is not None
        message.thread, message.left, message.attempts = None, message.failed, message.attempts + 1
        reached = len(self._senders) - len(message.left)
        if message.left:
            self.say(
                "alert_failed",
                f"{len(message.left)} of {len(self._senders)} addresses of {VARIABLE} did not "
                f"take an alert (attempt {message.attempts})",
            )
        if message.left and (not reached or message.attempts < ATTEMPTS):
            self._not_before_s = now_s + min(RETRY_S[0] * 2 ** min(message.attempts - 1, 20), RETRY_S[1])
            return False
        try:
            self._answer(message, reached)
        except GitcoordError as wrong:  # the disk, or a lock: it was sent, and the record follows later
            self._not_before_s, message.left = now_s + RETRY_S[0], []
            self.say("alert_waits", f"an alert is sent, but that cannot be noted: {wrong}")
            return False
        self._message = None
        return True

    def _answer(self, message: _Message, reached: int) -> None:
        terms = self.node.fleet.terms
        lead = self.node.local.leading(terms)
        if lead is None:
            self.say(
                "alert",
                f"people are told: {message.title}. The leadership ended meanwhile: the next leader may "
                "tell them once more",
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
        self.say("alert", f"people are told: {message.title}")


def _senders(urls: Sequence[str], say: Callable[[str, str], None]) -> list[Callable[[str, str], bool]]:
    """Return a function for each address that sends a title and a text."""
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
            say("alerts", f"address {number} of {VARIABLE} is none that apprise knows: see its list of services")
    return senders


def _sender(notify: Callable[..., object]) -> Callable[[str, str], bool]:
    return lambda title, text: bool(notify(title=title, body=text))
