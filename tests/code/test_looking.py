"""The leader looks at the remote's branches; the clone that it looks from is left as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gitcoord.code.looking import Looking
from gitcoord.core.commands import Look
from tests.core.lines import NOW, Story
from tests.github.test_review import Forge


def test_conflicts_among_the_remotes_branches_are_told_and_closed(tmp_path: Path) -> None:
    forge, story = Forge(tmp_path), Story().founded().joined("bob")
    errand = Looking(forge.source, tmp_path)
    assert errand.every_s(Look(story.fleet, NOW)) == 0
    story.say("alice", "config_changed", data={"set": {"conflicts_every_s": 60}})
    assert errand.every_s(Look(story.fleet, NOW)) == 60

    def turn() -> list[tuple[str, tuple[str, ...]]]:
        work: Any = errand.prepare(Look(story.fleet, NOW, "alice"))
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
