"""Features: what agents do together, such as tasks and messages. They are pure, and listed by hand below."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitcoord.core.feature import Feature

LISTED: dict[str, dict[str, str]] = {
    # a module of this package, in the order of folding: the words that it adds to the command line
    "next": {"next": "Show what to do now: messages, what you hold, conflicts, the best tasks"},
    "board": {"board": "Show who does what, on which branch, since when"},
    "conversation": {},
    "settings": {},
    "health": {},
    "reservations": {
        "reserve": "Reserve paths, to keep other agents out of them",
        "release": "Give reserved paths back",
        "reservations": "List reserved paths and their holders",
    },
    "conflicts": {"conflict": "Find branches that conflict, and mark conflicts as settled"},
    "agents": {"agent": "Run, register, list and admit agents"},
    "tasks": {"task": "Create, claim, finish and release tasks", "ready": "List tasks to claim, most urgent first"},
    "messages": {
        "message": "Send messages, reply to them, and see who read them",
        "inbox": "List your unread messages, oldest first",
    },
    "directives": {"directive": "Give orders to agents, and follow their progress"},
    "workflows": {"workflow": "Run graphs of tasks that outlive their agents"},
    "autonomy": {"autonomy": "Set how much the leader decides alone; approve or reject its proposals"},
    "recovery": {"recovery": "List agent failures and how they were handled"},
    "alerts": {"alerts": "List alerts to people, sent and unsent"},
    "issues": {},
    "reviews": {"review": "Request reviews of pull requests, vote, and post the fleet's verdict on GitHub"},
}

OWN_EVENTS = frozenset(
    """
    admission_changed agent_admitted agent_departed agent_exited agent_expelled agent_joined agent_left agent_lost
    agent_muted agent_registered agent_restarted agent_returned agent_status_changed agent_suspected agent_unmuted
    agent_unregistered alert_sent autonomy_changed backup_activated circuit_closed circuit_half_opened
    circuit_opened config_changed conflict_closed conflict_found directive_acknowledged directive_done
    directive_escalated directive_failed directive_issued directive_reassigned directive_withdrawn escalated
    fleet_arrived fleet_degraded fleet_founded fleet_moved github_claimed github_confirmed issue_updated
    key_changed key_revoked
    leader_election leader_renewed leader_resigned message messages_acknowledged messages_read paths_released
    paths_reserved proposal_approved proposal_lapsed proposal_made proposal_rejected recovery_failed
    recovery_started request_lapsed restart_requested review_posted review_requested review_stale role_changed
    sight_doubted task_accepted task_assigned task_cancelled task_claimed task_created task_failed task_finished
    task_commented task_edited task_input_requested task_labelled task_overdue task_progressed task_reassigned
    task_released task_reopened task_started vote_cast work_redistributed
    workflow_automated workflow_defined workflow_finished workflow_started workflow_step_ended workflow_step_skipped
    workflow_stopped
    """.split()
)
"""The types of events that features and the core write: by name, so that a check of a type imports no feature."""


class Features(Mapping[str, "Feature"]):
    """The modules listed above, imported when first asked for: a command that only shows help needs none of them."""

    def __getitem__(self, name: str) -> Feature:
        if name not in LISTED:
            raise KeyError(name)
        feature: Feature = importlib.import_module(f"gitcoord.features.{name}")
        return feature

    def __iter__(self) -> Iterator[str]:
        return iter(LISTED)

    def __len__(self) -> int:
        return len(LISTED)


FEATURES = Features()
