"""`gitcoord config`: settings of fleet and node, and which of them counts."""

from __future__ import annotations

import json

import pytest

from tests.cli.clones import Clone


def setting(clone: Clone, name: str, **environment: str) -> tuple[object, str]:
    [one] = clone("config", "get", name, "--json", **environment).json()["settings"]
    return one["value"], one["source"]


def test_a_setting_of_the_fleet_reaches_every_clone(alice: Clone, bob: Clone) -> None:
    assert setting(bob, "recent") == (3, "default")
    assert alice("config", "set", "recent", "5", "--json").json() == {
        "schema": "gitcoord.config.set/1",
        "name": "recent",
        "value": 5,
        "scope": "fleet",
        "level": "sequenced",
    }
    bob("sync")
    assert setting(bob, "recent") == (5, "fleet")
    assert bob("events", "--type", "config_changed", "--json").rows()[0]["event"]["data"] == {"set": {"recent": 5}}
    refused = bob("config", "unset", "recent", code=None)
    assert refused.code == 2 and "bob (member) may not write config_changed: only an admin may" in refused.err
    alice("agent", "role", "bob", "admin")
    bob("sync")
    bob("config", "unset", "recent")
    alice("sync")
    assert setting(alice, "recent") == (3, "default")


def test_the_flag_counts_before_the_environment_the_node_the_fleet_and_the_card(alice: Clone) -> None:
    def timings(*options: str, **environment: str) -> str:
        return str(alice("elect", "--explain", "--json", **environment).json()["profile"])

    assert (setting(alice, "profile"), timings()) == (("local", "card"), "local")
    alice("config", "set", "profile", "lan")
    assert (setting(alice, "profile"), timings()) == (("lan", "fleet"), "lan")
    alice("config", "set", "profile", "github", "--node")
    assert (setting(alice, "profile"), timings()) == (("github", "node"), "github")
    assert setting(alice, "profile", GITCOORD_PROFILE="local") == ("local", "environment")
    assert timings(GITCOORD_PROFILE="local") == "local"
    ran = alice("agent", "run", "--for", "0.1", "--profile", "local", GITCOORD_PROFILE="lan")
    assert "profile local" in ran.err
    alice("config", "unset", "profile", "--node")
    assert setting(alice, "profile") == ("lan", "fleet")


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("leaders", "alice,bob", ["alice", "bob"]),
        ("leaders", '["Agent A"]', ["Agent A"]),
        ("headings", '{"proposal": "{actor} proposes"}', {"proposal": "{actor} proposes"}),
        ("heartbeats", "log", "log"),
        ("recent", "7", 7),
    ],
)
def test_values_are_read_as_people_type_them(alice: Clone, name: str, text: str, value: object) -> None:
    alice("config", "set", name, text)
    assert setting(alice, name) == (value, "fleet")
    shown = alice("config", "get", name).out.rstrip("\n")
    assert shown == (value if isinstance(value, str) else json.dumps(value))


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("lead", "no", False),
        ("timeout_s", "5", 5.0),
        ("agent", "carol", "carol"),
        ("remote", "https://forge.example/x.git", "https://forge.example/x.git"),
    ],
)
def test_what_only_a_node_has_is_its_own_without_saying_so(alice: Clone, name: str, text: str, value: object) -> None:
    before = alice("events", "--no-sync").out
    alice("config", "set", name, text)
    assert setting(alice, name) == (value, "node")
    assert alice("events", "--no-sync").out == before
    assert setting(alice, name, **{f"GITCOORD_{name.upper()}": "1"})[1] == "environment"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["set", "nonsense", "1"], "no setting 'nonsense'; there are: "),
        (["get", "nonsense"], "no setting"),
        (["set", "recent", "0"], "recent: "),
        (["set", "recent", "many"], "recent: "),
        (["set", "profile", "fast"], "profile: "),
        (["set", "leaders", "../x"], "leaders: "),
        (["set", "headings", '{"question": "# x"}'], "headings: "),
        (["set", "recent", "4", "--node"], "a setting of the fleet"),
        (["set", "profile", "fast", "--node"], "profile: "),
        (["set", "timeout_s", "-1"], "No such option"),
        (["set", "timeout_s", "nan"], "timeout_s: "),
        (["set", "lead", "perhaps"], "lead: "),
        (["set", "agent", "../x"], "agent: "),
        (["unset", "remote"], "a node needs a remote"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_reason_and_not_written(
    alice: Clone, arguments: list[str], words: str
) -> None:
    result = alice("config", *arguments, code=2)
    assert words in result.err
    assert alice("events", "--no-sync", "--json").out.count("\n") == 1


def test_a_remote_that_is_a_path_is_found_from_any_folder(alice: Clone) -> None:
    alice("config", "set", "remote", "../remote.git", "--node")
    assert setting(alice, "remote") == (str(alice.path.parent / "remote.git"), "node")


def test_a_wrong_environment_is_refused(alice: Clone) -> None:
    assert "profile: no profile 'x'" in alice("status", code=2, GITCOORD_PROFILE="x").err


def test_every_setting_is_listed_with_its_source(alice: Clone) -> None:
    rows = alice("config", "list", "--json").json()["settings"]
    assert {row["name"] for row in rows} >= {"agent", "profile", "lead", "timeout_s", "remote", "recent", "headings"}
    assert all(row["help"] and row["scopes"] and row["source"] for row in rows)
    assert alice("config", "list").out.splitlines()[1].split()[:3] == ["profile", "local", "card"]


def test_no_login_of_a_remotes_url_is_kept_or_shown(alice: Clone) -> None:
    secret = "pw-5f2a91c07e"
    url = f"https://me:{secret}@forge.invalid/o/r.git"
    told = alice("config", "set", "remote", url, "--node", code=2)
    assert "GITCOORD_TOKEN" in told.err and secret not in told.err
    shown = alice("config", "get", "remote", GITCOORD_REMOTE=url)
    assert shown.out.strip() == "https://forge.invalid/o/r.git"
    failed = alice("sync", code=None, GITCOORD_REMOTE=url, GITCOORD_TIMEOUT_S="5")
    assert failed.code and secret not in failed.out + failed.err
    kept = [path for path in alice.home.rglob("*") if path.is_file()]
    assert not any(secret.encode() in path.read_bytes() for path in kept)
