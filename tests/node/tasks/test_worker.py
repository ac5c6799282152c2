"""Work: a task's command, what it tells and how it ends, and that nothing it does harms the agent or the fleet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import gitcoord
from gitcoord.core.errors import Refused
from gitcoord.core.secret_scan.credentials import OnSecret
from gitcoord.features.tasks.state import OVER, Task
from gitcoord.node.agent.sessions import AgentSessions
from gitcoord.node.node import Node
from gitcoord.node.operations import submit
from gitcoord.node.tasks import attempt, workspace
from gitcoord.node.tasks import worker as work
from gitcoord.node.tasks.worker import TaskWorker, WorkerConfig
from tests.waiting import wait_until

NOW_S = 1000.0
TOP = Path(__file__).resolve().parents[3]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Alice leads, bob is able to do anything in python, both on one node."""
    with gitcoord.join(tmp_path / "alice", agent="alice") as me, gitcoord.join(tmp_path / "alice", agent="bob"):
        seats = AgentSessions(me.node, lambda kind, text: None, lambda: False)
        for agent in ("alice", "bob"):
            seats.take(agent, may_lead=agent == "alice", takeover=False)
        me.node.local.standings = dict  # no `agent run` holds these agents' locks: the ledger's word counts
        act(me.node, "bob", "agent register", capabilities=["python"], slots=4, accept_assignments=True)
        yield me.node


def act(node: Node, actor: str, name: str, **given: Any) -> Any:
    command = submit.named(name)
    assert isinstance(command, submit.Command)
    return submit.act(node, command, given, actor=actor)


def create(node: Node, title: str, **given: Any) -> str:
    """A task that the leader has given to bob."""
    uid: str = act(node, "alice", "task create", title=title, needs=["python"], **given).events[0].uid
    wait_until(lambda: node.sync() and task(node, uid).status == "assigned", what="the leader to assign it")
    return uid


def task(node: Node, uid: str) -> Task:
    found: Task = node.fleet.states["tasks"].tasks[uid]
    return found


def worker(node: Node, words: str, said: list[str] | None = None, **config: Any) -> TaskWorker:
    texts = said if said is not None else []
    return TaskWorker(
        node, "bob", WorkerConfig(words, **config), say=lambda kind, text: texts.append(f"{kind}: {text}")
    )


def done(node: Node, one: TaskWorker, uid: str, now_s: Callable[[], float] = lambda: NOW_S) -> Task:
    """Let it work until the task is over."""

    def ended() -> bool:
        one.step(now_s())
        if not one.busy:
            node.sync()
        return not one.busy and task(node, uid).status in OVER

    wait_until(ended, what="the task to end")
    return task(node, uid)


def test_the_command_gets_the_task_and_what_it_prints_is_the_result(node: Node) -> None:
    uid = create(node, "Mend the parser", body="It trips over tabs", priority="HIGH")
    one = worker(
        node,
        "cat; echo; echo $GITCOORD_TASK_TITLE, attempt $GITCOORD_TASK_ATTEMPT, by $GITCOORD_AGENT; "
        'test "$PWD" -ef "$GITCOORD_TASK_FOLDER" && ls -A | wc -l',
    )
    result = done(node, one, uid)
    first, *lines = result.result.splitlines()
    given = json.loads(first)
    assert (given["id"], given["body"], given["priority"]) == (uid, "It trips over tabs", "HIGH")
    assert [line for line in lines if line.strip()] == ["Mend the parser, attempt 1, by bob", "0"]
    assert result.status == "done" and list((node.home.path / workspace.FOLDER).iterdir()) == []


def test_what_goes_to_standard_error_is_no_part_of_the_result(node: Node) -> None:
    uid = create(node, "Mend it")
    result = done(node, worker(node, "echo a warning >&2; echo 42; echo ::artifact made.txt >&2"), uid)
    assert result.result == "42" and result.artifacts == ["made.txt"]


def test_lines_tell_progress_artifacts_and_questions_and_are_no_result(node: Node) -> None:
    uid = create(node, "Mend it")
    one = worker(
        node,
        "echo ::progress 40% half of it; echo ::artifact src/a.py; echo '::input which tab width?'; "
        "sleep 0.3; echo '::unknown 1'; printf 'no newline'",
    )
    result = done(node, one, uid)
    assert result.artifacts == ["src/a.py"] and result.result == "::unknown 1\nno newline"
    told = {event.type: event for _, event in node.events() if event.re == uid}
    assert {"task_progressed", "task_input_requested", "task_finished"} <= set(told)
    asked = told["task_input_requested"]  # whoever opened the task has it in the inbox
    assert (asked.to, asked.content) == (("alice",), "which tab width?")


@pytest.mark.parametrize(
    "words",
    [
        r"printf 'a\0b\377\355\240\200'",
        r"printf '::artifact a\0b\n::artifact \033[31m\342\200\256x\n'",
        r"printf '::progress 0.5 \0\n::progress nan \0\n::input \0\377\n'; sleep 0.2",
        "for n in $(seq 60); do echo ::artifact a$n; done",
        "head -c 100000 /dev/urandom; head -c 100000 /dev/zero",
        r"printf '\0' >&2; exit 3",
        r"printf '\0' >&2; exit 75",
        "printf '::input '; head -c 4000 /dev/zero",
    ],
)
def test_whatever_bytes_a_command_prints_the_ledger_learns_how_it_ended(node: Node, words: str) -> None:
    """A void outcome would leave the task at work, and its agent's slot in use, forever."""
    uid = create(node, "Mend it", attempts=1)
    one = worker(node, words)
    assert one.step(NOW_S)
    wait_until(lambda: (one.step(NOW_S), not one.busy)[1], what="the command to end")
    node.sync()
    assert task(node, uid).status not in ("running", "assigned", "input-required")
    assert node.fleet.voids.known == {}


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        ("echo why; exit 3", "ready", "its command ended with 3\nwhy"),
        ("echo half a result; echo why >&2; exit 3", "ready", "its command ended with 3\nwhy"),
        ("kill -9 $$", "ready", "killed by signal 9"),
        ("echo not mine; exit 75", "ready", "not mine"),
        ("/no/such/command", "ready", "its command ended with 127"),
    ],
)
def test_how_it_ended_is_the_reason_and_the_task_is_there_for_another(
    node: Node, words: str, status: str, reason: str
) -> None:
    uid = create(node, "Mend it", attempts=5)
    one = worker(node, words)
    one.step(NOW_S)
    one.rest()
    wait_until(lambda: one.step(NOW_S) or not one.busy, what="the command to end")
    node.sync(tick=False)
    assert task(node, uid).status == status and task(node, uid).last.reason.startswith(reason)


def test_a_command_that_takes_too_long_and_ignores_sigterm_is_ended_with_all_that_it_started(node: Node) -> None:
    uid = create(node, "Hang", time_limit=10)
    one = worker(node, "trap '' TERM; sleep 100 & echo $!; wait; sleep 100")
    one.step(NOW_S)
    [running] = one.attempts.values()
    wait_until(lambda: running.output.text, what="the child's number")
    child = int(running.output.text.split()[0])
    one.rest()
    one.step(NOW_S + 10.1)
    assert one.busy and one.is_due(NOW_S + 11)
    one.step(NOW_S + 10.1 + attempt.TERM_S * 2)
    wait_until(lambda: one.step(NOW_S + 20) or not one.busy, what="its end")
    node.sync(tick=False)
    assert task(node, uid).last.reason.startswith("it did not end in 10 s")
    wait_until(
        lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE,
        what="the end of what it started",
    )


def test_a_flood_is_ended_and_its_end_is_kept(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt.Tail, "flood_bytes", 100_000)
    uid = create(node, "Shout", attempts=1)
    one = worker(node, "while :; do printf '%01000d\\n' 7; done")
    result = done(node, one, uid, now_s=iter(range(1000, 10**6)).__next__)
    assert result.status == "failed" and result.last.reason.startswith("it printed without end")
    assert len(result.last.reason) <= 2000


def test_a_secret_in_a_result_is_hidden_and_the_task_is_done(node: Node) -> None:
    node.writer.on_secret = OnSecret.HIDE  # as `agent run` does
    uid = create(node, "Look up the token")
    result = done(node, worker(node, "echo it is ghp_" + "a1B2" * 9), uid)
    assert result.status == "done" and result.result == "it is [hidden]"


def test_a_process_that_it_leaves_behind_is_ended(node: Node) -> None:
    uid = create(node, "Fork and go")
    result = done(node, worker(node, "sleep 100 & echo $!"), uid)
    child = int(result.result)
    wait_until(
        lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE,
        what="the end of what it started",
    )


def test_as_many_at_a_time_as_there_are_slots_the_most_urgent_first(node: Node) -> None:
    uids = [
        create(node, title, priority=priority)
        for title, priority in [("low", "LOW"), ("critical", "CRITICAL"), ("high", "HIGH")]
    ]
    one = worker(node, "sleep 100", slots=2)
    while one.step(NOW_S):
        pass
    assert list(one.attempts) == [uids[1], uids[2]]
    one.end()


def test_a_task_that_is_cancelled_is_stopped_and_its_outcome_is_nobodys(node: Node) -> None:
    uid = create(node, "Wait")
    one = worker(node, "sleep 100")
    one.step(NOW_S)
    act(node, "alice", "task cancel", task=uid)
    wait_until(lambda: one.step(NOW_S) or not one.busy, what="its end")
    node.sync()
    assert task(node, uid).status == "cancelled"
    assert not any(event.type in ("task_failed", "task_finished") for _, event in node.events() if event.re == uid)


def test_told_to_stop_it_gives_back_what_runs(node: Node) -> None:
    uid = create(node, "Wait")
    one = worker(node, "sleep 100")
    one.step(NOW_S)
    one.end()
    node.sync(tick=False)
    assert (task(node, uid).status, task(node, uid).last.outcome) == ("ready", "released")
    assert task(node, uid).last.reason == "bob was told to stop"


def test_a_new_run_ends_what_a_killed_one_left_and_gives_it_back(node: Node, tmp_path: Path) -> None:
    uid = create(node, "Wait")
    one = worker(node, f"echo $$ > {tmp_path}/pid; exec sleep 100")
    one.step(NOW_S)
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), what="its number")
    left = psutil.Process(int((tmp_path / "pid").read_text()))
    other = worker(node, "echo again")  # as after SIGKILL: the first one says nothing more
    wait_until(lambda: not left.is_running() or left.status() == psutil.STATUS_ZOMBIE, what="the end of what was left")
    result = done(node, other, uid)
    assert (result.status, result.attempt, result.result) == ("done", 2, "again")
    assert result.attempts[0].reason == "its agent ended in the middle of it"
    one.attempts[uid].command.end()  # its process, which nobody waited for


def test_an_attempt_that_was_perhaps_begun_is_not_begun_again(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power goes just when the command has started, before its process is written down."""
    uid = create(node, "Once")
    real = work.attempt.start

    def start(*words: Any, **more: Any) -> Any:
        begun.append(real(*words, **more))
        raise KeyboardInterrupt

    begun: list[attempt.RunningAttempt] = []
    monkeypatch.setattr(work.attempt, "start", start)
    with pytest.raises(KeyboardInterrupt):
        worker(node, "exec sleep 600").step(NOW_S)
    monkeypatch.undo()
    two = worker(node, f"touch {tmp_path}/again")
    wait_until(lambda: begun[0].command.code is not None, what="the first one's command to be ended")
    two.step(NOW_S)
    node.sync()
    assert not two.busy and task(node, uid).attempts[0].outcome == "released"


def test_what_is_told_but_has_not_left_this_disk_is_not_done_again(node: Node) -> None:
    uid = create(node, "Once")
    node.append(
        node.draft("task_started", "bob starts", actor="bob", re=uid, data={"attempt": 1}),
        node.draft("task_finished", "bob finishes", actor="bob", re=uid, data={"attempt": 1}),
    )
    one = worker(node, "echo again")
    one.step(NOW_S)
    assert not one.busy


def test_the_late_outcome_of_an_attempt_that_was_taken_away_changes_nothing(node: Node) -> None:
    uid = create(node, "Slow")
    one = worker(node, "echo late")
    one.step(NOW_S)
    [running] = one.attempts.values()
    wait_until(lambda: running.command.code is not None, what="its command to end")
    lead = node.local.leading(node.fleet.terms)
    assert lead is not None
    node.append(
        node.draft(
            "task_released",
            "gone",
            actor="alice",
            re=uid,
            term=node.fleet.terms.term,
            data={"attempt": 1, "reason": "bob is gone", "duty": "x"},
        )
    )
    one.step(NOW_S)  # has not seen it: says that it is done
    node.sync(tick=False)
    assert task(node, uid).status == "ready" and task(node, uid).attempts[0].late


def test_a_python_function_is_as_good_as_a_command(node: Node, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def work(task):\n    return {'title': task['title']}\n\n\n"
        "def fail(task):\n    raise ValueError('no such file')\n"
    )
    uid = create(node, "Mend it")
    words = attempt.handler_argv(attempt.located("./mine.py:work", tmp_path))
    assert done(node, worker(node, words), uid).result == '{"title": "Mend it"}'  # type: ignore[arg-type]
    uid = create(node, "Break it", attempts=1)
    failed = done(node, worker(node, attempt.handler_argv(f"{tmp_path}/mine.py:fail")), uid)  # type: ignore[arg-type]
    assert failed.status == "failed" and "ValueError: no such file" in failed.last.reason
    assert "mine.py" in failed.last.reason and "handler.py" not in failed.last.reason
    with pytest.raises(Refused, match=r"it has failed \(tried once; last: [^\n]* … ValueError: no such file\)$"):
        submit.propose(node, submit.named("task claim"), {"task": uid}, actor="alice")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "spec", ["../mine.py:nothing", "mine:work", "nowhere.py:work", "../mine.py", "os:sep", "os:a b"]
)
def test_a_handler_that_is_none_is_refused_at_once_and_never_looked_for_in_the_working_folder(
    node: Node, tmp_path: Path, spec: str
) -> None:
    for folder in (tmp_path, tmp_path / "alice"):
        (folder / "mine.py").write_text("def work(task):\n    pass\n")
    (tmp_path / "alice" / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef work(task):\n    pass\n")
    check = subprocess.run(
        [sys.executable, "-P", "-m", "gitcoord", "agent", "run", "--once", "--handler", spec],
        cwd=tmp_path / "alice",
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(TOP)},
    )
    assert check.returncode == 2 and ("FILE.py:function" in check.stderr or "is not a function" in check.stderr)
    assert not (tmp_path / "ran").exists()


def test_a_title_that_begins_with_a_hyphen_is_no_option_of_the_command(node: Node, tmp_path: Path) -> None:
    """README's command of old: `wc` prints the names that it finds in a file as its errors."""
    secret = tmp_path / "secret"
    secret.write_text("PASSWORD=correct-horse\n")
    uid = create(node, f"--files0-from={secret}", attempts=1)
    failed = done(node, worker(node, 'wc -l "$GITCOORD_TASK_TITLE"'), uid)
    assert failed.status == "failed" and "correct-horse" not in failed.last.reason
    uid = create(node, "-n x")
    assert done(node, worker(node, 'cat > given; grep -c \'"title": "-n x"\' given'), uid).result == "1"


def test_in_a_work_tree_the_branch_is_the_artifact_and_nothing_else_is_left(node: Node, tmp_path: Path) -> None:
    top = tmp_path / "alice"
    git = ["git", "-C", str(top), "-c", "user.name=a", "-c", "user.email=a@b"]
    uid = create(node, "Mend it", attempts=1)
    refused = done(node, worker(node, "true", worktree=True, top=top), uid)
    assert "needs a commit to begin at" in refused.reason
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    uid = create(node, "Mend the parser!")
    result = done(
        node,
        worker(
            node,
            "echo x > a; git add a; git -c user.name=b -c user.email=b@c commit -qm mended; echo $GITCOORD_TASK_BRANCH",
            worktree=True,
            top=top,
        ),
        uid,
    )
    branch = f"task/{uid}-1-bob-mend-the-parser"
    tip = subprocess.run([*git, "rev-parse", branch], capture_output=True, text=True, check=True).stdout.strip()
    assert (result.artifacts, result.branch, result.result) == ([f"refs/heads/{branch}", tip], branch, branch)
    uid = create(node, "Change nothing")
    assert done(node, worker(node, "true", worktree=True, top=top), uid).artifacts == []
    branches = subprocess.run([*git, "branch", "--format=%(refname:short)"], capture_output=True, text=True, check=True)
    assert len(branches.stdout.split()) == 2 and branch in branches.stdout
    assert subprocess.run([*git, "worktree", "list"], capture_output=True, text=True).stdout.count("\n") == 1


GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C"]
COMMITS = 'echo x > "$GITCOORD_TASK_TITLE"; git add .; git -c user.name=b -c user.email=b@c commit -qm done'


@pytest.fixture
def origin(tmp_path: Path, node: Node) -> Path:
    """The remote of the code, from which the clone is a commit behind, and which it is two commits ahead of."""
    top, remote = tmp_path / "alice", tmp_path / "origin.git"
    for words in (
        ["init", "-q", "--bare", "-b", "main", str(remote)],
        ["-C", str(top), "commit", "-q", "--allow-empty", "-m", "first"],
        ["-C", str(top), "remote", "add", "origin", str(remote)],
        ["-C", str(top), "push", "-q", "origin", "HEAD:main"],
        ["clone", "-q", str(remote), str(tmp_path / "theirs")],
        ["-C", str(tmp_path / "theirs"), "commit", "-q", "--allow-empty", "-m", "theirs"],
        ["-C", str(tmp_path / "theirs"), "push", "-q"],
        ["-C", str(top), "commit", "-q", "--allow-empty", "-m", "mine"],
    ):
        subprocess.run([*GIT, ".", *words], check=True, capture_output=True)
    return remote


def log_of(repository: Path, branch: str) -> list[str]:
    found = subprocess.run([*GIT, str(repository), "log", "--format=%s", branch, "--"], capture_output=True, text=True)
    return found.stdout.split()


def test_work_begins_at_the_remotes_branch_of_now_and_is_pushed_when_done(
    node: Node, origin: Path, tmp_path: Path
) -> None:
    uid = create(node, "one")
    kept = done(node, worker(node, "echo x > notes", worktree=True, top=tmp_path / "alice"), uid)
    assert kept.result.endswith("-1-bob, which has files that are not committed (notes))") and kept.artifacts == []
    uid = create(node, "two")
    result = done(node, worker(node, COMMITS, worktree=True, top=tmp_path / "alice"), uid)
    assert log_of(origin, result.branch) == ["done", "theirs", "first"] and "yet" not in result.result
    tip = subprocess.run([*GIT, str(origin), "rev-parse", result.branch], capture_output=True, text=True).stdout.strip()
    assert result.artifacts == [f"refs/heads/{result.branch}", tip]
    assert len(list((node.home.path / workspace.FOLDER).iterdir())) == 1  # the one that is kept


def test_a_push_that_fails_is_named_and_tried_again_even_by_the_next_run(
    node: Node, origin: Path, tmp_path: Path
) -> None:
    hook = origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho branches are frozen >&2\nexit 1\n")
    hook.chmod(0o755)
    said: list[str] = []
    uid, clock = create(node, "one"), iter(range(1000, 10**6))
    one = worker(node, COMMITS, said, worktree=True, top=tmp_path / "alice")
    result = done(node, one, uid, now_s=clock.__next__)
    assert "origin does not have its branch yet: branches are frozen" in result.result
    assert any("push_failed" in words and "retrying in" in words for words in said)
    assert result.artifacts[0] == f"refs/heads/{result.branch}" and log_of(origin, result.branch) == []
    one.end()
    hook.unlink()
    two = worker(node, "true", said, worktree=True, top=tmp_path / "alice")

    def pushed() -> bool:
        two.step(next(clock))
        return bool(log_of(origin, result.branch))

    wait_until(pushed, what="the push of the next run")
    wait_until(lambda: two.step(next(clock)) or not two._pushes.pushes, what="its end")
    node.sync()
    assert any("is on origin now" in event.content for _, event in node.events() if event.type == "task_commented")
    assert list((node.home.path / workspace.FOLDER).iterdir()) == []


def test_work_that_is_cut_off_is_named_with_its_branch_and_work_tree(node: Node, origin: Path, tmp_path: Path) -> None:
    uid = create(node, "one")
    one = worker(
        node, f"{COMMITS}; echo more > notes; touch {tmp_path}/go; sleep 100", worktree=True, top=tmp_path / "alice"
    )
    one.step(NOW_S)
    wait_until((tmp_path / "go").exists, what="its work")
    one.end()
    node.sync(tick=False)
    reason = task(node, uid).last.reason
    assert reason.startswith(f"bob was told to stop; its work is on the branch {task(node, uid).branch}")
    assert "in the work tree" in reason and "(notes)" in reason


def test_progress_is_told_now_and_then_only(node: Node) -> None:
    uid = create(node, "Mend it")
    one = worker(node, "for i in 1 2 3; do echo ::progress 0.$i; sleep 0.1; done")
    done(node, one, uid)
    told = [event for _, event in node.events() if event.re == uid and event.type == "task_progressed"]
    assert len(told) == 1 and work.PROGRESS_S > 1


@pytest.mark.parametrize("title", ["a\0b", "the token ghp_" + "k7Qz2mVx9RtW4nBc8LpY3sDf6GhJ5aEo1uTi"])
def test_a_title_that_no_command_can_be_given_or_that_no_log_takes_fails_or_hides_and_the_next_task_is_done(
    node: Node, title: str
) -> None:
    data = {"title": title, "needs": ["python"], "attempts_max": 1}
    draft = node.draft("task_created", "t", actor="alice", data=data)
    [event] = node.append(draft, on_secret=OnSecret.ALLOW)  # as a member writes it who does not ask our client
    wait_until(
        lambda: (
            node.sync()
            and not node.disk.pending()
            and (event.uid not in node.fleet.states["tasks"].tasks or task(node, event.uid).status == "assigned")
        ),
        what="the ledger's word",
    )
    if event.uid not in node.fleet.states["tasks"].tasks:
        return  # the ledger takes no such title
    one = worker(node, "echo done")
    ended = done(node, one, event.uid)
    if "\0" in title:
        assert ended.status == "failed"
        assert ended.last.reason.startswith("could not be started: GITCOORD_TASK_TITLE holds a NUL character")
    else:
        assert (ended.status, ended.result) == ("done", "done")
    assert done(node, one, create(node, "Mend it")).status == "done"


def test_what_fails_about_one_command_keeps_no_other_from_being_looked_after(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = create(node, "one"), create(node, "two")
    said: list[str] = []
    one = worker(node, f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done", said, slots=2)
    assert one.step(NOW_S) and one.step(NOW_S)
    (tmp_path / "go").touch()
    wait_until(lambda: all(each.command.code is not None for each in one.attempts.values()), what="their end")
    looked_after = TaskWorker._check

    def fails_for_the_first(self: TaskWorker, each: attempt.RunningAttempt, now_s: float) -> bool:
        if each.task == first:
            raise OSError(28, "No space left on device")
        return looked_after(self, each, now_s)

    monkeypatch.setattr(TaskWorker, "_check", fails_for_the_first)
    assert one.step(NOW_S) and list(one.attempts) == [first] and any("work_waits" in words for words in said)
    monkeypatch.undo()
    one.step(NOW_S + 2)
    node.sync()
    assert task(node, first).status == task(node, second).status == "done"


def test_whatever_fails_when_a_task_is_begun_fails_its_attempt(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def overflows(*args: object, **more: object) -> None:
        raise OverflowError("date value out of range")

    uid = create(node, "Mend it", attempts=1)
    monkeypatch.setattr("gitcoord.features.tasks.queries.to_row", overflows)
    one = worker(node, "true")
    one.step(NOW_S)
    node.sync()
    assert not one.busy and "OverflowError: date value out of range" in task(node, uid).last.reason
    assert list((node.home.path / workspace.FOLDER).iterdir()) == []
