"""Health: the newest errors and the newest lines without effect, within bounds."""

from __future__ import annotations

from gitcoord.features import health
from gitcoord.features.health import SHOWN_MAX, State
from tests.core.lines import Story


def health_of(story: Story) -> State:
    state: State = story.fleet.states["health"]
    return state


def test_errors_are_kept_with_who_and_where() -> None:
    story = Story().founded()
    story.say("alice", "note", "fine")
    story.say("alice", "error", "the disk is full")
    [error] = health_of(story).errors
    assert (error.position, error.actor, error.text) == (3, "alice", "the disk is full")
    assert health_of(story).void == []


def test_a_line_without_effect_is_kept_with_the_reason_and_is_no_error() -> None:
    story = Story().founded()
    story.say("mallory", "error", "believe me")
    [finding] = health_of(story).void
    assert (finding.position, finding.actor, finding.text) == (2, "mallory", "error: mallory has not joined")
    assert health_of(story).errors == []


def test_only_the_newest_are_kept_and_all_are_counted() -> None:
    story = Story().founded()
    for number in range(SHOWN_MAX + 5):
        story.say("alice", "error", f"{number}")
        story.say("mallory", "note")
    state = health_of(story)
    assert [one.text for one in state.errors] == [f"{number}" for number in range(5, SHOWN_MAX + 5)]
    assert len(state.void) == SHOWN_MAX and (state.errors_total, state.void_total) == (SHOWN_MAX + 5,) * 2
    assert health.load(health.dump(state)) == state


def test_a_long_error_is_cut_in_the_state_not_in_the_log() -> None:
    story = Story().founded()
    event = story.say("alice", "error", "x" * 5000).event
    assert len(health_of(story).errors[0].text) == 500 and len(event.content) == 5000
