"""What only real git has: secrets, hooks, hung transports, torn files, and a user's repository nearby."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from gitcoord.core.errors import BadCredentials, Corrupt, Denied, GitcoordError, Paused, Refused, Unreachable
from gitcoord.core.ports import Oid, Pushed, PushOutcome, TreeEntry, Update
from gitcoord.store import program
from gitcoord.store.git import git_output, git_store, maintenance, process
from gitcoord.store.git.git_store import GitStore
from gitcoord.store.git.local_repo import find_common_dir, init_repository, make_bare_remote, remote_url
from gitcoord.store.git.process import GitResult
from gitcoord.store.git.refs import loose_path
from gitcoord.store.git.spawn import LEAST_GIT, git_version
from gitcoord.store.git.transport import PRIVATE
from tests.http_remote import HttpRemote, is_push
from tests.waiting import wait_until

LEDGER = "refs/heads/gitcoord/ledger"
NODES = "refs/gitcoord/nodes"
ONE = f"{NODES}/one"
TOKEN = "tok-5f2a91c07e"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    make_bare_remote(tmp_path / "fleet.git")
    return tmp_path / "fleet.git"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    init_repository(tmp_path / "clone")
    return tmp_path / "clone"


def new_store(folder: Path, url: str, *, config_from: Path | None = None, timeout_s: float = 30.0) -> GitStore:
    path = folder / f"store-{len(list(folder.iterdir()))}.git"
    GitStore.create(path)
    return GitStore(path, url=url, ledger_ref=LEDGER, outbox_prefix=NODES, config_from=config_from, timeout_s=timeout_s)


@pytest.fixture
def store(tmp_path: Path, bare: Path) -> Iterator[GitStore]:
    with new_store(tmp_path, str(bare)) as made:
        yield made


def commit(store: GitStore, text: str, *parents: Oid) -> Oid:
    tree = store.put_tree({"events.log": TreeEntry(store.put_blob(text.encode()))})
    return store.put_commit(tree=tree, parents=parents, message=text, author="alice", time_s=1_700_000_000)


def push_one(store: GitStore, text: str = "x", old: Oid | None = None) -> Pushed:
    return store.push([Update(ONE, old, commit(store, text))])[ONE]


def git(folder: Path, *args: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *args], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def hook(bare: Path, name: str, script: str) -> None:
    (bare / "hooks").mkdir(exist_ok=True)
    (bare / "hooks" / name).write_text("#!/bin/sh\n" + script)
    (bare / "hooks" / name).chmod(0o755)


# Hooks and refusals


@pytest.mark.parametrize("name", ["pre-receive", "update"])
def test_a_hooks_words_are_in_the_reason(store: GitStore, bare: Path, name: str) -> None:
    hook(bare, name, "echo no pushes on Friday >&2\nexit 1\n")
    told = push_one(store)
    assert told.outcome is PushOutcome.DENIED
    assert "hook declined" in told.reason and "no pushes on Friday" in told.reason


def test_a_hook_that_never_stops_talking_is_cut_short(store: GitStore, bare: Path) -> None:
    hook(bare, "update", "head -c 5000000 /dev/zero | tr '\\0' x >&2\nexit 1\n")
    told = push_one(store)
    assert told.outcome is PushOutcome.DENIED
    assert len(told.reason) <= git_output.REASON_CHARS_MAX


def test_a_hook_cannot_steer_the_terminal(store: GitStore, bare: Path) -> None:
    hook(bare, "update", "printf '\\033]0;owned\\007\\033[31mred\\033[0m\\n' >&2\nexit 1\n")
    reason = push_one(store).reason
    assert "red" in reason and reason.isprintable()


def test_a_hidden_ref_is_denied(store: GitStore, bare: Path) -> None:
    git(bare, "config", "receive.hideRefs", "refs/gitcoord")
    assert push_one(store).outcome is PushOutcome.DENIED


def test_rewriting_and_deleting_where_that_is_prohibited_is_denied(store: GitStore, bare: Path) -> None:
    first, other = commit(store, "first"), commit(store, "other")
    store.push([Update(LEDGER, None, first)])
    git(bare, "config", "receive.denyNonFastForwards", "true")  # git heeds both under refs/heads only
    git(bare, "config", "receive.denyDeletes", "true")
    assert store.push([Update(LEDGER, first, other)])[LEDGER].outcome is PushOutcome.DENIED
    assert store.push([Update(LEDGER, first, None)])[LEDGER].outcome is PushOutcome.DENIED


@pytest.mark.parametrize("ref", ["refs/x", "refs/heads/.x", "refs/heads/a..b"])
def test_a_name_that_git_does_not_take_is_denied(store: GitStore, ref: str) -> None:
    assert store.push([Update(ref, None, commit(store, "x"))])[ref].outcome is PushOutcome.DENIED


def test_a_race_lost_on_the_server_is_stale(store: GitStore, bare: Path) -> None:
    winner = commit(store, "winner")
    store.push([Update(f"{NODES}/other", None, winner)])
    script = f"git --git-dir='{bare}' update-ref {LEDGER} {winner}\n"
    hook(bare, "pre-receive", "unset GIT_QUARANTINE_PATH\n" + script)
    told = store.push([Update(LEDGER, None, commit(store, "loser"))])[LEDGER]
    assert told.outcome is PushOutcome.STALE
    assert store.fetch().refs[LEDGER] == winner


# Words of git that no test here can provoke; each was seen, or stands in git's sources.

UPDATE = Update(ONE, None, "a" * 40)
RPC = "error: RPC failed; HTTP {} curl 22 The requested URL returned error: {}\nfatal: the remote end hung up"
GET = "fatal: unable to access 'http://h/x.git/': The requested URL returned error: {}"


@pytest.mark.parametrize(
    ("stdout", "stderr", "outcome"),
    [
        (f"!\ta:{ONE}\t[remote rejected] (protected branch hook declined)", "", PushOutcome.DENIED),
        (f"!\ta:{ONE}\t[remote rejected] (permission denied)", "", PushOutcome.DENIED),
        (f"!\ta:{ONE}\t[remote rejected] (cannot lock ref 'x': is at A but expected B)", "", PushOutcome.STALE),
        (f"!\ta:{ONE}\t[remote rejected] (failed to update ref)", "fatal: hung up", PushOutcome.STALE),
        (f"!\ta:{ONE}\t[remote rejected] (failed to update ref)", "No space left on device", PushOutcome.DENIED),
        (f"!\ta:{ONE}\t[rejected] (fetch first)", "", PushOutcome.STALE),
        (f"!\ta:{ONE}\t[remote failure] (remote failed to report status)", "", PushOutcome.UNKNOWN),
        ("", RPC.format(502, 502), PushOutcome.UNKNOWN),
        ("", RPC.format(403, 403), PushOutcome.DENIED),
        ("", RPC.format(429, 429), PushOutcome.UNREACHABLE),
        ("", "error: RPC failed; curl 52 Empty reply from server", PushOutcome.UNKNOWN),
        ("", "send-pack: unexpected disconnect while reading sideband packet", PushOutcome.UNKNOWN),
        ("", GET.format(503), PushOutcome.UNREACHABLE),
        ("", GET.format(429), PushOutcome.UNREACHABLE),
        ("", GET.format(403), PushOutcome.DENIED),
        ("", "ssh: connect to host h port 22: Connection refused", PushOutcome.UNREACHABLE),
        ("", "git@h: Permission denied (publickey).", PushOutcome.DENIED),
        ("", "", PushOutcome.UNKNOWN),
    ],
)
def test_a_pushes_outcome_is_read_from_gits_words(stdout: str, stderr: str, outcome: PushOutcome) -> None:
    assert git_output.push_outcomes([UPDATE], stdout, stderr)[ONE].outcome is outcome


@pytest.mark.parametrize(
    ("stderr", "error"),
    [
        ("fatal: Authentication failed for 'https://h/x.git/'", BadCredentials),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", BadCredentials),
        ("Permission denied (publickey).\nfatal: Could not read from remote repository.", BadCredentials),
        (GET.format(403), Denied),
        (GET.format(429), Unreachable),
        (GET.format(500), Unreachable),
        ("remote: Repository not found.\nfatal: repository 'https://h/x.git/' not found", Unreachable),
        ("fatal: unable to access 'https://h/': Could not resolve host: h", Unreachable),
        ("fatal: write error: No space left on device", Paused),
        ("fatal: bad object refs/gitcoord/kept/ledger", Corrupt),
        ("", Unreachable),
    ],
)
def test_a_fetchs_error_is_read_from_gits_words(stderr: str, error: type[GitcoordError]) -> None:
    assert type(git_output.fetch_error("https://h/x.git", stderr)) is error


def test_an_error_names_the_status(http_remote: HttpRemote, tmp_path: Path) -> None:
    with new_store(tmp_path, http_remote.make()) as store:
        http_remote.respond(503)
        with pytest.raises(Unreachable, match="503"):
            store.fetch()
        http_remote.respond(429)
        told = push_one(store)
    assert told.outcome is PushOutcome.UNREACHABLE and "429" in told.reason


def test_a_line_that_breaks_in_a_push_leaves_it_unknown(http_remote: HttpRemote, tmp_path: Path) -> None:
    with new_store(tmp_path, http_remote.make()) as store:
        http_remote.cut(applied=True)
        assert push_one(store).outcome is PushOutcome.UNKNOWN
        assert store.fetch().refs == {ONE: commit(store, "x")}  # only a fetch could tell


def test_a_repository_that_is_not_there_is_named(tmp_path: Path) -> None:
    with new_store(tmp_path, str(tmp_path / "absent.git")) as store:
        with pytest.raises(Unreachable, match=r"absent\.git.*not appear to be a git repository"):
            store.fetch()


def test_what_looks_like_an_option_is_no_remote(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        new_store(tmp_path, "--upload-pack=touch owned")


# Timeouts


def hanging_ssh(folder: Path) -> tuple[Path, Path]:
    """An ssh that starts a child and hangs; where both write their process ids."""
    pids = folder / "pids"
    script = folder / "ssh"
    script.write_text(f"#!/bin/sh\nsleep 60 &\necho $! >> '{pids}'\necho $$ >> '{pids}'\nwait\n")
    script.chmod(0o755)
    return script, pids


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_timeout_ends_git_and_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script, pids = hanging_ssh(tmp_path)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(script))
    with new_store(tmp_path, "ssh://nowhere.invalid/x.git", timeout_s=0.5) as store:
        began = time.monotonic()
        with pytest.raises(Unreachable, match="did not answer in 0.5 s"):
            store.fetch()
        assert push_one(store) == Pushed(PushOutcome.UNKNOWN, "no answer in 0.5 s")
    assert time.monotonic() - began < 10
    started = [int(pid) for pid in pids.read_text().split()]
    assert len(started) == 4
    wait_until(lambda: not any(alive(pid) for pid in started), what="the hung ssh to be ended")


def test_an_ssh_that_stays_in_the_background_is_not_waited_for(
    tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "ssh"  # as ControlPersist does: a child keeps standard error open
    script.write_text(f"#!/bin/sh\nsleep 20 >/dev/null &\necho $! > '{tmp_path}/pid'\neval \"exec $2\"\n")
    script.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(script))
    monkeypatch.setenv("GIT_SSH_VARIANT", "simple")
    with new_store(tmp_path, f"ssh://h{bare}") as store:
        began = time.monotonic()
        assert push_one(store).outcome is PushOutcome.ACCEPTED
        assert time.monotonic() - began < 10
    os.kill(int((tmp_path / "pid").read_text()), 15)


def test_a_server_that_is_slow_leaves_a_push_unknown(http_remote: HttpRemote, tmp_path: Path) -> None:
    with new_store(tmp_path, http_remote.make(), timeout_s=1.0) as store:
        with http_remote.hold():
            assert push_one(store).outcome is PushOutcome.UNKNOWN


# Secrets


def test_secrets_are_blotted_out_of_what_git_says() -> None:
    said = f"fatal: https://x:pw@h/a.git Authorization: Basic QUJDREVG {TOKEN} ghp_{'a1' * 18}"
    scrubbed = git_output.scrub(said, [TOKEN])
    assert scrubbed == "fatal: https://***@h/a.git Authorization: Basic *** *** ***"


def test_a_password_in_the_url_is_used_and_never_shown(tmp_path: Path, clone: Path) -> None:
    with HttpRemote(tmp_path / "server", token=TOKEN, user="me") as server:
        server.make()
        with new_store(tmp_path, server.url(user="me", password=TOKEN)) as store:
            assert push_one(store).outcome is PushOutcome.ACCEPTED
            server.token = "changed"
            with pytest.raises(BadCredentials) as caught:
                store.fetch()
            told = push_one(store, "again")
    assert TOKEN not in str(caught.value) and TOKEN not in told.reason
    assert told.outcome is PushOutcome.DENIED and told.reason.startswith("credentials:")


def test_gitcoords_token_opens_any_http_remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITCOORD_TOKEN", TOKEN)
    with HttpRemote(tmp_path / "server", token=TOKEN) as server:
        with new_store(tmp_path, server.make()) as store:
            assert push_one(store).outcome is PushOutcome.ACCEPTED
            assert set(store.fetch().refs) == {ONE}
            written = [path for path in store.path.rglob("*") if path.is_file()]
            assert not any(TOKEN.encode() in path.read_bytes() for path in written)
            assert (store.path / "askpass").stat().st_mode & 0o777 == 0o700


def test_githubs_token_goes_to_github_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    with HttpRemote(tmp_path / "server", token=TOKEN) as server:
        url = server.make()
        with new_store(tmp_path, url) as store, pytest.raises(BadCredentials):
            store.fetch()
        monkeypatch.setenv("GITHUB_SERVER_URL", url.rpartition("/")[0])
        with new_store(tmp_path, url) as store:
            assert store.fetch().refs == {}
        assert {request.user for request in server.requests() if request.user} == {"x-access-token"}


@pytest.mark.parametrize("host, known", [("https://elsewhere.invalid", True), (None, False)])
def test_a_helper_keeps_githubs_token_back_where_it_is_for_that_host(
    tmp_path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch, host: str | None, known: bool
) -> None:
    git(clone, "config", f"credential.{host}.helper" if host else "credential.helper", "!true")
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    with HttpRemote(tmp_path / "server", token=TOKEN) as server:
        url = server.make()
        monkeypatch.setenv("GITHUB_SERVER_URL", url.rpartition("/")[0])
        with new_store(tmp_path, url, config_from=clone) as store:
            with contextlib.nullcontext() if known else pytest.raises(BadCredentials):
                assert store.fetch().refs == {}


def test_a_token_is_kept_from_the_users_helper(tmp_path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tmp_path / "asked"
    git(clone, "config", "credential.helper", f"!echo >> '{asked}'; true")
    monkeypatch.setenv("GITCOORD_TOKEN", TOKEN)
    with HttpRemote(tmp_path / "server", token=TOKEN) as server:
        with new_store(tmp_path, server.make(), config_from=clone) as store:
            assert store.fetch().refs == {}
    assert not asked.exists()


def test_the_clones_own_helper_is_asked(tmp_path: Path, clone: Path) -> None:
    git(clone, "config", "credential.helper", f"!echo username=me; echo password={TOKEN}; true")
    with HttpRemote(tmp_path / "server", token=TOKEN, user="me") as server:
        with new_store(tmp_path, server.make(), config_from=clone) as store:
            assert push_one(store).outcome is PushOutcome.ACCEPTED


def test_a_workflows_checkout_header_is_enough_and_is_sent_once(
    tmp_path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = "AUTHORIZATION: basic ".replace("basic", "Basic")
    header += base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    with HttpRemote(tmp_path / "server", token=TOKEN) as server:
        url = server.make()
        host = url.rpartition("/")[0] + "/"
        included = tmp_path / "credentials.config"  # newer checkouts keep it outside of .git/config
        git(clone, "config", "--file", str(included), f"http.{host}.extraheader", header)
        git(clone, "config", f"includeIf.gitdir:{clone}/.git.path", str(included))
        monkeypatch.setenv("GITHUB_TOKEN", "another")
        monkeypatch.setenv("GITCOORD_TOKEN", "another")
        monkeypatch.setenv("GITHUB_SERVER_URL", host)
        with new_store(tmp_path, url, config_from=clone) as store:
            assert push_one(store).outcome is PushOutcome.ACCEPTED
            server.token = "changed"
            told = push_one(store, "again")
        assert 400 not in [request.status for request in server.requests()]
    assert told.outcome is PushOutcome.DENIED and TOKEN not in told.reason


def test_no_secret_is_in_any_argument(tmp_path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    git(clone, "config", "http.extraHeader", f"X-Secret: {TOKEN}")
    with HttpRemote(tmp_path / "server", token=TOKEN, user="me") as server:
        server.make()
        url = server.url(user="me", password=TOKEN)
        with new_store(tmp_path, url, config_from=clone, timeout_s=2.0) as store:
            with server.hold(when=lambda *_: bool(look(seen)) or True, times=1):
                assert push_one(store).outcome in (PushOutcome.UNKNOWN, PushOutcome.UNREACHABLE)
    assert any("git-remote-http" in line or "remote-http" in line for line in seen)
    assert not any(TOKEN in line for line in seen)


def look(seen: list[str]) -> list[str]:
    """The arguments of every process below this one, as `ps` shows them to all users."""
    for child in psutil.Process().children(recursive=True):
        try:
            seen.append(" ".join(child.cmdline()))
        except psutil.Error:
            pass
    return seen


def test_an_insteadof_of_the_clone_holds(tmp_path: Path, clone: Path, bare: Path) -> None:
    git(clone, "config", f"url.{bare.parent}/.insteadOf", "https://forge.invalid/")
    with new_store(tmp_path, "https://forge.invalid/fleet.git", config_from=clone) as store:
        assert push_one(store).outcome is PushOutcome.ACCEPTED
    assert git(bare, "rev-parse", ONE) == commit(store, "x")


# The user's repository


def picture(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_users_repository_is_left_as_it_was(tmp_path: Path, clone: Path, bare: Path) -> None:
    (clone / "file").write_text("x")
    git(clone, "add", "file")
    git(clone, "commit", "-m", "mine")
    git(clone, "remote", "add", "origin", str(bare))
    before = picture(clone)
    with new_store(tmp_path, str(bare), config_from=clone / ".git") as store:
        push_one(store)
        store.fetch()
        store.keep("ledger", commit(store, "x"))
        assert find_common_dir(clone) == clone.resolve() / ".git"
        assert remote_url(clone, "origin") == str(bare)
    assert picture(clone) == before


def test_a_surrounding_hooks_environment_is_not_followed(
    tmp_path: Path, clone: Path, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = picture(clone)
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_QUARANTINE_PATH"):
        monkeypatch.setenv(name, str(clone / ".git"))
    assert remote_url(bare, "origin") is None
    monkeypatch.setenv("GIT_DIR", str(clone / ".git"))
    with new_store(tmp_path, str(bare)) as store:
        assert push_one(store).outcome is PushOutcome.ACCEPTED
        assert set(store.fetch().refs) == {ONE}
    assert picture(clone) == before


def test_the_users_hooks_and_push_settings_do_not_reach_us(
    tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "gitconfig"
    hook(tmp_path, "pre-push", "exit 1\n")
    text = f"[core]\nhooksPath = {tmp_path}/hooks\n[push]\ngpgSign = true\nfollowTags = true\n"
    config.write_text(text + "[fetch]\nfsckObjects = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    with new_store(tmp_path, str(bare)) as store:
        assert push_one(store).outcome is PushOutcome.ACCEPTED
        hook(tmp_path, "reference-transaction", "exit 1\n")
        assert set(store.fetch().refs) == {ONE}


def test_the_settings_in_the_environment_are_kept(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{bare.parent}/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://forge.invalid/")
    with new_store(tmp_path, "https://forge.invalid/fleet.git") as store:
        assert store.fetch().refs == {}


# Crashes


def damage(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


@pytest.mark.parametrize("data", [b"", b"\0" * 64, b"x\x9c"])
def test_a_torn_object_is_corrupt_and_can_be_put_again(store: GitStore, data: bytes) -> None:
    oid = store.put_blob(b"torn" * 100)
    damage(loose_path(store.path, oid), data)
    store.close()  # else it is read from memory
    with pytest.raises(Corrupt, match=oid):
        store.blob(oid)
    assert store.blob(store.put_blob(b"fine")) == b"fine"
    assert store.put_blob(b"torn" * 100) == oid
    assert store.blob(oid) == b"torn" * 100


@pytest.mark.parametrize("kind", ["blob", "tree", "commit"])
def test_a_fetch_brings_again_what_a_power_loss_tore(store: GitStore, bare: Path, kind: str) -> None:
    tip = commit(store, "x")
    store.push([Update(ONE, None, tip)])
    assert store.fetch().refs == {ONE: tip}
    tree = store.commit(tip).tree
    torn = {"commit": tip, "tree": tree, "blob": store.tree(tree)["events.log"].oid}[kind]
    damage(loose_path(store.path, torn), b"")
    store.close()
    if kind != "commit":  # git looks at no more than commits
        with pytest.raises(Corrupt, match="run `gitcoord sync` again"):
            store.blob(torn) if kind == "blob" else store.tree(torn)
    newer = commit_elsewhere(bare, tip)
    assert store.fetch().refs == {ONE: newer}
    assert store.blob(store.tree(store.commit(tip).tree)["events.log"].oid) == b"x"


def commit_elsewhere(bare: Path, parent: Oid) -> Oid:
    tree = git(bare, "rev-parse", parent + "^{tree}")
    new = git(bare, "commit-tree", "-p", parent, "-m", "newer", tree)
    git(bare, "update-ref", ONE, new)
    return new


def test_an_emptied_ref_of_the_mirror_mends_itself(store: GitStore) -> None:
    tip = commit(store, "x")
    store.push([Update(ONE, None, tip)])
    store.fetch()
    damage(store.path / "refs/gitcoord/remote/gitcoord/nodes/one", b"")
    assert store.fetch().refs == {ONE: tip}


def test_a_lock_left_by_a_crash_is_removed_when_nobody_can_hold_it(store: GitStore, bare: Path) -> None:
    tip = commit(store, "x")
    store.push([Update(ONE, None, tip)])
    newer = commit_elsewhere(bare, tip)
    lock = store.path / "refs/gitcoord/remote/gitcoord/nodes/one.lock"
    lock.touch()
    environment = {**os.environ, "GIT_DIR": str(store.path)}
    with subprocess.Popen(["git", "hash-object", "--stdin"], stdin=subprocess.PIPE, env=environment):
        with pytest.raises(GitcoordError):  # some git works on the store: it may be that one's
            store.fetch()
    assert store.fetch().refs == {ONE: newer}


def test_what_others_pushed_is_seen_after_quiet_looks(store: GitStore, bare: Path) -> None:
    tip = commit(store, "x")
    store.push([Update(ONE, None, tip)])
    assert [store.fetch().refs for _ in range(3)] == [{ONE: tip}] * 3
    newer = commit_elsewhere(bare, tip)
    assert store.fetch().refs == {ONE: newer} and store.commit(newer).parents == (tip,)
    assert store.fetch().refs == {ONE: newer}
    git(bare, "update-ref", "-d", ONE)
    assert store.fetch().refs == {}


def test_a_quiet_look_starts_one_git_and_fetches_nothing(store: GitStore, tmp_path: Path) -> None:
    store.push([Update(ONE, None, commit(store, "x"))])
    store.fetch()
    with tracing(tmp_path / "trace") as started:
        store.fetch()
        store.push([Update(ONE, store.fetch().refs[ONE], commit(store, "y"))])
        store.fetch()
    commands = [words.removeprefix(str(program.git())) for words in started()]  # git's own children are called `git`
    assert [words.removeprefix(" -c protocol.version=0").split()[0] for words in commands if words.startswith(" ")] == [
        "ls-remote",
        "ls-remote",
        "push",
        "ls-remote",
    ]


def test_a_remote_with_many_other_refs_is_not_listed_twice(store: GitStore, bare: Path, tmp_path: Path) -> None:
    tip = commit(store, "x")
    store.push([Update(ONE, None, tip)])
    store.fetch()
    lines = "".join(f"create refs/pull/{number}/head {tip}\n" for number in range(300))
    subprocess.run(["git", "-C", str(bare), "update-ref", "--stdin"], input=lines, text=True, check=True)
    with tracing(tmp_path / "trace") as started:
        assert [store.fetch().refs for _ in range(3)] == [{ONE: tip}] * 3
    assert sum(" ls-remote " in words for words in started()) == 1


def test_damage_that_was_found_is_mended_although_nothing_is_new(store: GitStore) -> None:
    tip = commit(store, "x")
    store.push([Update(ONE, None, tip)])
    store.fetch()
    blob = store.tree(store.commit(tip).tree)["events.log"].oid
    damage(loose_path(store.path, blob), b"")
    store.close()
    with pytest.raises(Corrupt, match="run `gitcoord sync` again"):
        store.blob(blob)
    store.fetch()
    assert store.blob(blob) == b"x"


@contextlib.contextmanager
def tracing(path: Path) -> Iterator[Callable[[], list[str]]]:
    """The commands of git that are started meanwhile."""
    path.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_TRACE2_EVENT", str(path))
        yield lambda: [
            " ".join(event["argv"])
            for event in map(json.loads, path.read_text("utf-8").splitlines())
            if event["event"] == "start" and event["sid"].count("/") == 0
        ]


def test_packed_refs_are_read(store: GitStore) -> None:
    tip, newer = commit(store, "x"), commit(store, "y")
    store.push([Update(ONE, None, tip)])
    store.keep("ledger", tip)
    store.fetch()
    git(store.path, "pack-refs", "--all", "--prune")
    assert store.fetch().refs == {ONE: tip}
    assert store.kept() == {"ledger": tip}
    store.keep("ledger", newer)
    assert store.kept() == {"ledger": newer}
    store.keep("ledger", None)
    assert store.kept() == {}


def test_objects_are_read_after_they_were_packed(store: GitStore) -> None:
    tip = commit(store, "x")
    store.keep("ledger", tip)
    store.close()
    assert store.commit(tip).message == "x"
    git(store.path, "repack", "-a", "-d", "-q")
    assert not loose_path(store.path, tip).exists()
    assert store.commit(tip).message == "x"


def test_a_cluttered_store_is_packed_and_keeps_what_its_refs_name(
    store: GitStore, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tip = commit(store, "x")
    store.push([Update(ONE, None, tip)])
    store.keep("ledger", tip)
    for _ in range(3):
        newer = commit_elsewhere(bare, store.fetch().refs[ONE])
        assert store.fetch().refs == {ONE: newer}
    dropped = store.put_blob(b"nobody names this")
    assert store.tidy() is False
    monkeypatch.setattr("gitcoord.store.git.maintenance.PACKS_MAX", 3)
    assert store.tidy() is True
    assert store.tidy() is False
    assert len(list((store.path / "objects" / "pack").glob("*.pack"))) == 1
    assert [store.commit(oid).oid for oid in (tip, newer)] == [tip, newer]
    with pytest.raises(Corrupt):
        store.blob(dropped)
    assert store.put_blob(b"nobody names this") == dropped and store.blob(dropped)
    assert git(store.path, "fsck", "--full", "--no-dangling") == ""


def test_a_fetch_outlasts_a_tidying_whose_process_was_killed(
    store: GitStore, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take what is fetched for rubbish: no ref names that yet."""
    (store.path / maintenance.MARK).touch()
    environment = {**os.environ, "GIT_DIR": str(store.path)}
    with subprocess.Popen(
        ["git", "hash-object", "--stdin"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment
    ) as tidying:
        looked = []

        def works_on(path: Path) -> bool:
            looked.append(process.works_on(path))
            if len(looked) == 3:
                tidying.communicate()
            return looked[-1]

        monkeypatch.setattr(maintenance, "works_on", works_on)
        assert store.fetch().refs == {}
    assert looked == [True, True, True, False] and not (store.path / maintenance.MARK).exists()


def test_a_tidying_without_end_is_told(store: GitStore, monkeypatch: pytest.MonkeyPatch) -> None:
    (store.path / maintenance.MARK).touch()
    monkeypatch.setattr(maintenance, "works_on", lambda path: True)
    with pytest.raises(Paused, match="still packs"):
        maintenance.wait_for_other(store.path, 0.05)
    assert (store.path / maintenance.MARK).exists()


def test_a_killed_reader_is_started_again(store: GitStore) -> None:
    oids = [store.put_blob(text) for text in (b"x", b"y")]
    store.close()
    assert store.blob(oids[0]) == b"x"
    for child in psutil.Process().children():
        child.kill()
        child.wait()
    assert store.blob(oids[1]) == b"y"


def test_a_closed_store_leaves_no_process(store: GitStore) -> None:
    oid = store.put_blob(b"x")
    store.close()
    assert store.blob(oid) == b"x" and psutil.Process().children()
    store.close()
    assert not psutil.Process().children()


def test_a_disk_that_refuses_is_said_to_be_at_fault(store: GitStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", full)
    with pytest.raises(Paused, match="No space left"):
        store.put_blob(b"x")
    monkeypatch.undo()
    assert store.blob(store.put_blob(b"x")) == b"x"


def test_ten_thousand_commits_are_walked_without_recursion(store: GitStore) -> None:
    tree = store.put_tree({})
    commits: list[Oid] = []
    for number in range(10_000):
        commits.append(
            store.put_commit(tree=tree, parents=commits[-1:], message=str(number), author="a", time_s=number)
        )
    assert store.is_ancestor(commits[0], commits[-1])
    assert len(store.first_parents(commits[-1], stop=commits[0], limit=10_000)) == 9_999


@pytest.mark.parametrize("page", [1, 2, 3, 100])
def test_a_very_deep_ledger_is_walked_by_git_and_gives_the_same(
    store: GitStore, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, line = store.put_tree({}), []
    side = store.put_commit(tree=tree, parents=[], message="side", author="a", time_s=9)
    for number in range(12):
        parents = [*line[-1:], *([side] if number == 5 else [])]
        line.append(store.put_commit(tree=tree, parents=parents, message=str(number), author="a", time_s=number))
    cases = [(line[-1], stop, limit) for stop in [None, side, *line] for limit in (1, 4, 11, 12, 100)]
    expected = [store.first_parents(tip, stop=stop, limit=limit) for tip, stop, limit in cases]
    monkeypatch.setattr(git_store, "FAR_COMMITS", 3)
    monkeypatch.setattr(git_store, "PAGE_COMMITS", page)
    assert [store.first_parents(tip, stop=stop, limit=limit) for tip, stop, limit in cases] == expected
    monkeypatch.setattr(git_output, "scrub", lambda text, secrets: text.replace("a", "***"))  # a login of one letter
    assert [store.first_parents(tip, stop=stop, limit=limit) for tip, stop, limit in cases] == expected
    monkeypatch.undo()
    monkeypatch.setattr(git_store, "FAR_COMMITS", 3)
    missing = store.put_commit(tree=tree, parents=["1" * 40], message="x", author="a", time_s=1)
    for number in range(5):
        missing = store.put_commit(tree=tree, parents=[missing], message=str(number), author="a", time_s=1)
    with pytest.raises(Corrupt):
        store.first_parents(missing, stop=None, limit=100)


# Setting up


def test_a_bare_remote_never_packs_its_refs_and_syncs_what_it_accepts(bare: Path) -> None:
    assert git(bare, "config", "core.fsync") == "all"
    assert git(bare, "config", "gc.packRefs") == "false"
    assert git(bare, "config", "receive.autogc") == "false"


def test_a_long_queue_stays_one_pack_on_a_bare_remote_and_a_short_one_is_unpacked(store: GitStore, bare: Path) -> None:
    def packs_after(blobs: int) -> int:
        files = {f"{number}.log": TreeEntry(store.put_blob(f"{blobs} {number}".encode())) for number in range(blobs)}
        tip = store.put_commit(tree=store.put_tree(files), parents=[], message="", author="a", time_s=0)
        store.push([Update(f"{NODES}/of-{blobs}", None, tip)])
        return len(list((bare / "objects" / "pack").glob("*.pack")))

    assert (packs_after(10), packs_after(40)) == (0, 1)


def test_worktrees_of_one_clone_share_a_directory(clone: Path, tmp_path: Path) -> None:
    git(clone, "commit", "--allow-empty", "-m", "first")
    git(clone, "worktree", "add", "-q", str(tmp_path / "tree"))
    (tmp_path / "tree" / "sub").mkdir()
    assert find_common_dir(tmp_path / "tree" / "sub") == find_common_dir(clone)
    assert find_common_dir(tmp_path / "nowhere") is None
    assert find_common_dir(tmp_path) is None


def test_a_relative_remote_is_made_absolute(clone: Path, tmp_path: Path) -> None:
    git(clone, "remote", "add", "origin", "../fleet.git")
    git(clone, "remote", "add", "forge", "git@forge.invalid:a/b.git")
    assert remote_url(clone, "origin") == str(tmp_path.resolve() / "fleet.git")
    assert remote_url(clone / ".git", "origin") == str(tmp_path.resolve() / "fleet.git")
    assert remote_url(clone, "forge") == "git@forge.invalid:a/b.git"
    assert remote_url(clone, "absent") is None


def test_gits_version_is_a_tuple_of_numbers() -> None:
    assert git_version() >= LEAST_GIT


def test_making_a_store_again_completes_it(tmp_path: Path, store: GitStore) -> None:
    oid = store.put_blob(b"x")
    (store.path / "askpass").unlink()
    GitStore.create(store.path)
    assert store.blob(oid) == b"x"
    assert (store.path / "askpass").exists()


def test_a_store_has_its_settings_before_it_is_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.git"
    with monkeypatch.context() as killed:
        killed.setattr("gitcoord.store.git.local_repo.spawn", lambda *_: GitResult(-9, "", "killed"))
        with pytest.raises(Paused):
            GitStore.create(path)
    assert not (path / "HEAD").exists()
    GitStore.create(path)
    assert {key: git(path, "config", "--local", key) for key in PRIVATE} == PRIVATE
    assert git(path, "config", "--local", "core.bare") == "true"


def test_several_may_make_a_store_at_once(tmp_path: Path) -> None:
    for number in range(5):
        path = tmp_path / f"store{number}.git"
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(GitStore.create, [path] * 8))
        assert {key: git(path, "config", "--local", key) for key in PRIVATE} == PRIVATE


def test_a_push_over_http_is_one_conversation(http_remote: HttpRemote, tmp_path: Path) -> None:
    with new_store(tmp_path, http_remote.make()) as store:
        new = commit(store, "x")
        store.push([Update(ONE, None, new), Update(LEDGER, None, new)])
    assert len(http_remote.requests(is_push)) == 1


@pytest.mark.parametrize("name", [b".git", b".GIT", b"..", b".", b"a/b", b""])
def test_a_name_that_git_would_not_check_out_is_left_out_of_a_tree_and_cannot_be_put_into_one(name: bytes) -> None:
    from gitcoord.core.ports import TreeEntry
    from gitcoord.store.git.objects import decode_tree, encode_tree

    row = b"100644 " + name + b"\0" + b"\1" * 20
    assert decode_tree("x", row + b"100644 kept\0" + b"\2" * 20) == {"kept": TreeEntry("02" * 20, False)}
    with pytest.raises(ValueError):
        encode_tree({name.decode(): TreeEntry("01" * 20, False)})
