"""The demo's scenes, in order: a fleet forms, its agents talk, and nothing is lost in an outage or a failover."""

from __future__ import annotations

import json
import time
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from gitcoord.cli.demonstration.play import Play
from gitcoord.cli.demonstration.stage import Child

if TYPE_CHECKING:
    pass

SAMPLE = "events.offline.log"
FAILOVER_S_MAX = 5.0  # promised of the local profile, whatever the bound

TALK = (
    ("How do I start the server?", "Run `make serve`; it listens on port 8000."),
    ("Who takes the parser?", "I do. The lexer is done already."),
    ("Does `rm -rf $(HOME)` in a message do anything?", 'No: content is data. "Quotes" survive, too.'),
    ("May I merge the login page?", "Wait for the tests, please."),
)

BACK = ("Are you back?", "Yes, and I go on where I was.")

ANSWER = '''"""Answers questions: `gitcoord agent run --on-event` calls it for each event, with JSON on its input."""
import json, pathlib, sys

event = json.load(sys.stdin)["event"]
known = json.loads(pathlib.Path(__file__).with_name("answers.json").read_text("utf-8"))
if event["type"] == "question":
    print(known.get(event["content"], "I have read it."))
'''


def join(play: Play) -> None:
    """Make a fleet of clones of one remote."""
    from gitcoord.store.git.local_repo import make_bare_remote

    stage, cast = play.stage, play.cast
    stage.title(
        1,
        "Join",
        "Each agent works in its own clone. One command creates the fleet, or joins it. The agents "
        "share only the git remote that they have already.",
    )
    make_bare_remote(stage.remote)
    for agent in cast:
        stage.clone(agent)
    began = time.monotonic()
    stage.shell(f"gitcoord init --agent {cast[0]}      # the same in every clone, with its own name")
    stage.json(cast[0], "init", "--agent", cast[0])
    joined = stage.together(lambda agent: stage.json(agent, "init", "--agent", agent), cast[1:])
    fleets = {answer["fleet"] for answer in joined}
    known = play.view(cast[-1]).fleet.members.by_id
    stage.promise(
        f"{len(cast)} clones are one fleet", f"{time.monotonic() - began:.1f} s", len(fleets) == 1 and len(known) >= 2
    )


def elect(play: Play) -> None:
    """Start the agents, and wait until one of them leads."""
    stage, cast = play.stage, play.cast
    stage.title(
        2,
        "Run",
        "`agent run` connects an agent: it sends heartbeats, syncs, and campaigns when nobody leads. "
        "The leader publishes pages for people; the other agents do not need it in order to write.",
    )
    (stage.folder / "answer.py").write_text(ANSWER, encoding="utf-8")
    (stage.folder / "answers.json").write_text(json.dumps(dict([*TALK, BACK])), encoding="utf-8")
    stage.shell("gitcoord agent run --on-event 'python -I answer.py' --reply")
    began = time.monotonic()
    children = [play.run(agent) for agent in cast]
    elected = stage.until(
        "a leader", lambda: next((c for c in children if c.logged("leader", ending="(here)")), None), limit_s=15
    )
    moment, words = elected.logged("leader", ending="(here)") or (began, "")
    stage.until(
        "all agents know their leader",
        lambda: all(
            child.logged("leader", ending=words.removesuffix(" (here)").split(" ", 1)[1]) or child is elected
            for child in children
        ),
        limit_s=15,
    )
    leader, term = play.leader(seen_by=elected.name)
    stage.promise(
        "a fleet without a leader elects one",
        f"{leader} leads term {term} after {moment - began:.1f} s",
        leader == elected.name and term == 1,
    )


def talk(play: Play) -> None:
    """Let agents ask, and the others' programs answer."""
    stage, cast = play.stage, play.cast
    stage.title(
        3,
        "Talk",
        "A program of yours, or an AI agent's command line, gets each event that is addressed to "
        "its agent as JSON, and what it prints becomes the answer.",
    )
    pairs = [(asker, cast[(place + 1) % len(cast)], *TALK[place % len(TALK)]) for place, asker in enumerate(cast)]
    stage.shell(f'gitcoord append question "{pairs[0][2]}" --to {pairs[0][1]}')

    def ask(pair: tuple[str, str, str, str]) -> str:
        now = time.monotonic()
        uid = str(stage.append(pair[0], "question", pair[2], "--to", pair[1])["id"])
        play.questions[uid] = now
        return uid

    asked = stage.together(ask, pairs)
    answered: dict[str, float] = {}

    def heard() -> bool:
        for _, event in play.events(cast[0]):
            if event.type == "answer" and event.re in asked and event.re not in answered:
                answered[event.re] = time.monotonic()
                asker, _, question, _ = pairs[asked.index(event.re)]
                stage.say(f"  {asker:>6} asks {event.actor}: {question}")
                stage.say(f"  {event.actor:>6} answers: {event.content}")
        return len(answered) == len(asked)

    stage.until("an answer to every question", heard, limit_s=20)
    took = sorted(answered[uid] - play.questions[uid] for uid in asked)
    right = {event.content for _, event in play.events(cast[0]) if event.type == "answer"}
    stage.promise(
        "every question is answered",
        f"{len(asked)} of {len(asked)}, the slowest after {took[-1]:.1f} s",
        right == {pair[3] for pair in pairs},
    )


def take_over(play: Play) -> None:
    """Import, once, a log that another tool wrote while its remote was down."""
    stage, who = play.stage, play.cast[-1]
    stage.title(
        4,
        "Import",
        f"{SAMPLE} is a log of two agents whose remote was down: five fields a line. Logs of other "
        "tools can be imported, and a second import of the same log changes nothing.",
    )
    path = sample_path()
    copy = stage.folder / SAMPLE
    copy.write_bytes(path)
    play.sample = [json.loads(line) for line in path.splitlines()]
    stage.shell(f"gitcoord import {SAMPLE} --as {who}")
    began = time.monotonic()
    stage.run(who, "import", str(copy), "--as", who)
    stage.until("the queue is empty", lambda: stage.queued(who) == 0, limit_s=20)
    took = time.monotonic() - began
    stage.run(who, "import", str(copy), "--as", who)
    stage.until("the queue is empty", lambda: stage.queued(who) == 0, limit_s=20)
    found = sorted(
        _four(event.shown_actor, event.type, event.content, event.shown_timestamp)
        for _, event in play.events(who)
        if "source" in event.data
    )
    wanted = sorted(_four(one["actor"], one["type"], one["content"], one["timestamp"]) for one in play.sample)
    seen = f"{len(found)} of {len(wanted)} lines, {took:.1f} s"
    stage.promise("imported twice, in the log once", seen, found == wanted)


def _four(*fields: str) -> tuple[str, ...]:
    return fields


def sample_path() -> bytes:
    """Return the recorded sample: the source tree's, otherwise the package's own copy."""
    top = Path(__file__).resolve().parents[3] / SAMPLE
    if top.is_file():
        return top.read_bytes()
    return (resources.files("gitcoord.cli") / "sample.log").read_bytes()


def outage(play: Play) -> None:
    """Take the remote away while all agents go on; check that everything arrives after its return."""
    stage, cast = play.stage, play.cast
    stage.title(
        5,
        "Outage",
        "The remote goes away. Writing goes on: each event is safe on the local disk before the "
        "command returns, and is sent when the remote is back.",
    )
    before = play.leader()
    lines = {agent: len(stage.agents[agent].lines) for agent in cast}
    stage.shell("mv shared.git away.git")
    away = stage.remote.rename(stage.folder / "away.git")
    began = time.monotonic()
    slowest, levels = 0.0, set()
    for number in range(1, 3 if play.fast else 5):
        answers = stage.together(
            lambda agent: stage.append(agent, "note", f"{agent}'s note {number}, written offline", "--no-sync"), cast
        )
        slowest = max([slowest, *(answer["seconds"] for answer in answers)])
        levels |= {answer["level"] for answer in answers}
        waiting = {agent: stage.queued(agent) for agent in cast}
        stage.say("  queued: " + "   ".join(f"{agent} {'▪' * count} {count}" for agent, count in waiting.items()))
    stage.until(
        "every agent says that it is offline",
        lambda: all(stage.agents[agent].logged("offline", since=lines[agent]) for agent in cast),
        limit_s=20,
    )
    waiting_total = sum(stage.queued(agent) for agent in cast)
    stage.promise(
        "appends are taken during an outage",
        f"{waiting_total} events queued, at most {slowest:.1f} s each, with the start of the command",
        levels == {"queued"} and waiting_total > 0,
    )
    _return(play, away, began, before)


def _return(play: Play, away: Path, began: float, before: tuple[str, int]) -> None:
    stage, cast = play.stage, play.cast
    stage.shell("mv away.git shared.git")
    away.rename(stage.remote)
    back = time.monotonic()
    stage.until("every queue is empty", lambda: all(stage.queued(agent) == 0 for agent in cast), limit_s=30)
    seen = f"{back - began:.1f} s away, drained {time.monotonic() - back:.1f} s later"
    stage.promise("queues drain when the remote returns", seen, True)
    after = play.leader()
    stage.promise("nobody takes an outage for the leader's death", f"{after[0]} leads term {after[1]}", after == before)


def failover(play: Play) -> None:
    """Kill the leader; check that another agent leads, and that the dead leader's work waits for it."""
    stage, cast = play.stage, play.cast
    stage.title(
        6,
        "Failover",
        "The leader's process is killed with SIGKILL, without a goodbye. The others notice its "
        "silence and elect a successor; meanwhile all agents write as usual.",
    )
    leader, term = play.leader()
    others = [agent for agent in cast if agent != leader]
    stage.shell("gitcoord elect --explain")
    bound = float(stage.json(others[0], "elect", "--explain")["bound_s"])
    limit = min(bound, FAILOVER_S_MAX)
    stage.say(f"  a dead leader is replaced within {bound:.2f} s")
    dead = stage.agents.pop(leader)
    stage.shell(f"kill -9 {dead.process.pid}      # {leader}, who leads term {term}")
    dead.kill()
    killed = time.monotonic()
    note = stage.append(others[0], "note", "Nobody leads now, and I write all the same", "--wait", "sequenced")
    stage.say(f"  {others[0]}'s note is in the log after {note['seconds']:.1f} s: that needs no leader")
    question = stage.append(others[0], "question", BACK[0], "--to", leader)

    def successor() -> tuple[float, Child] | None:
        for agent in others:
            found = stage.agents[agent].logged("leader", ending=f" leads term {term + 1} (here)")
            if found is not None:
                return found[0], stage.agents[agent]
        return None

    moment, successor_child = stage.until("a successor", successor, limit_s=4 * bound)
    seconds = moment - killed
    stage.promise(
        f"a successor within {limit:.2f} s",
        f"{successor_child.name} leads term {term + 1} after {seconds:.2f} s",
        seconds < limit and play.leader(seen_by=successor_child.name) == (successor_child.name, term + 1),
    )
    _come_back(play, leader, str(question["id"]))


def _come_back(play: Play, agent: str, question: str) -> None:
    stage = play.stage
    stage.say(
        f"{agent} is restarted. It does not assume that it leads, and goes on after the last event that it handled."
    )
    began = time.monotonic()
    play.run(agent)
    other = next(one for one in play.cast if one != agent)
    stage.until(
        f"{agent} answers what it was asked while it was dead",
        lambda: any(event.re == question and event.actor == agent for _, event in play.events(other)),
        limit_s=20,
    )
    answers = sum(event.shown_actor == agent and event.type == "answer" for _, event in play.events(other))
    stage.promise(
        "a restarted agent goes on where it was",
        f"answered {time.monotonic() - began:.1f} s after its start, nothing twice",
        answers == 2,
    )
