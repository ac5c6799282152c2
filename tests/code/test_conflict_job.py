"""The leader looks at the remote's branches; the clone that it looks from is left as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gitcoord.code.conflict_job import ConflictJob
from gitcoord.core.commands import Context
from tests.core.lines import NOW, Story
from tests.github.test_review import Forge


def test_conflicts_among_the_remotes_branches_are_told_and_closed(tmp_path: Path) -> None:
    forge, story = Forge(tmp_path), Story().founded().joined("bob")
    job = ConflictJob(forge.source, tmp_path)
    assert job.interval_s(Context(story.fleet, NOW)) == 0
    story.say("alice", "config_changed", data={"set": {"conflicts_every_s": 60}})
    assert job.interval_s(Context(story.fleet, NOW)) == 60

    def turn() -> list[tuple[str, tuple[str, ...]]]:
        work: Any = job.prepare(Context(story.fleet, NOW, "alice"))
        written = work(lambda: True)
        for one in written:
            story.say("alice", one.type, one.content, data=dict(one.data), re=one.re, to=one.to)
        return [(one.content, one.to) for one in written]

    def branch(name: str, new: str) -> None:
        forge.work.git("checkout", "--quiet", "--detach", forge.first)
        forge.work.edit("a.txt", "line 1\n", new)
        forge.work.commit(name)
        forge.work.git("push", "--quiet", "--force", str(forge.remote), f"HEAD:refs/heads/{name}")

    branch("alice/one", "line one\n")
    branch("bob/uno", "line uno\n")
    before = forge.files()
    assert turn() == [("alice/one and bob/uno conflict in a.txt", ("alice", "bob"))]
    assert turn() == [] and forge.files() == before
    assert "trial-merges" in {file.name for file in tmp_path.iterdir()}
    branch("bob/uno", "line one\n")
    assert turn() == [("alice/one and bob/uno: they can be merged", ("alice", "bob"))]


def test_a_name_that_hides_something_is_told_as_people_see_it_and_keeps_no_other_from_being_told(
    tmp_path: Path,
) -> None:
    """Whoever pushes names branches, files and functions; one odd name stopped every look of the leader."""
    forge, story = Forge(tmp_path), Story().founded()
    job = ConflictJob(forge.source, tmp_path)
    odd = "o\N{RIGHT-TO-LEFT OVERRIDE}dd\x1b[2J\n.txt"

    def turn() -> list[str]:
        work: Any = job.prepare(Context(story.fleet, NOW, "alice"))
        written = work(lambda: True)
        assert [story.say("alice", one.type, one.content, data=dict(one.data), re=one.re).void for one in written] == [
            None
        ] * len(written)
        return [one.content for one in written]

    def branch(name: str, new: str, file: str = "a.txt") -> None:
        forge.work.git("checkout", "--quiet", "--detach", forge.first)
        if file == "a.txt":
            forge.work.edit(file, "line 1\n", new)
        else:
            (forge.work.folder / file).write_text(new)
        forge.work.commit(name)
        forge.work.git("push", "--quiet", "--force", str(forge.remote), f"HEAD:refs/heads/{name}")

    branch("one", "line one\n")
    branch("t\N{ZERO WIDTH SPACE}wo", "line two\n")
    branch("three", "3\n", odd)
    branch("four", "4\n", odd)
    shown = "o⟨U+202E⟩dd␛[2J␤.txt"
    assert sorted(turn()) == [f"four and three conflict in {shown}", "one and t⟨U+200B⟩wo conflict in a.txt"]
    assert turn() == []
    branch("t\N{ZERO WIDTH SPACE}wo", "line one\n")
    assert turn() == ["one and t⟨U+200B⟩wo: they can be merged"]
