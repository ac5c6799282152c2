"""The doctor: every trouble is found, with its cure; nothing is changed unasked; a damaged store is fetched again."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gitcoord.core.errors import Corrupt, Unreachable
from gitcoord.node import store_repair
from gitcoord.node.diagnostics import doctor, fleet_checks
from gitcoord.node.diagnostics import finding as findings
from gitcoord.node.diagnostics.doctor import FAIL, OK, WARN, DoctorFinding
from gitcoord.node.membership import init as found
from gitcoord.node.membership.init import InitRequest
from gitcoord.node.node import open_node
from gitcoord.node.tasks import branch_pushes
from gitcoord.store.git import git_store, local_repo
from tests.http_remote import HttpRemote
from tests.waiting import WAIT_S

TOP = Path(__file__).resolve().parents[3]


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    local_repo.make_bare_remote(tmp_path / "remote.git")
    return tmp_path / "remote.git"


@pytest.fixture
def clone(tmp_path: Path, remote: Path) -> Path:
    with found.init(tmp_path / "alice", InitRequest(agent="alice", remote=str(remote))).node as node:
        node.append(node.draft("note", "hello", actor="alice"))
        node.sync()
    return tmp_path / "alice"


def examined(path: Path, *, fix: bool = False) -> dict[str, DoctorFinding]:
    return {finding.check: finding for finding in doctor.examine(path, fix=fix)}


def home(clone: Path) -> Path:
    return clone / ".git" / "gitcoord"


def git_says(repository: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(repository), *arguments], check=True, capture_output=True, text=True).stdout


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_sound_node_has_nothing_that_fails(clone: Path) -> None:
    found = examined(clone)
    assert {name: f for name, f in found.items() if f.state == FAIL} == {}
    assert [name for name, f in found.items() if f.state == WARN] == ["leader"]
    assert set(found) == {
        "git",
        "python",
        "environment",
        "fleet",
        "paused",
        "disk",
        "lock",
        "queue",
        "keys",
        "sharing",
        "store",
        "leftovers",
        "agent",
        "leader",
        "verified",
        "trust",
        "remote",
        "credentials",
        "ledger",
        "namespace",
        "compare-and-swap",
        "rewriting",
        "removal",
        "packing",
        "outboxes",
        "clock",
        "profile",
    }
    assert all(f.fix for f in found.values() if f.state != OK)
    assert doctor.exit_code(list(found.values())) == 0


def test_nothing_is_changed_unasked(clone: Path, remote: Path) -> None:
    refs = git_says(remote, "for-each-ref")
    before = everything(clone)
    examined(clone)
    after = everything(clone)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed <= {".git/gitcoord/cache/replica.json", ".git/gitcoord/queue.lock", ".git/gitcoord/lock"}
    assert git_says(remote, "for-each-ref") == refs, "the scratch refs are gone"


def test_outside_of_a_fleet_it_looks_at_what_there_is(tmp_path: Path, remote: Path) -> None:
    assert set(examined(tmp_path)) == {"git", "python", "environment", "fleet"}
    folder = tmp_path / "clone"
    local_repo.init_repository(folder)
    assert set(examined(folder)) == {"git", "python", "environment", "fleet"}
    git_says(folder, "remote", "add", "origin", str(remote))
    found = examined(folder)
    assert set(found) == {"git", "python", "environment", "fleet", "remote", "credentials"}
    assert found["fleet"].state == WARN and found["credentials"].state == OK
    assert not (folder / ".git" / "gitcoord").exists()


def test_while_the_remote_is_down_the_rest_is_looked_at(clone: Path, remote: Path) -> None:
    remote.rename(remote.with_name("away"))
    found = examined(clone)
    assert found["remote"].state == FAIL and found["store"].state == OK and "clock" in found
    assert "namespace" not in found
    assert doctor.exit_code(list(found.values())) == 1


def test_wrong_credentials_are_told_from_a_remote_that_is_away(tmp_path: Path) -> None:
    with HttpRemote(tmp_path / "http", token="right") as server:
        folder = tmp_path / "clone"
        local_repo.init_repository(folder)
        git_says(folder, "remote", "add", "origin", server.make())
        os.environ["GITCOORD_TOKEN"] = "wrong"
        try:
            found = examined(folder)
            assert found["credentials"].state == FAIL and "GITCOORD_TOKEN" in found["credentials"].fix
            assert doctor.exit_code(list(found.values())) == 5
            assert "wrong" not in "".join(f.seen for f in found.values())
            os.environ["GITCOORD_TOKEN"] = "right"
            assert examined(folder)["credentials"].state == OK
        finally:
            del os.environ["GITCOORD_TOKEN"]


def test_a_host_that_denies_the_namespace(clone: Path, remote: Path) -> None:
    hook = remote / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ncase $1 in refs/heads/*) exit 0;; *) echo 'only branches here' >&2; exit 1;; esac\n")
    hook.chmod(0o755)
    finding = examined(clone)["namespace"]
    assert finding.state == FAIL and "only branches here" in finding.seen and "refs/heads/gitcoord" in finding.fix


def test_a_host_that_denies_rewriting_and_removal(clone: Path, remote: Path) -> None:
    hook = remote / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        "#!/bin/sh\ncase $2 in 0000*) exit 0;; esac\n"
        "git merge-base --is-ancestor $2 $3 || { echo 'history stays' >&2; exit 1; }\n"
    )
    hook.chmod(0o755)
    found = examined(clone)
    assert found["compare-and-swap"].state == OK
    assert found["rewriting"].state == FAIL and "history stays" in found["rewriting"].seen
    assert found["removal"].state == WARN
    hook.unlink()
    assert "scratch refs of a killed" in examined(clone)["scratch"].seen
    assert examined(clone, fix=True)["scratch"].state == OK
    assert "doctor-" not in git_says(remote, "for-each-ref")


def test_a_remote_without_compare_and_swap_is_found_out(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: a host that takes every push. Without this, the probe might be one that cannot fail."""
    real = git_store.GitStore.push

    def takes_all(self: git_store.GitStore, updates: list[git_store.Update]) -> object:
        refs = self._transport.ls_remote()
        return real(self, [git_store.Update(u.ref, refs.get(u.ref), u.new) for u in updates])

    monkeypatch.setattr(git_store.GitStore, "push", takes_all)
    finding = examined(clone)["compare-and-swap"]
    assert finding.state == FAIL and "create what exists: accepted" in finding.seen


def test_a_file_remote_that_packs_its_refs(clone: Path, remote: Path) -> None:
    git_says(remote, "config", "--unset", "gc.packRefs")
    assert examined(clone)["packing"].state == WARN
    assert examined(clone, fix=True)["packing"].state == OK
    assert git_says(remote, "config", "gc.packRefs").strip() == "false"


def test_keys_that_others_may_read(clone: Path) -> None:
    key = home(clone) / "keys" / "alice.key"
    key.chmod(0o644)
    finding = examined(clone)["keys"]
    assert finding.state == FAIL and str(key) in finding.seen
    assert stat.S_IMODE(key.stat().st_mode) == 0o644
    assert examined(clone, fix=True)["keys"].state == OK
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_key_that_is_not_the_fleets(clone: Path) -> None:
    (home(clone) / "keys" / "alice.key").write_text("11" * 32 + "\n", encoding="ascii")
    assert examined(clone)["agent"].state == FAIL
    (home(clone) / "keys" / "alice.key").unlink()
    assert examined(clone)["keys"].state == FAIL


def test_a_damaged_line_in_the_queue_is_mended_when_asked(clone: Path) -> None:
    with open(home(clone) / "events.offline.log", "ab") as file:
        file.write(b"rubbish\n")
    assert examined(clone)["queue"].state == WARN
    assert examined(clone, fix=True)["queue"].state == OK
    assert b"rubbish" in (home(clone) / "events.error.log").read_bytes()


def test_a_pause_is_found_and_resumed_when_asked(clone: Path) -> None:
    (home(clone) / "paused").write_text("no space left on the disk\n", encoding="utf-8")
    finding = examined(clone)["paused"]
    assert (finding.state, finding.seen) == (FAIL, "paused: no space left on the disk")
    assert examined(clone, fix=True)["paused"].state == OK
    assert not (home(clone) / "paused").exists()


def test_half_written_files_are_removed_when_asked(clone: Path) -> None:
    left = home(clone) / "progress.json.4711"
    left.write_bytes(b"{")
    os.utime(left, (1, 1))
    assert examined(clone)["leftovers"].state == WARN and left.exists()
    assert examined(clone, fix=True)["leftovers"].state == OK and not left.exists()


def test_who_holds_a_lock_is_named(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gitcoord.node.diagnostics.local_checks.LOCK_WAIT_S", 0.1)
    with open_node(clone) as node, node.home.sync_lock.acquire():
        finding = examined(clone)["lock"]
    assert finding.state == WARN and f"process {os.getpid()} " in finding.seen and "syncing" in finding.seen


def test_words_from_the_future(clone: Path, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with found.init(tmp_path / "bob", InitRequest(agent="bob", remote=str(remote))).node as node:
        monkeypatch.setattr("gitcoord.node.writer.utc_now", lambda: "2099-01-01T00:00:00.000Z")
        node.append(node.draft("note", "from the future", actor="bob"))
        node.sync()
        name = node.disk.node
    monkeypatch.undo()
    with open_node(clone) as node:
        node.sync()
    finding = examined(clone)["clock"]
    assert finding.state == WARN and name in finding.seen and " d in the future" in finding.seen


def test_a_profile_that_a_forge_would_not_bear(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_checks, "profile_for", lambda common, remote: "github")
    assert examined(clone)["profile"].state == WARN


def test_a_vanished_ledger(clone: Path, remote: Path) -> None:
    git_says(remote, "update-ref", "-d", "refs/heads/gitcoord/ledger")
    assert examined(clone)["ledger"].state == FAIL


def test_a_damaged_configuration_is_a_finding(clone: Path) -> None:
    (home(clone) / "config.json").write_bytes(b"{")
    assert "config.json cannot be read" in examined(clone)["fleet"].seen


def test_a_check_that_cannot_be_carried_out_is_a_finding() -> None:
    def broken(ctx: findings.DoctorContext) -> object:
        raise OSError(28, "No space left on device")
        yield

    [finding] = findings.perform("disk", broken, findings.DoctorContext(Path()))  # type: ignore[arg-type]
    assert finding.state == FAIL and "no space left" in finding.seen


# The private store


def objects(clone: Path) -> list[Path]:
    return [path for path in (home(clone) / "store.git" / "objects").rglob("*") if path.is_file()]


def remove_all(clone: Path) -> None:
    for path in objects(clone):
        path.unlink()


def empty_all(clone: Path) -> None:
    for path in objects(clone):
        path.chmod(0o644)
        path.write_bytes(b"")


def tear_all(clone: Path) -> None:
    for path in objects(clone):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:10])


def remove_store(clone: Path) -> None:
    subprocess.run(["rm", "-r", str(home(clone) / "store.git")], check=True)


DAMAGES = {
    "objects removed": remove_all,
    "objects empty": empty_all,
    "objects torn": tear_all,
    "folder removed": remove_store,
}


def test_branches_that_could_not_be_pushed_are_named(clone: Path) -> None:
    assert "branches" not in examined(clone)
    pushes = branch_pushes.BranchPushes(home(clone), clone, "origin", "alice", say=lambda kind, text: None)
    (home(clone) / "work").mkdir(exist_ok=True)
    begun = pushes.begin("task", 1, ["fix/parser"], home(clone) / "work" / "task-1")
    begun.wait(WAIT_S)
    finding = examined(clone)["branches"]
    assert finding.state == WARN and "fix/parser, on which alice did tasks" in finding.seen


@pytest.mark.parametrize("damage", list(DAMAGES.values()), ids=list(DAMAGES))
def test_a_sync_mends_a_damaged_store_and_says_so(clone: Path, damage: Callable[[Path], None]) -> None:
    damage(clone)
    (home(clone) / "cache" / "replica.json").unlink(missing_ok=True)
    told: list[str] = []
    with open_node(clone, tell=lambda kind, text: told.append(kind)) as node:
        node.append(node.draft("note", "after the damage", actor="alice"))
        node.sync()
        assert [e.content for _, e in node.events() if e.type == "note"] == ["hello", "after the damage"]
    assert examined(clone)["store"].state == OK
    assert told == ["store_rebuilt"]


@pytest.mark.parametrize("damage", [remove_all, empty_all, tear_all])
def test_the_doctor_finds_and_mends_a_damaged_store(clone: Path, damage: Callable[[Path], None]) -> None:
    damage(clone)
    assert examined(clone)["store"].state == FAIL
    found = examined(clone, fix=True)
    assert found["store"].state == OK and found["agent"].state == OK
    assert (home(clone) / "store.git.damaged").exists()


def test_a_damaged_store_stays_while_the_remote_is_away(clone: Path, remote: Path) -> None:
    remove_all(clone)
    (home(clone) / "cache" / "replica.json").unlink()  # with it, no object is read before the remote answers
    remote.rename(remote.with_name("away"))
    with open_node(clone) as node:
        with pytest.raises(Unreachable, match="is damaged, and cannot be fetched again now"):
            node.sync()
        [event] = node.append(node.draft("note", "queued all the same", actor="alice"))
    assert not (home(clone) / "store.git.damaged").exists() and not (home(clone) / "store.git.fresh").exists()
    remote.with_name("away").rename(remote)
    with open_node(clone) as node:
        node.sync()
        assert event.uid in node.fleet.positions


def test_a_sound_store_is_not_fetched_again_for_another_reason(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_node(clone) as node:
        monkeypatch.setattr(node, "_round", lambda *_: (_ for _ in ()).throw(Corrupt("another fleet's ledger")))
        with pytest.raises(Corrupt, match="another fleet's"):
            node.sync()
    assert not (home(clone) / "store.git.damaged").exists()


def test_a_rollback_is_still_found_out_after_the_store_was_rebuilt(clone: Path, remote: Path) -> None:
    with open_node(clone) as node:
        tip = node.home.tip
        with node.home.sync_lock.acquire():
            store_repair.rebuild_store(node.home, node.config)
        assert node.home.tip == tip
        git_says(remote, "update-ref", "refs/heads/gitcoord/ledger", f"{tip}~1")
        told: list[str] = []
        node.tell = lambda kind, text: told.append(kind)
        node.sync()
        assert "rollback" in told
    assert git_says(remote, "rev-parse", "refs/heads/gitcoord/ledger").strip() == tip


# The command


def run(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gitcoord", "doctor", *arguments],
        cwd=clone,
        text=True,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(TOP)},
    )


def test_the_command_prints_for_people_and_for_programs(clone: Path) -> None:
    done = run(clone)
    assert done.returncode == 0 and "ok    compare-and-swap: works" in done.stdout
    assert "→ run `gitcoord agent run`" in done.stdout
    value = json.loads(run(clone, "--json").stdout)
    assert value["schema"] == "gitcoord.doctor/1"
    assert all(set(one) == {"check", "state", "seen", "fix"} for one in value["findings"])
    (home(clone) / "paused").write_text("no space\n", encoding="utf-8")
    assert run(clone).returncode == 1


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"])
@pytest.mark.parametrize(
    ("value", "bad"),
    [
        ("{clone}", True),
        ("{clone}/src", True),
        ("/usr/lib{sep}{clone}/src", True),
        ("/usr/lib{sep}", True),
        (".", True),
        ("src", True),
        ("{link}/src", True),
        ("{clone}-other", False),
        ("/usr/lib{sep}/opt", False),
        ("", False),
    ],
)
def test_a_variable_by_which_python_reads_the_checkout_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, bad: bool
) -> None:
    (tmp_path / "clone" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "clone")
    local_repo.init_repository(tmp_path / "clone")
    for other in doctor.PYTHON_READS:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value.format(clone=tmp_path / "clone", link=tmp_path / "link", sep=os.pathsep))
    finding = examined(tmp_path / "clone" / "below")["environment"]
    assert (finding.state == WARN) is bad
    assert not bad or (name in finding.seen and "unset PYTHONPATH" in finding.fix)
