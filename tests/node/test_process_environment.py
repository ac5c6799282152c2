"""A user's command gets no credentials, unless they are named; and what it calls still works."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from gitcoord.core.errors import Refused
from gitcoord.node.fleet import fleet_file
from gitcoord.node.process_environment import checked, command_environment, withheld
from tests.cli.clones import copied
from tests.waiting import WAIT_S, wait_until

TOKEN = "16C7e42F292c6912E7710c838347Ae178B4a"[::-1]  # in GitHub's shape, and nobody's
SECRETS = {
    "GITCOORD_TOKEN": "t",
    "GITCOORD_TOKEN_FILE": "/f",
    "GITCOORD_KEY": "5a" * 32,
    "GITCOORD_HMAC_KEY": "k",
    "GITCOORD_APP_ID": "1",
    "GITCOORD_APP_KEY": "pem",
    "GITCOORD_APP_INSTALLATION": "2",
    "GITCOORD_ALERTS": "json://h",
    "GITCOORD_ASKPASS_LENT": "l",
    "GITHUB_TOKEN": "g",
    "GH_TOKEN": "g",
    "GITHUB_PAT": "g",
    "ACTIONS_RUNTIME_TOKEN": "a",
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://h",
    "ACTIONS_RUNTIME_URL": "https://h",
    "GITHUB_ENV": "/e",
    "GITHUB_PATH": "/p",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_ACCESS_KEY_ID": "x",
    "ANTHROPIC_API_KEY": "x",
    "OPENAI_API_KEY": "x",
    "NPM_TOKEN": "x",
    "npm_config__auth": "x",
    "DB_PASSWORD": "x",
    "MYSQL_PWD": "x",
    "PGPASSWORD": "x",
    "SOME_SECRET_THING": "x",
    "SLACK_WEBHOOK_URL": "x",
    "SENTRY_DSN": "x",
    "SSH_KEY": "x",
    "apikey": "x",
    "DATABASE_URL": "postgres://me:pw@host/db",
    "HTTPS_PROXY": "http://me:pw@proxy:3128",
    "HARMLESS_NAME": "ghp_" + TOKEN,
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "http.extraHeader",
    "GIT_CONFIG_VALUE_0": "Authorization: Basic eA==",
    "GIT_CONFIG_PARAMETERS": "'http.extraheader=x'",
    "GOOGLE_APPLICATION_CREDENTIALS": "/file",
}
PLAIN = {
    "PATH": "/usr/bin",
    "HOME": "/h",
    "PWD": "/w",
    "LANG": "C.UTF-8",
    "GITCOORD_AGENT": "alice",
    "GITCOORD_REMOTE": "/r.git",
    "GITCOORD_NODE": "n",
    "GITCOORD_PROFILE": "local",
    "SSH_AUTH_SOCK": "/s",
    "GIT_ASKPASS": "/a",
    "XAUTHORITY": "/x",
    "KEYBOARD": "de",
    "TOKENIZERS_PARALLELISM": "false",
    "MAX_OUTPUT_TOKENS": "8000",
    "GIT_CONFIG_GLOBAL": "/g",
    "URL": "https://host/path@v1",
    "MONKEY": "1",
    "PASSAGE": "x",
}


def test_what_looks_like_a_credential_is_withheld_and_nothing_else() -> None:
    assert command_environment({**SECRETS, **PLAIN}, {"MORE": "1"}) == {**PLAIN, "MORE": "1"}
    assert withheld({**SECRETS, **PLAIN}) == sorted(SECRETS)


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_what_is_named_is_passed_on_alone(name: str) -> None:
    assert command_environment(SECRETS, {}, pass_env=[name]) == {name: SECRETS[name]}


@pytest.mark.parametrize("name", ["", "A=b", "1A", "A B", "A\n", "*", "GITCOORD_*"])
def test_a_name_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is not the name of a variable"):
        checked([name])
    file = tmp_path / "f.toml"
    file.write_text(f"[agents.a]\nexec = 'x'\npass_env = [{json.dumps(name)}]\n")
    with pytest.raises(Refused, match="is not the name of a variable"):
        fleet_file.read(file)


def told(path: Path) -> dict[str, str]:
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"), what="the command")
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


DUMP = (
    f"cat > /dev/null; '{sys.executable}' -I -c "
    "'import os; print(*map(\"=\".join, os.environ.items()), sep=chr(10))' > "
)


@pytest.mark.parametrize("option", ["--exec", "--on-event"])
@pytest.mark.parametrize("passed", [(), ("NPM_TOKEN", "GITCOORD_TOKEN")])
def test_commands_of_an_agent(tmp_path: Path, option: str, passed: tuple[str, ...]) -> None:
    alice, bob = copied(tmp_path, "alice", "bob")
    bob("append", "question", "Who?", "--to", "alice", "--wait", "durable")
    bob("task", "create", "T")
    words = [word for name in passed for word in ("--pass-env", name)]
    # gitcoord itself reads those that are left out here.
    secrets = {
        name: value
        for name, value in SECRETS.items()
        if not re.match("GITCOORD_(KEY|APP|ALERTS|TOKEN_FILE)|GIT_CONFIG|HTTPS_PROXY", name)
    }
    file = tmp_path / "told"
    command = f"{DUMP} {file}.new && mv {file}.new {file}"
    process = alice.start("agent", "run", option, command, "--for", "60", *words, **secrets)
    try:
        seen = told(file)
    finally:
        process.terminate()
        _, said = process.communicate(timeout=WAIT_S)
        print(said)
    assert {name for name in SECRETS if name in seen} == set(passed)
    assert seen["GITCOORD_AGENT"] == "alice"
    assert "withheld: commands do not get" in said and "GH_TOKEN" in said


def test_a_fleet_file_names_what_its_agents_pass_on(tmp_path: Path) -> None:
    from gitcoord.node.fleet import child

    file = tmp_path / "f.toml"
    file.write_text("[agents.a]\nhandler = 'sub/mine.py:work'\npass_env = ['GH_TOKEN', 'X', 'X']\n")
    words = list(child.argv("a", fleet_file.read(file).agents["a"]))
    assert words[words.index("--pass-env") :][:4] == ["--pass-env", "GH_TOKEN", "--pass-env", "X"]
    assert words[words.index("--handler") + 1] == f"{tmp_path}/sub/mine.py:work"


def test_gitcoord_in_a_tasks_command_speaks_with_the_key_of_the_home(tmp_path: Path) -> None:
    [alice] = copied(tmp_path, "alice")
    uid = alice("task", "create", "T", "--json").json()["ids"][0]
    command = f"cat > /dev/null; cd '{alice.path}' && gitcoord append note hello --no-sync"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gitcoord").write_text(f"#!/bin/sh\nexec '{sys.executable}' -I -m gitcoord \"$@\"\n")
    (tmp_path / "bin" / "gitcoord").chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    process = alice.start("agent", "run", "--exec", command, "--for", "60", PATH=path, GITCOORD_HMAC_KEY="not for it")
    try:
        alice("wait", "--for", f"task {uid} done", "--timeout", "60")
    finally:
        process.terminate()
        process.communicate(timeout=WAIT_S)
    assert [row["event"]["actor"] for row in alice("events", "--type", "note", "--json").rows()] == ["alice"]
