"""The round schedule: a round is due by the clock, or as soon as the queue has changed, within the permitted pace."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class RoundSchedule:
    """The times of a process's next round, in seconds since boot."""

    due_s: float = 0.0
    not_before_s: float = 0.0  # a capped pace while something is wrong, or the push budget is used up
    queue_seen: object = None  # the stamp of the queue that the last round pushed

    def is_due(self, now_s: float, queue: object) -> bool:
        """Return whether to begin a round; `queue` is the stamp that the queue has now."""
        return now_s >= self.not_before_s and (now_s >= self.due_s or queue != self.queue_seen)

    def wake_s(self, end_s: float) -> float:
        """Return the time of the next round if nothing is queued meanwhile, at most `end_s`, the end of the run."""
        return min(max(self.due_s, self.not_before_s), end_s)
