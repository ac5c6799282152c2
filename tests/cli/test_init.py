"""`gitcoord init`: an agent for each place, and nothing left of what was refused."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest

from tests.cli.clones import Clone


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def clone_of(one: Clone, folder: Path, agent: str) -> Clone:
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "remote", "add", "origin", str(one.remote)], check=True)
    return Clone(folder, one.remote, agent)


def worktree_of(one: Clone, folder: Path) -> Clone:
    git = ["git", "-C", str(one.path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    subprocess.run([*git, "worktree", "add", "-q", "-B", folder.name, str(folder)], check=True)
    return Clone(folder, one.remote, "")


def speaker(at: Clone, **environment: str) -> str:
    text = f"from {at.path.name}"
    at("append", "note", text, "--no-sync", **environment)
    (last,) = [one for one in at("queue", "list", "--json").json()["events"] if one["event"]["content"] == text][-1:]
    return str(last["event"]["actor"])


def test_an_agent_of_a_work_tree_is_that_trees_and_not_the_clones(alice: Clone, tmp_path: Path) -> None:
    tree = worktree_of(alice, tmp_path / "tree")
    assert "bo writes in this work tree" in tree("init", "--agent", "bo").out
    assert (speaker(tree), speaker(alice)) == ("bo", "alice")
    assert (speaker(tree, GITCOORD_AGENT="alice"), tree("whoami", "--json").json()["agent"]) == ("alice", "bo")
    again = tree("init", "--agent", "bo").out
    assert "nothing to do" in again and "speaks here" not in again
    assert "alice speaks here: `gitcoord config set agent bo`" in alice("init", "--agent", "bo").out
    other = worktree_of(alice, tmp_path / "other")
    assert speaker(other) == "alice"
    assert "give --agent" in other("init", code=2).err  # the clone's is not meant for it
    [row] = tree("config", "get", "agent", "--json").json()["settings"]
    assert (row["value"], row["source"]) == ("bo", "work tree")
    subprocess.run(["git", "-C", str(alice.path), "worktree", "remove", "--force", str(tree.path)], check=True)
    again = worktree_of(alice, tmp_path / "again" / "tree")
    assert speaker(again) == "alice"


def test_who_joins_from_a_work_tree_first_does_not_speak_elsewhere(alice: Clone, tmp_path: Path) -> None:
    clone = clone_of(alice, tmp_path / "clone", "")
    tree = worktree_of(clone, tmp_path / "tree")
    tree("init", "--agent", "bo")
    assert speaker(tree) == "bo"
    assert "no agent is chosen here" in clone("append", "note", "x", "--no-sync", code=2).err
    clone("init", "--agent", "cy")
    assert (speaker(clone), speaker(tree)) == ("cy", "bo")


def test_a_second_agent_of_a_clone_is_told_how_it_is_chosen(alice: Clone) -> None:
    assert "alice stays the agent of this clone: `--as bo`" in alice("init", "--agent", "bo").out
    assert speaker(alice) == "alice" and speaker(alice, GITCOORD_AGENT="bo") == "bo"


@pytest.mark.parametrize("name", ["alice", "Alice"])
def test_a_name_that_is_taken_leaves_nothing_behind(alice: Clone, tmp_path: Path, name: str) -> None:
    clone = clone_of(alice, tmp_path / "clone", name)
    refused = clone("init", "--agent", name, code=2).err
    assert "in this fleet already, with another key" in refused
    assert [one.name for one in clone.home.iterdir()] == ["init.lock"]
    assert "in no fleet" in clone("append", "note", "x", code=2).err
    clone("init", "--agent", "bo")
    assert speaker(clone) == "bo" and clone("verify").code == 0
    clone("init", "--agent", name, code=2)
    assert speaker(clone) == "bo" and not (clone.home / "keys" / "alice.key").exists()


def test_what_was_in_the_home_before_a_refused_init_stays(alice: Clone, tmp_path: Path) -> None:
    clone = clone_of(alice, tmp_path / "clone", "alice")
    (clone.home / "keys").mkdir(parents=True, mode=0o700)
    (clone.home / "keys" / "other.key").write_text("00" * 32)
    clone("init", "--agent", "alice", code=2)
    assert [str(one.relative_to(clone.home)) for one in sorted(clone.home.rglob("*"))] == [
        "init.lock",
        "keys",
        "keys/other.key",
    ]


def test_a_given_key_is_kept_and_a_wrong_one_is_not(alice: Clone, tmp_path: Path) -> None:
    key = alice.home / "keys" / "alice.key"
    clone = clone_of(alice, tmp_path / "clone", "alice")
    wrong = tmp_path / "wrong.key"
    wrong.write_text("11" * 32)
    wrong.chmod(0o600)
    assert "another key" in clone("init", "--agent", "alice", "--key", str(wrong), code=2).err
    assert not (clone.home / "keys").exists()
    wrong.write_text("nonsense")
    assert "is not a key" in clone("init", "--agent", "alice", "--key", str(wrong), code=2).err
    clone("init", "--agent", "alice", "--key", str(key))
    assert (clone.home / "keys" / "alice.key").read_bytes() == key.read_bytes()
    assert speaker(clone) == "alice"


@pytest.mark.parametrize("name, words", [("aIice", "looks like alice"), ("All", "word with a meaning of its own")])
def test_a_name_that_others_would_take_for_another_is_refused(
    alice: Clone, tmp_path: Path, name: str, words: str
) -> None:
    clone = clone_of(alice, tmp_path / "clone", name)
    assert words in clone("init", "--agent", name, code=2).err
    assert "in no fleet" in clone("append", "note", "x", code=2).err


def test_paths_are_reserved_as_git_takes_them_and_giving_nothing_back_is_no_error(alice: Clone, tmp_path: Path) -> None:
    tree = worktree_of(alice, tmp_path / "tree")
    below = Clone(alice.path / "src", alice.remote, "alice")
    below.path.mkdir()
    assert "nothing to do" in alice("release").out
    below("reserve", "a.py", "../docs/", str(tree.path / "b.py"))
    [row] = alice("reservations", "--json").json()["items"]
    assert row["paths"] == ["src/a.py", "docs", "b.py"]
    assert below("reservations", "--path", "./a.py", "--json").json()["items"] == [row]
    assert "outside of the work tree" in below("reserve", "../../x", code=2).err
    below("release")
    assert alice("reservations", "--json").json()["items"] == []


def test_init_asks_on_a_terminal_where_the_register_is_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = Clone(tmp_path / "clone", tmp_path / "none", "ann")
    subprocess.run(["git", "init", "-q", str(clone.path)], check=True)
    origin = ["git", "-C", str(clone.path), "remote", "add", "origin", "https://forge.invalid/owner/repo.git"]
    subprocess.run(origin, check=True)
    asked: list[str] = []
    monkeypatch.setattr("click.confirm", lambda words: asked.append(words) or True)
    monkeypatch.setattr("io.TextIOWrapper", Terminal)
    register = clone.path / ".git" / "gitcoord-remote.git"
    assert f"keeps the register in {register}" in clone("init", "--agent", "ann").out and len(asked) == 1
    assert "nothing to do" in clone("init", "--agent", "ann").out and len(asked) == 1
    assert "nothing to do" in clone("init", "--agent", "ann", "--local").out
    assert "with remote" in clone("init", "--agent", "ann", "--remote", "origin", code=2).err
    bob = Clone(tmp_path / "bob", tmp_path / "none", "bob")
    bob.path.mkdir()
    assert "leave out --shared" in bob("init", "--agent", "bob", "--local", "--shared", code=2).err
    assert "unset GITCOORD_REMOTE" in bob("init", "--agent", "bob", "--local", GITCOORD_REMOTE="x", code=2).err
    twice = ("--remote", str(register), "--mirror", str(register))
    assert "is the shared remote itself" in bob("init", "--agent", "bob", *twice, code=2).err
    assert "joins fleet" in bob("init", "--agent", "bob", "--remote", str(clone.path)).out
