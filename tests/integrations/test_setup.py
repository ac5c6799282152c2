"""Setting up a client: on an empty project, beside what the user wrote, twice, and away again to the byte."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from gitcoord.core.errors import Refused
from gitcoord.integrations import clients, setup
from gitcoord.node.membership import agent_guide
from gitcoord.store import program

GOLDEN = Path(__file__).parent / "golden"
CLIENTS = list(clients.CLIENTS)

THEIRS = {
    ".mcp.json": '{"mcpServers": {"db": {"command": "db-mcp", "args": []}}}',
    ".claude/settings.json": """{
    // ours, not yours
    "permissions": {"allow": ["Bash(ls:*)"]},
    "hooks": {
        "PreToolUse": [
            {"matcher": "Bash", "hooks": [{"type": "command", "command": "./check.sh"}]} // keep
        ]
    }
}
""",
    ".codex/config.toml": '# mine\nmodel = "x"   # fast\n\n[mcp_servers.db]\ncommand = "db-mcp"',
    ".codex/hooks.json": '{"hooks":{"Stop":[{"hooks":[{"type":"command","command":"say done"}]}]}}',
    ".gemini/settings.json": '{\r\n\t/* colours */\r\n\t"theme": "dark",\r\n\t"mcpServers": {},\r\n}\r\n',
    ".cursor/mcp.json": '{\n  "mcpServers": {\n    "db": { "url": "http://localhost:1/mcp" },\n  }\n}\n',
    ".cursor/hooks.json": '{"version": 1, "hooks": {"stop": [{"command": "./done.sh"}], "preToolUse": []}}\n',
    "opencode.jsonc": '// team\n{\n  "theme": "system", // dark\n  "mcp": {"db": {"type": "local"}}\n}\n',
    ".opencode/plugins/mine.js": "export default {}\n",
    ".github/mcp.json": "{}",
    ".vscode/mcp.json": '{\n  // servers of the editor\n  "inputs": [],\n  "servers": {}\n}\n',
    ".github/hooks/theirs.json": '{"version": 1, "hooks": {}}',
    ".github/hooks/gitcoord.json": '{"version":1}',
    "CLAUDE.md": "# Rules\n\nBe brief.",
    "AGENTS.md": "# Rules\r\n\r\nBe brief.\r\n",
    "GEMINI.md": "",
}


def files(project: Path) -> dict[str, bytes]:
    """All files of the work tree."""
    found = (path for path in sorted(project.rglob("*")) if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(project).as_posix(): path.read_bytes() for path in found}


def fill(project: Path) -> dict[str, bytes]:
    """Other content in all the files, and beside them."""
    for name, text in THEIRS.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return files(project)


def shown(project: Path) -> str:
    """The files as one text, without what differs from machine to machine."""
    text = "".join(f"== {name}\n{data.decode()}" for name, data in files(project).items())
    text = text.replace(agent_guide.TEXT, "GUIDE\n").replace(agent_guide.TEXT.replace("\n", "\r\n"), "GUIDE\n")
    words = program.gitcoord_argv()
    for word, name in ((words[-1], "MAIN"), (words[0], "PYTHON")):
        text = text.replace(shlex.quote(word), name).replace(word, name)  # a folder's name may need quotes
    assert words[1:-1] in (["-I"], ["-I", "-X", "utf8"])
    return text


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
def test_the_files_hold_what_the_client_documents(project: Path, client: str, filled: bool) -> None:
    before = fill(project) if filled else {}
    setup.setup(client, project, client + "-{worktree}")
    new = {name: data for name, data in files(project).items() if data != before.get(name)}
    for name in before.keys() - new.keys():
        (project / name).unlink()
    golden = GOLDEN / f"{client}{'-filled' if filled else ''}.txt"
    text = shown(project)
    if os.environ.get("WRITE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_bytes(text.encode())
    assert text == golden.read_bytes().decode()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_second_run_changes_nothing_and_removal_restores_every_byte(project: Path, client: str) -> None:
    before = fill(project)
    assert setup.setup(client, project, "ada", portable=True)
    between = files(project)
    assert between != before
    assert setup.setup(client, project) == [] and files(project) == between  # agent and form stay as they are
    assert setup.setup(client, project, "bo") != []
    for _ in range(2):
        setup.apply(setup.plan(client, project, remove=True), project)
        after = files(project)
        assert {name: data for name, data in before.items() if after.get(name) != data} in ({}, {"GEMINI.md": b""})
        assert after.keys() <= before.keys()


def test_files_that_hold_nothing_but_ours_beside_what_is_committed_are_known(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)

    git("init", "-q")
    before = fill(tmp_path)
    git("add", ".")
    git("commit", "-q", "-m", "theirs")
    for one in ("claude", "codex", "cursor"):  # two of them share AGENTS.md
        setup.setup(one, tmp_path)
    changed = {name for name, data in files(tmp_path).items() if data != before.get(name)}
    assert setup.own_files(tmp_path) == changed and len(changed) == 8
    for name in ("AGENTS.md", ".mcp.json"):
        (tmp_path / name).write_bytes(b"\n" + (tmp_path / name).read_bytes())
    assert setup.own_files(tmp_path) == changed - {"AGENTS.md", ".mcp.json"}


@pytest.mark.parametrize("client", CLIENTS)
def test_of_an_empty_project_nothing_is_left(project: Path, client: str) -> None:
    setup.setup(client, project)
    setup.apply(setup.plan(client, project, remove=True), project)
    assert [path.name for path in project.iterdir()] == [".git"]


@pytest.mark.parametrize("first", ["claude", "opencode"])
def test_all_clients_live_together_and_go_one_by_one(project: Path, first: str) -> None:
    before = fill(project)
    order = [first, *(one for one in CLIENTS if one != first)]
    for one in order:
        setup.setup(one, project, "{worktree}")
    for one in order:
        assert setup.plan(one, project) == [] and setup.is_set_up(clients.CLIENTS[one], project)
    for one in order:
        setup.apply(setup.plan(one, project, remove=True), project)
        assert not setup.is_set_up(clients.CLIENTS[one], project)
        readers = [other for other in order if clients.CLIENTS[other].guide == "AGENTS.md"]
        left = [other for other in readers if setup.is_set_up(clients.CLIENTS[other], project)]
        assert (agent_guide.BEGIN in (project / "AGENTS.md").read_text()) == bool(left)
    assert files(project) == {name: data for name, data in before.items() if data}


def test_what_the_user_set_in_our_entries_stays(project: Path) -> None:
    setup.setup("claude", project, "ada")
    file = project / ".mcp.json"
    file.write_text(file.read_text().replace('"type": "stdio"', '"type": "stdio",\n      "env": {"X": "1"}'))
    assert setup.plan("claude", project) == []
    setup.setup("claude", project, "bo")
    server = json.loads(file.read_text())["mcpServers"]["gitcoord"]
    assert server["env"] == {"X": "1"} and server["args"][-1] == "bo"


def test_a_server_that_was_typed_by_hand_is_taken_over_with_its_agent(project: Path) -> None:
    (project / ".mcp.json").write_text(
        '{"mcpServers": {"gitcoord": {"command": "gitcoord", "args": ["mcp", "--as", "zoe"]}}}'
    )
    setup.setup("claude", project)
    server = json.loads((project / ".mcp.json").read_text())["mcpServers"]["gitcoord"]
    assert [server["command"], *server["args"]] == [*program.gitcoord_argv("mcp", "--as", "zoe")]
    assert "--as zoe" in (project / ".claude/settings.json").read_text()


def test_a_handler_in_a_group_of_the_users_is_kept_up_to_date_and_removed_alone(project: Path) -> None:
    setup.setup("claude", project, "ada")
    file = project / ".claude/settings.json"
    value = json.loads(file.read_text())
    value["hooks"]["PreToolUse"][0]["hooks"].append({"type": "command", "command": "./mine.sh"})
    value["hooks"]["PreToolUse"].append(value["hooks"]["PreToolUse"][0])  # and twice
    file.write_text(json.dumps(value))
    setup.setup("claude", project, "bo")
    groups = json.loads(file.read_text())["hooks"]["PreToolUse"]
    assert [len(group["hooks"]) for group in groups] == [2, 1] and "--as bo" in groups[0]["hooks"][0]["command"]
    setup.apply(setup.plan("claude", project, remove=True), project)
    groups = json.loads(file.read_text())["hooks"]["PreToolUse"]
    assert [[one["command"] for one in group["hooks"]] for group in groups] == [["./mine.sh"], ["./mine.sh"]]


@pytest.mark.parametrize(
    ("client", "file", "text", "words"),
    [
        ("claude", ".mcp.json", "", "line 1, column 1: the file ends"),
        ("claude", ".mcp.json", '{"mcpServers": {"x": }}', "line 1, column 22: a JSON value"),
        ("claude", ".mcp.json", '{"mcpServers": []}', "mcpServers is not a JSON object"),
        ("claude", ".mcp.json", '{"mcpServers": {"gitcoord": {"command": "other"}}}', "another server named gitcoord"),
        ("claude", ".claude/settings.json", '{"hooks": {"PreToolUse": {}}}', "hooks.PreToolUse is not a JSON array"),
        ("claude", "CLAUDE.md", agent_guide.BEGIN, "once each"),
        ("claude", "CLAUDE.md", "\udcff", "is not UTF-8 at byte 0"),
        ("codex", ".codex/config.toml", "a = \n", "it is not TOML: Invalid value (at line 1, column 5)"),
        ("codex", ".codex/config.toml", "mcp_servers = {}", "cannot be added to mcp_servers as it is written"),
        ("codex", ".codex/config.toml", "mcp_servers = 1", "has mcp_servers.gitcoord already"),
        ("codex", ".codex/config.toml", '[mcp_servers.gitcoord]\ncommand = "x"', "not between our markers"),
        ("cursor", ".cursor/hooks.json", "[]", "the whole file is not a JSON object"),
        ("opencode", ".opencode/plugins/gitcoord.js", "mine", "it is not gitcoord's file"),
    ],
)
def test_what_cannot_be_edited_is_refused_with_its_place_and_left_alone(
    project: Path, client: str, file: str, text: str, words: str
) -> None:
    (project / file).parent.mkdir(parents=True, exist_ok=True)
    (project / file).write_bytes(text.encode("utf-8", "surrogateescape"))
    before = files(project)
    with pytest.raises(Refused) as wrong:
        setup.setup(client, project)
    assert words in str(wrong.value) and str(wrong.value).startswith(file)
    if not text.startswith("\udcff"):
        assert "add by hand" in str(wrong.value) and "gitcoord" in str(wrong.value).split("add by hand")[1]
    assert files(project) == before  # nothing else was written either


def test_no_link_out_of_the_tree_is_followed(project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mcp.json").write_text("{}")
    (project / ".cursor").symlink_to(outside)
    with pytest.raises(Refused, match="link that leads out of"):
        setup.setup("cursor", project)
    assert (outside / "mcp.json").read_text() == "{}" and files(project) == {}


def test_a_guide_that_is_a_link_to_another_file_stays_one(project: Path) -> None:
    (project / "AGENTS.md").write_text("# Rules\n")
    (project / "CLAUDE.md").symlink_to("AGENTS.md")
    setup.setup("claude", project)
    setup.setup("codex", project)
    assert (project / "AGENTS.md").read_text().count(agent_guide.BEGIN) == 1
    setup.apply(setup.plan("claude", project, remove=True), project)
    assert agent_guide.BEGIN in (project / "AGENTS.md").read_text()  # Codex reads it
    setup.apply(setup.plan("codex", project, remove=True), project)
    assert (project / "AGENTS.md").read_text() == "# Rules\n" and (project / "CLAUDE.md").is_symlink()


def test_a_file_in_the_shape_of_opencode_2_gets_its_server_in_that_shape(project: Path) -> None:
    file = project / "opencode.json"
    for text in ('{"permissions": []}', '{"mcp": {"servers": {}}}'):
        file.write_text(text)
        setup.setup("opencode", project)
        assert list(json.loads(file.read_text())["mcp"]) == ["servers"]
        assert json.loads(file.read_text())["mcp"]["servers"]["gitcoord"]["type"] == "local"
        setup.apply(setup.plan("opencode", project, remove=True), project)
        assert file.read_text() == text
    file.write_text('{"mcp": {"servers": {"type": "local", "command": ["x"]}}}')  # a server that has this name
    setup.setup("opencode", project)
    assert "gitcoord" in json.loads(file.read_text())["mcp"]


def test_codex_reads_the_server_beside_the_others(project: Path) -> None:
    fill(project)
    setup.setup("codex", project, "ada")
    servers = tomllib.loads((project / ".codex/config.toml").read_text())["mcp_servers"]
    assert list(servers) == ["db", "gitcoord"] and servers["gitcoord"]["args"][-2:] == ["--as", "ada"]


@pytest.mark.parametrize("agent", ["{worktree}", "a-{worktree}", "ada"])
def test_an_agents_name_may_hold_the_place(project: Path, agent: str) -> None:
    assert setup.setup("claude", project, agent)


@pytest.mark.parametrize("agent", ["{place}", "a/b", " ", "{worktree} "])
def test_what_can_be_no_agent_is_refused(project: Path, agent: str) -> None:
    with pytest.raises(Refused, match="cannot name an agent"):
        setup.setup("claude", project, agent)


def test_outside_of_a_work_tree_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="in no work tree"):
        setup.setup("claude", tmp_path)


def test_from_a_subfolder_the_top_of_the_work_tree_is_set_up(project: Path) -> None:
    (project / "src").mkdir()
    setup.setup("claude", project / "src")
    assert (project / ".mcp.json").exists() and not list((project / "src").iterdir())
