"""Reviews: agents vote on pull requests, a reviewer posts the verdict on GitHub, and a later push makes both stale.

The fold cannot ask GitHub. So a vote is for the commit that its author names, and does not count for a later one. A
vote without a commit does not count: no other event says which commit its author has seen.
"""

from __future__ import annotations

from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fold.membership import stripped
from gitcoord.core.format.event import Event
from gitcoord.features.reviews import commands, events
from gitcoord.features.reviews.events import PullRequestEvent, ReviewPosted, ReviewRequested, ReviewStale, VoteCast
from gitcoord.features.reviews.state import Posted, Pull, State, Vote, key

PULLS_MAX = 1000  # those without an event for the longest time are forgotten
PULLS_OF_ONE_MAX = 200  # per author of the first event about a pull request
VOTES_MAX = 200  # on one pull request

EVENTS = events.EVENTS
AUTHORITY = events.AUTHORITY
COMMANDS = commands.COMMANDS


def fold(state: State, sequenced: SequencedEvent) -> str | None:
    gone = stripped(sequenced.payload)
    if sequenced.void is None and gone is not None:
        for pull in state.pulls.values():
            pull.votes.pop(gone.casefold(), None)
    if sequenced.void is not None or sequenced.event.type not in EVENTS:
        return None
    match sequenced.payload:
        case VoteCast() as vote:
            return _vote(_pull(state, sequenced.event, vote), sequenced.event, vote)
        case ReviewRequested() as request:
            _pull(state, sequenced.event, request).requested = sequenced.event.timestamp
        case ReviewPosted() as posted:
            return _post(_pull(state, sequenced.event, posted), sequenced.event, posted)
        case ReviewStale() as stale:
            return _outdate(_pull(state, sequenced.event, stale), stale)
    return None


def _pull(state: State, event: Event, about: PullRequestEvent) -> Pull:
    name = key(about.repo, about.pr)
    found = state.pulls.pop(name, None) or Pull(event.uid, about.repo, about.pr, event.actor)
    state.pulls[name] = found
    mine = [one for one, pull in state.pulls.items() if pull.by == found.by] if not found.votes else []
    for one in mine[:-PULLS_OF_ONE_MAX]:
        del state.pulls[one]
    while len(state.pulls) > PULLS_MAX:
        del state.pulls[next(iter(state.pulls))]
    return found


def _vote(pull: Pull, event: Event, vote: VoteCast) -> str | None:
    voter = event.actor.casefold()
    known = pull.votes.get(voter)
    if known is None and len(pull.votes) >= VOTES_MAX:
        return f"{VOTES_MAX} agents have voted on {pull.name} already"
    if known is not None and (known.verdict, known.why, known.commit) == (vote.verdict, vote.why, vote.commit):
        return f"{known.agent} has cast the same vote already"
    pull.votes[voter] = Vote(event.actor, vote.verdict, vote.why, vote.commit, event.timestamp)
    return None


def _post(pull: Pull, event: Event, posted: ReviewPosted) -> str | None:
    known = pull.review
    pull.requested = ""
    if known is not None and (known.verdict, known.commit, known.url, known.findings) == (
        posted.verdict,
        posted.commit,
        posted.url,
        posted.findings,
    ):
        return f"{known.by} has posted the same review already"
    pull.review = Posted(posted.verdict, posted.commit, posted.url, event.actor, event.timestamp, posted.findings)
    return None


def _outdate(pull: Pull, stale: ReviewStale) -> str | None:
    if pull.review is None or pull.review.commit != stale.commit:
        return "the newest review is not of that commit"
    if pull.review.stale == stale.head:
        return "this is known already"
    pull.review.stale = stale.head
    return None
