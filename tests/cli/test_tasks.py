"""Tasks on the command line: two clones that claim one, what comes of it, and waiting until it is done."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.cli.clones import Clone
from tests.waiting import WAIT_S, wait_until


def create(clone: Clone, title: str, *options: str) -> str:
    return str(clone("task", "create", title, *options, "--json").json()["ids"][0])


def test_of_two_clones_that_claim_a_task_at_once_one_has_it_and_the_other_knows_who(alice: Clone, bob: Clone) -> None:
    uid = create(alice, "Mend the parser")
    bob("sync")
    claims = [clone.start("task", "claim", uid[:8]) for clone in (alice, bob)]
    outcomes = [(claim.communicate(timeout=WAIT_S), claim.returncode) for claim in claims]
    assert sorted(code for _, code in outcomes) == [0, 3], outcomes
    winner = ("alice", "bob")[[code for _, code in outcomes].index(0)]
    told = next(err for (_, err), code in outcomes if code == 3)
    loser = {"alice": "bob", "bob": "alice"}[winner]
    assert told.startswith(f"gitcoord: \"{loser} claims 'Mend the parser'\" has no effect: {winner} has it (accepted, ")
    assert told.count("\n") == 1
    for clone in (alice, bob):
        clone("sync")
        assert clone("task", "show", uid, "--json").json()["agent"] == winner


def test_work_that_is_done_offline_by_two_counts_once(alice: Clone, bob: Clone) -> None:
    """bob cannot be heard when his claim is lost; what he says of it later changes nothing."""
    uid = create(alice, "Mend the parser")
    bob("sync")
    with bob.outage():
        assert "not sequenced" in bob("task", "claim", uid, "--timeout", "0.2", code=4).err
    alice("task", "claim", uid)
    bob("sync")
    assert "bob does not have" in bob("task", "finish", uid, code=2).err
    alice("task", "finish", uid, "mine")
    bob("sync")
    shown = bob("task", "show", uid, "--json").json()
    assert (shown["status"], shown["agent"], shown["result"]) == ("done", "alice", "mine")


def test_a_result_of_an_attempt_that_is_over_is_recorded_and_ends_with_3(alice: Clone, bob: Clone) -> None:
    uid = create(alice, "Mend the parser")
    alice("task", "claim", uid)
    alice("task", "release", uid, "going home")
    bob("sync")
    bob("task", "claim", uid)
    late = alice("task", "finish", uid, "too late", code=3)
    assert "has no effect: attempt 1 is over (released): bob has it" in late.err
    assert "too late" not in alice("task", "show", uid).out
    assert alice("task", "show", uid, "--json").json()["attempts"][0]["late"].startswith("finished at")


def test_a_task_that_nobody_can_do_is_opened_with_a_warning(alice: Clone) -> None:
    made = alice("task", "create", "Mend", "--needs", "cobol")
    assert "Mend" in made.out and made.err.startswith("gitcoord: no agent can 'cobol'")
    alice("agent", "register", "--capabilities", "cobol")
    assert alice("task", "create", "Mend", "--needs", "cobol", "--again").err == ""


def test_a_text_comes_from_standard_input_and_nothing_is_written_for_a_dry_run(alice: Clone) -> None:
    made = alice("task", "create", "Mend", "--body", "-", "--json", stdin=b"All of it\n").json()["task"]
    assert made["status"] == "ready"
    dry = alice("task", "claim", made["id"], "--dry-run", "--json").json()
    assert dry["dry_run"] and [event["type"] for event in dry["events"]] == ["task_claimed"]
    assert alice("task", "show", made["id"], "--json").json()["status"] == "ready"
    claimed = alice("task", "claim", made["id"], "--json").json()["task"]
    assert claimed["body"].strip() == "All of it" and claimed["status"] == "accepted"  # all that its agent needs


def test_words_of_a_choice_may_be_small_and_lists_may_have_commas(alice: Clone) -> None:
    made = alice(
        "task", "create", "x", "--priority", "high", "--needs", "Python,backend", "--time-limit", "10m", "--json"
    ).json()["task"]
    assert (made["priority"], made["needs"], made["timeout_s"]) == ("HIGH", ["python", "backend"], 600)


# Waiting


def test_waiting_ends_when_it_is_so(alice: Clone, bob: Clone) -> None:
    uid = create(alice, "Mend the parser")
    alice("task", "claim", uid)
    waiting = bob.start("wait", "--for", f"task {uid[:8]} done", "--for", "event note", "--timeout", "60", "--json")
    alice("task", "finish", uid)
    _say_until_it_ends(alice, waiting)
    out, err = waiting.communicate(timeout=WAIT_S)
    assert waiting.returncode == 0, err
    first, second = (json.loads(line) for line in out.splitlines())
    assert first["for"] == f"task {uid[:8]} done" and "it is done, by alice" in first["because"]
    assert second["schema"] == "gitcoord.wait/1" and second["because"].startswith("note ")


def _say_until_it_ends(clone: Clone, waiting: subprocess.Popen[str]) -> None:
    def said() -> bool:
        clone("append", "note", "x", "--wait", "sequenced")
        return waiting.poll() is not None

    wait_until(said, what="the next note to be seen")


def test_waiting_tells_what_is_not_so_and_what_can_never_be(alice: Clone, bob: Clone) -> None:
    uid = create(alice, "Mend the parser")
    late = alice("wait", "--for", f"task {uid} done", "--timeout", "0.2", code=4)
    assert late.err == f"gitcoord: 'task {uid} done' was not met within 0.2 s: task {uid[:8]}: it is ready\n"
    bob("sync")
    alice("task", "cancel", uid, "not needed")
    never = alice("wait", "--for", f"task {uid} done", "--timeout", "60", code=1)
    assert "can never be" in never.err and "was cancelled (not needed)" in never.err
    assert alice("wait", "--for", f"task {uid} over", "--for", "agent bob joined").out.count("\n") == 2


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "task", "task x done", "task 3 finished", "agent bob", "message 3 read", "event", "event No!"],
)
def test_what_is_no_condition_is_refused(text: str, alice: Clone) -> None:
    assert alice("wait", "--for", text, "--timeout", "1", code=2).err.startswith("gitcoord: ")


def test_waiting_beside_an_agent_that_leads(alice: Clone) -> None:
    runner = alice.start("agent", "run", "--quiet")
    try:
        assert "alice leads" in alice("wait", "--for", "leader alice", "--timeout", "60").out
        assert "alice is alive" in alice("wait", "--for", "agent alice alive", "--timeout", "60").out
    finally:
        runner.terminate()
        runner.communicate(timeout=WAIT_S)


def test_a_retry_of_a_command_that_was_killed_in_an_outage_makes_no_second_task(alice: Clone) -> None:
    """The first one is queued when its harness ends it; without a key its author is asked, with a key nothing is."""
    with alice.outage():
        for options in ([], ["--key", "fix-1"]):
            title = f"Mend the parser {len(options)}"
            alice("task", "create", title, *options, "--timeout", "0.2", code=4)
            told = alice("task", "create", title, *options, "--timeout", "0.2", code=2).err
            assert "add --again" in told or "is queued already" in told
    alice("sync")
    again = alice("task", "create", "Mend the parser 2", "--key", "fix-1")
    assert again.out.startswith("nothing to do: ") and "Mend the parser 2 is ready" in again.out
    assert len(alice("ready", "--json").json()["items"]) == 2


def test_a_file_of_tasks_is_created_by_one_command(alice: Clone) -> None:
    (alice.path / "plan.md").write_text("- [ ] Fix the lexer\n- [ ] Fix the parser\n- [x] done\n", "utf-8")
    made = alice("task", "create", "--from", "plan.md", "--json").json()
    assert len(made["ids"]) == 2
    assert [one["title"] for one in alice("ready", "--json").json()["items"]] == ["Fix the lexer", "Fix the parser"]
    (alice.path / "plan.md").write_text("- [ ] Fine\n- [ ] " + "x" * 300, "utf-8")
    assert "line 2: title: " in alice("task", "create", "--from", "plan.md", code=2).err
    assert len(alice("task", "list", "--json").json()["items"]) == 2
