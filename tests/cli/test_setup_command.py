"""`gitcoord setup`: what it says, and what it leaves alone; `{worktree}` in the name of an agent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from gitcoord.integrations.clients import CLIENTS
from gitcoord.integrations.command_lines import hook_line
from tests.cli.clones import Clone, process_environment


def git(folder: Path, *words: str) -> None:
    identity = {f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, env={**os.environ, **identity})


def tree(alice: Clone, name: str) -> Path:
    """A linked work tree of alice's clone."""
    git(alice.path, "commit", "-q", "--allow-empty", "-m", "first")
    path = alice.path.with_name(name)
    git(alice.path, "worktree", "add", "-q", str(path))
    return path


def test_it_says_what_it_wrote_and_what_is_left_to_do(alice: Clone) -> None:
    said = alice("setup", "codex")
    assert said.out.splitlines() == [
        "write .codex/config.toml (the MCP server)",
        "write .codex/hooks.json (hooks)",
        "write AGENTS.md (the guide for agents)",
        "next: start Codex here, trust the project, and approve the hooks with /hooks",
    ]
    assert alice("setup", "codex").out == "nothing to do\n"
    assert alice("setup", "codex", "--json").json() == {
        "schema": "gitcoord.setup/1",
        "client": "codex",
        "did": [],
        "next": [],
    }
    assert alice("setup", "codex", "--as", "bo", "--json").json()["did"] == [
        "change .codex/config.toml (the MCP server)",
        "change .codex/hooks.json (hooks)",
    ]


def test_a_check_says_what_differs(alice: Clone) -> None:
    assert "differs: write .mcp.json" in alice("setup", "claude", "--check", code=1).out
    assert not (alice.path / ".mcp.json").exists()
    alice("setup", "claude", "--as", "claude-{worktree}")
    assert alice("setup", "claude", "--check").out == "Claude Code is set up\n"
    file = alice.path / ".claude" / "settings.json"
    file.write_text(file.read_text().replace("NotebookEdit", "Read"))
    assert alice("setup", "claude", "--check", code=1).out == "differs: change .claude/settings.json (hooks)\n"
    value = alice("setup", "claude", "--check", "--json", code=1).json()
    assert value["changes"] == ["change .claude/settings.json (hooks)"] and value["client"] == "claude"
    assert alice("setup", "claude", "--check", "--as", "bo", code=1).out.count("differs") == 2


def test_a_dry_run_and_a_removal_say_what_goes(alice: Clone) -> None:
    assert alice("setup", "gemini", "--dry-run").out.startswith("would write .gemini/settings.json (the MCP server and")
    assert not (alice.path / ".gemini").exists()
    alice("setup", "gemini")
    assert alice("setup", "gemini", "--remove", "--dry-run").out.startswith("would remove .gemini/settings.json")
    assert alice("setup", "gemini", "--remove").out.startswith(
        "remove .gemini/settings.json (the MCP server and hooks)"
    )
    assert alice("setup", "gemini", "--remove").out == "nothing to do\n"
    assert not (alice.path / ".gemini").exists()


def test_the_list_shows_what_is_installed_and_what_is_set_up(alice: Clone, tmp_path: Path) -> None:
    alice("setup", "cursor")
    (tmp_path / "user" / ".codex").mkdir(parents=True)
    program = tmp_path / "bin" / "opencode"
    program.parent.mkdir()
    program.touch(mode=0o755)
    path = f"{program.parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}/usr/bin{os.pathsep}/bin"
    value = alice("setup", "--list", "--json", HOME=str(tmp_path / "user"), PATH=path).json()
    rows = {row["client"]: row for row in value["items"]}
    assert list(rows) == list(CLIENTS)
    assert [name for name, row in rows.items() if row["installed"]] == ["codex", "opencode"]
    assert [name for name, row in rows.items() if row["here"]] == ["cursor"]
    assert rows["cursor"]["files"] == [".cursor/hooks.json", ".cursor/mcp.json", "AGENTS.md"]
    assert "GitHub Copilot" in alice("setup").out


def test_what_does_not_go_together_is_refused(alice: Clone) -> None:
    for words in (
        ["claude", "--list"],
        ["--check"],
        ["claude", "--check", "--remove"],
        ["claude", "--as", ""],
        ["emacs"],
    ):
        assert alice("setup", *words, code=2).err
    assert "cannot name an agent" in alice("setup", "claude", "--as", "a/b", code=2).err


def test_without_a_fleet_the_next_step_is_named(tmp_path: Path, alice: Clone) -> None:
    git(tmp_path, "init", "-q", "plain")
    assert "next: gitcoord init --agent NAME" in alice("-C", str(tmp_path / "plain"), "setup", "claude").out
    assert "in no work tree" in alice("-C", str(tmp_path), "setup", "claude", code=2).err


def test_what_it_wrote_starts_this_copy_whatever_the_checkout_holds(alice: Clone) -> None:
    (alice.path / "gitcoord").mkdir()
    (alice.path / "gitcoord" / "__init__.py").write_text("raise SystemExit('code of the branch')")
    for file in ("json.py", "click.py"):
        (alice.path / file).write_text("raise SystemExit('code of the branch')")
    evil = alice.path / "bin" / "gitcoord"
    evil.parent.mkdir()
    evil.write_text("#!/bin/sh\necho code of the branch")
    evil.chmod(0o755)
    for portable, path in (([], os.environ["PATH"]), (["--portable"], f"bin{os.pathsep}/usr/bin{os.pathsep}/bin")):
        alice("setup", "claude", *portable)
        server = json.loads((alice.path / ".mcp.json").read_text())["mcpServers"]["gitcoord"]
        settings = json.loads((alice.path / ".claude" / "settings.json").read_text())
        lines = [group[0]["hooks"][0]["command"] for group in settings["hooks"].values()]
        assert len(lines) == 3
        for words in ([server["command"], *server["args"], "--no-run"], *(["/bin/sh", "-c", line] for line in lines)):
            environment = process_environment({"PATH": path})
            done = subprocess.run(words, cwd=alice.path, env=environment, input=b"", capture_output=True)
            assert b"code of the branch" not in done.stdout + done.stderr
            assert done.returncode == (127 if portable and "--no-run" in words else 0), done
            assert portable or "--no-run" in words or json.loads(done.stdout) is not None
        alice("setup", "claude", "--remove")


def test_no_exit_code_of_a_hook_stops_a_client(alice: Clone) -> None:
    """Exit code 2 is that of a wrong option, which an older gitcoord takes ours for; clients take it for a refusal."""
    line = hook_line("edit", "claude", "").replace("--client", "--unknown")
    done = subprocess.run(["/bin/sh", "-c", line], cwd=alice.path, env=process_environment({}), capture_output=True)
    assert done.returncode == 0 and b"--unknown" in done.stderr
    gone = hook_line("edit", "claude", "").replace("__main__", "__gone__")
    done = subprocess.run(["/bin/sh", "-c", gone], cwd=alice.path, env=process_environment({}), capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_linked_work_tree_is_set_up_by_itself(alice: Clone) -> None:
    linked = tree(alice, "parser")
    alice("-C", str(linked), "setup", "claude")
    assert (linked / ".mcp.json").exists() and not (alice.path / ".mcp.json").exists()


def test_one_name_serves_every_work_tree(alice: Clone) -> None:
    linked = tree(alice, "parser")
    for folder, name in ((alice.path, "ada-alice"), (linked, "ada-parser")):
        alice("-C", str(folder), "init", "--agent", name)
        said = alice(
            "-C", str(folder), "message", "send", "hello", "--to", "alice", "--as", "ada-{worktree}", "--json"
        ).json()
        assert said["level"] == "sequenced"
        assert alice("events", "--limit", "1", "--json").rows()[-1]["event"]["actor"] == name
        assert alice("-C", str(folder), "message", "list", "--as", "ada-{worktree}", "--json").json()["items"]
        alice("-C", str(folder), "append", "note", "hello", GITCOORD_AGENT="ada-{worktree}")
        assert alice("events", "--limit", "1", "--json").rows()[-1]["event"]["actor"] == name
    (alice.path / ".git" / "worktrees" / "alice").mkdir()  # a linked work tree with the name of the clone's folder
    assert "ada-alice-main" in alice("append", "note", "x", "--as", "ada-{worktree}", code=2).err


def test_a_place_whose_name_fits_no_agent_is_told_so(alice: Clone, tmp_path: Path) -> None:
    odd = tree(alice, "parser")
    git(alice.path, "worktree", "move", str(odd), str(tmp_path / "é"))
    (alice.path / ".git" / "worktrees" / "parser").rename(alice.path / ".git" / "worktrees" / "é")
    (tmp_path / "é" / ".git").write_text(f"gitdir: {alice.path}/.git/worktrees/é\n")
    said = alice("-C", str(tmp_path / "é"), "append", "note", "x", "--as", "a-{worktree}", code=2)
    assert "'a-é' cannot name an agent" in said.err
    assert "in no work tree" in alice("-C", str(tmp_path), "status", code=2, GITCOORD_AGENT="{worktree}").err
