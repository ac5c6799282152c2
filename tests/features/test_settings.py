"""Settings: everyone goes by the same ones, from their place in the log on; nonsense changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcoord.core import limits
from gitcoord.core.errors import Refused
from gitcoord.features import settings
from gitcoord.features.settings import Settings, changed, election_delay_factor
from tests.core.lines import Story

DEFAULT = Settings.model_validate({})

INTEGERS = st.integers(-limits.INTEGER_MAX, limits.INTEGER_MAX)


def settings_of(story: Story) -> Settings:
    value: Settings = story.fleet.states["settings"].settings
    return value


def test_a_setting_holds_from_its_event_on_and_null_takes_it_back() -> None:
    story = Story().founded()
    assert settings_of(story).recent == 3
    story.say("alice", "config_changed", data={"set": {"recent": 5, "heartbeats": "log"}})
    assert (settings_of(story).recent, settings_of(story).heartbeats) == (5, "log")
    story.say("alice", "config_changed", data={"set": {"recent": None}})
    assert (settings_of(story).recent, settings_of(story).heartbeats) == (3, "log")


def test_what_is_wrong_is_left_out_and_the_rest_counts() -> None:
    story = Story().founded()
    values = {"recent": 0, "unknown": 1, "heartbeats": "log", "profile": "fast", "leaders": ["../x"]}
    void = story.say("alice", "config_changed", data={"set": values}).void
    assert void is None or "NUL" in void
    assert settings_of(story) == changed(DEFAULT, "heartbeats", "log")


def test_a_stranger_changes_nothing() -> None:
    story = Story().founded()
    story.say("mallory", "config_changed", data={"set": {"recent": 5}})
    assert settings_of(story) == DEFAULT


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("unknown", 1, "no setting 'unknown'; there are: recent, "),
        ("recent", 0, "recent: "),
        ("recent", 101, "recent: "),
        ("recent", "many", "recent: "),
        ("profile", "fast", "profile: "),
        ("heartbeats", "loud", "heartbeats: "),
        ("leaders", ["a/b"], "'a/b' is not an agent id"),
        ("leaders", "alice", "leaders: "),
        ("review_weights", {"bob": -1}, "greater than or equal to 0"),
        ("review_weights", {"a/b": 1}, "is not an agent id"),
        ("review_owners", {"../x": ["bob"]}, "not a path inside"),
        ("review_owners", {"src/**": []}, "at least 1 item"),
        ("review_labels", [""], "at least 1 character"),
        ("review_quorum", -1, "review_quorum: "),
        ("headings", {"question": "<b>"}, "headings: "),
        ("headings", {"No": "x"}, "headings: "),
    ],
)
def test_a_wrong_value_is_refused_with_the_reason(name: str, value: Any, words: str) -> None:
    with pytest.raises(Refused, match=words.replace(".", r"\.")):
        changed(DEFAULT, name, value)


def test_changing_one_leaves_the_others_and_the_original_alone() -> None:
    one = changed(DEFAULT, "recent", 5)
    both = changed(one, "leaders", ["alice"])
    assert (both.recent, both.leaders, one.leaders, DEFAULT.recent) == (5, ["alice"], [], 3)
    assert changed(changed(both, "recent", None), "leaders", None) == DEFAULT


def test_without_a_list_everyone_may_lead_and_with_one_those_in_it_in_any_case() -> None:
    story = Story().founded()
    assert election_delay_factor(story.fleet, "bob") == 1.0
    story.say("alice", "config_changed", data={"set": {"leaders": ["Alice"]}})
    assert election_delay_factor(story.fleet, "alice") == 0.0 and election_delay_factor(story.fleet, "bob") is None


def test_of_those_who_may_lead_the_first_waits_least() -> None:
    story = Story().founded()
    story.say("alice", "config_changed", data={"set": {"leaders": ["bob", "alice"]}})
    assert [election_delay_factor(story.fleet, agent) for agent in ("bob", "alice")] == [0.0, 0.5]


@given(
    st.dictionaries(
        st.sampled_from([*Settings.model_fields, "other"]),
        st.none()
        | INTEGERS
        | st.text(max_size=9)
        | st.lists(st.text(max_size=9), max_size=2)
        | st.sampled_from(["lan", "log", "closed", 7]),
    )
)
def test_a_fold_never_fails_and_its_state_survives_the_disk(values: dict[str, Any]) -> None:
    story = Story().founded()
    void = story.say("alice", "config_changed", data={"set": values}).void
    assert void is None or "NUL" in void
    state = story.fleet.states["settings"]
    assert settings.load(settings.dump(state)) == state
    assert Settings.model_validate(settings_of(story).model_dump()) == settings_of(story)
