"""The documents are true: their examples run, and what they list is what the code has."""

from __future__ import annotations

import ast
import functools
import inspect
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gitcoord import __version__
from gitcoord.cli.main import FEATURE_WORDS, gitcoord
from gitcoord.core import errors
from gitcoord.core.feature import OPTIONAL, Feature
from gitcoord.core.leadership.timings import PROFILES
from gitcoord.features import FEATURES
from gitcoord.features.settings import Settings
from gitcoord.node import config
from gitcoord.store.git.spawn import LEAST_GIT
from scripts import commands_page
from tests.cli.clones import copied
from tests.github.fake import forge
from tests.waiting import WAIT_S, wait_until

TOP = Path(__file__).resolve().parents[1]
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((TOP / "docs").glob("*.md"))}
README = (TOP / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (TOP / "ARCHITECTURE.md").read_text(encoding="utf-8")
THREAT_MODEL = PAGES["threat-model"]
FROM_THE_DOCUMENTS = PAGES["from-the-documents"]
DOCUMENTS = [*sorted(TOP.glob("*.md")), *sorted((TOP / "docs").glob("*.md"))]
NAMED_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
VARIABLE = re.compile(r"\b(?:GITCOORD|GITHUB)_[A-Z_]*[A-Z]\b")
GITHUB_URL = "git@github.com:OWNER/REPO.git"
README_LINES_MAX = 110  # two screens


def section(text: str, heading: str) -> str:
    """The part of a document under a `##` heading."""
    return re.split(r"^## ", text.split(f"\n## {heading}\n", 1)[1], flags=re.MULTILINE)[0]


def first_cells(text: str) -> list[str]:
    """What stands in backquotes in the first column of the tables of a text."""
    return [
        name
        for line in text.splitlines()
        if line.startswith("| ")
        for name in re.findall(r"`([^`]+)`", line.split("|")[1])
    ]


def source() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in (TOP / "gitcoord").rglob("*.py"))


# What is listed


def test_the_readme_fits_on_two_screens_and_leads_to_every_page() -> None:
    assert len(README.splitlines()) <= README_LINES_MAX
    linked = set(re.findall(r"\]\(docs/([\w-]+)\.md", README))
    assert sorted(set(PAGES) - linked) == ["from-the-documents"]  # for those who know the old documents


def test_the_page_of_commands_is_what_the_command_line_says() -> None:
    assert commands_page.page(PAGES["commands"]) == PAGES["commands"], "run scripts/docs"


def test_every_environment_variable_is_in_the_configuration_and_no_other() -> None:
    text = source()
    used = set(VARIABLE.findall(text))
    used |= {config.variable(name) for name in config.NODE} | {"NO_COLOR"}
    used = {name for name in used if not name.startswith("GITCOORD_ASKPASS")}  # between gitcoord and its own git
    assert set(first_cells(section(PAGES["configuration"], "The environment"))) == used
    named = {name for path in DOCUMENTS for name in VARIABLE.findall(path.read_text(encoding="utf-8"))}
    secrets = {"GITCOORD_KEY_CI", "GITCOORD_NODE_REVIEW"}  # a workflow's secrets and variables, which it passes on
    assert named <= used | secrets | {"GITCOORD_TASK"}  # the last: the beginning of several


def test_every_setting_is_in_the_configuration_and_no_other() -> None:
    page = PAGES["configuration"]
    assert sorted(first_cells(section(page, "Settings of the fleet"))) == sorted(Settings.model_fields)
    assert sorted(first_cells(section(page, "Settings of this node"))) == sorted(config.NODE)


def test_every_exit_code_is_in_the_page_of_commands_and_no_other() -> None:
    codes = {
        kind.exit_code
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.GitcoordError)
    }
    table = PAGES["commands"].split("| exit code", 1)[1].split("\n\n")[0]
    assert {int(code) for code in re.findall(r"^\| (\d) \|", table, re.MULTILINE)} == codes | {0}


def test_every_profile_is_in_the_operations_and_no_other() -> None:
    assert first_cells(section(PAGES["operations"], "Timings")) == list(PROFILES)
    named = {name for text in (README, *PAGES.values()) for name in re.findall(r"profile `(\w+)`", text)}
    assert named <= set(PROFILES)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_and_option_that_is_named_exists(document: Path) -> None:
    text = re.sub(r"```\w*\n.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    named = [code for code in re.findall(r"`(gitcoord [^`\n]+)`", text) if code.split()[1].isidentifier()]
    assert [code for code in named if not is_command(code) and " poll " not in code] == []  # a feature to be


def is_command(text: str) -> bool:
    """Whether the words of `text` are a command, and its options that command's."""
    words = text.replace("…", " ").split()[1:]
    command: click.Command | None = gitcoord
    context = click.Context(gitcoord, info_name="gitcoord")
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        command = command.get_command(context, words.pop(0))
    if command is None:
        return False
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
    return all(word.split("=")[0] in known for word in words if re.match(r"--?[a-z]", word))


def test_a_row_that_says_room_names_nothing_that_exists() -> None:
    """A row works, works in part, or is room; what it calls room is no command, option, setting, file or folder."""
    rows = [
        [cell.strip() for cell in line[1:-1].split("|")]
        for line in FROM_THE_DOCUMENTS.splitlines()
        if re.match(r"\| [A-Z]\d", line)
    ]
    assert [row for row in rows if not re.match(r"works|room", row[-1])] == []
    wrong = []
    for row in rows:
        clauses = [clause for clause in row[-1].split(";") if "room" in clause]
        claimed = [row[2] if len(row) > 3 and row[-1].startswith("room") else "", *clauses]
        named = [code for text in claimed for code in re.findall(r"`([^`]+)`", text)]
        wrong += [(row[0], code) for code in named if exists(code)]
    assert wrong == []


def exists(code: str) -> bool:
    """Whether a command, a command's option or setting, or a file or folder of that name is there."""
    if code.startswith("gitcoord "):
        return is_command(code)
    if code.startswith("--"):
        return f"`{code.split()[0]}" in PAGES["commands"]
    is_path = any((base / code).exists() for base in (TOP, TOP / "gitcoord"))
    return is_path or code in Settings.model_fields or code in config.NODE


def test_the_newest_version_is_in_the_changelog() -> None:
    assert re.search(
        rf"^## \[{re.escape(__version__)}\]|\b{re.escape(__version__)}\b, is ready", changelog(), re.MULTILINE
    )


def changelog() -> str:
    return (TOP / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", *(f"docs/{name}.md" for name in PAGES)]
)
def test_every_name_in_code_type_is_in_the_code(page: str) -> None:
    """Functions, classes, fields, modules: what is written as code and looks like a name of ours."""
    if page in ("docs/from-the-documents.md", "docs/commands.md"):  # the one names others', the other is generated
        return
    text = re.sub(r"```\w*\n.*?```", "", (TOP / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    names = {
        name
        for code in re.findall(r"`([^`\n]+)`", text)
        if (found := re.fullmatch(r"([A-Za-z_]\w*)(?:\.([A-Za-z_]\w*))?(?:\(.*\))?", code))
        for name in found.groups()
        if name is not None and (len(name) > 6 or "_" in name.strip("_")) and not VARIABLE.fullmatch(name)
    }
    known = words_of_the_tree()
    assert sorted(names - known - NOT_OURS) == []


NOT_OURS = {"allowFilter", "uploadpack", "unidiff"}  # git's, a library's


@functools.cache
def words_of_the_tree() -> frozenset[str]:
    """The words of all sources, and the names of all files."""
    files = [
        path for name in ("gitcoord", "tests", "scripts", "benchmarks", ".github") for path in (TOP / name).rglob("*")
    ]
    files += [TOP / "setup.cfg", TOP / "action.yml", TOP / ".ci" / "run"]
    texts = [
        path.read_text("utf-8", "replace")
        for path in files
        if path.suffix in (".py", ".cfg", ".yml", ".txt", "") and path.is_file()
    ]
    return frozenset(word for text in texts for word in re.findall(r"\w+", text)) | {path.stem for path in files}


def test_features_are_described_as_they_are() -> None:
    text = section(ARCHITECTURE, "Adding a feature")
    names = [name for name in vars(Feature) if not name.startswith("_")] + list(Feature.__annotations__)
    assert [name for name in (*names, *OPTIONAL) if f"`{name}" not in text] == []
    lacking = [(name, one) for name, module in FEATURES.items() for one in names if not hasattr(module, one)]
    assert lacking == []


def test_every_module_of_core_and_node_is_in_the_architecture() -> None:
    table = section(ARCHITECTURE, "Layers")
    rows = [
        (set(re.findall(r"`([\w/]+)/`", row)), set(re.findall(r"`(\w+)`", row)))
        for row in re.findall(r"(?m)^\| ([^|]+) \|", table)
    ]
    lacking = []
    for layer in ("core", "node"):
        for path in sorted((TOP / "gitcoord" / layer).rglob("[a-z]*.py")):
            room = path.parent.relative_to(TOP / "gitcoord").as_posix()
            if not any((room in rooms if room != layer else not rooms) and path.stem in named for rooms, named in rows):
                lacking.append(f"{room}/{path.name}")
    assert lacking == []


def test_no_folder_is_a_heap() -> None:
    """One file a command is the exception (`cli/`)."""
    crowded = {
        folder: count
        for folder in (TOP / "gitcoord").rglob("*")
        if folder.is_dir() and folder.name != "cli" and (count := len([*folder.glob("[a-z]*.py")])) > 22
    }
    assert crowded == {}


def test_every_requirement_has_its_row() -> None:
    wanted = [
        f"{letter}{number}"
        for letter, last in {"E": 14, "O": 13, "F": 8, "S": 3, "P": 16, "G": 5}.items()
        for number in range(1, last + 1)
    ]
    rows = set(re.findall(r"^\| ([A-Z]\d+) \|", FROM_THE_DOCUMENTS, re.MULTILINE))
    assert [one for one in wanted if one not in rows] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_paths_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in links if not (document.parent / link).exists()] == []
    if document.name != "from-the-documents.md":  # which names what others have
        paths = re.findall(r"`((?:gitcoord|core|features|store|node|cli|tests)/[\w/]+\.(?:py|md|txt))`", text)
        missing = [path for path in paths if not any((base / path).exists() for base in (TOP, TOP / "gitcoord"))]
        assert [path for path in missing if "poll" not in path] == []  # the example of a feature to be


def test_every_promise_of_the_threat_model_names_tests_that_there_are() -> None:
    promised, not_promised = THREAT_MODEL.split("\n## What is not promised\n")
    rows = [
        line
        for line in promised.split("\n## A stranger", 1)[1].splitlines()
        if line.startswith("| ") and not line.startswith("| it tries")
    ]
    assert len(rows) > 50 and [row for row in rows if not NAMED_TEST.search(row.split("|")[3])] == []
    named = NAMED_TEST.findall(promised + not_promised)
    assert len(named) == THREAT_MODEL.count("::")  # none is named in another form
    assert sorted({f"{path}::{name}" for path, name in named if name not in functions_of(TOP / path)}) == []


def functions_of(path: Path) -> set[str]:
    """The functions that a file defines at its top; none where there is no file."""
    tree = ast.parse(path.read_text(encoding="utf-8") if path.exists() else "")
    return {one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_all_ask_for_the_same_git() -> None:
    least = ".".join(map(str, LEAST_GIT))
    assert f"git ≥ {least}," in README and f"git ≥ {least} " in (TOP / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"GIT_MIN={least} " in (TOP / "scripts" / "env.sh").read_text(encoding="utf-8")


def test_no_document_names_a_place_of_one_machine() -> None:
    for document in DOCUMENTS:
        found = re.search(r"(?<![\w.])/(?:home|Users|work|tmp|root)/", document.read_text(encoding="utf-8"))
        assert found is None, document


# What can be run


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with Shell(tmp_path_factory.mktemp("docs")) as one:
        yield one


class Shell:
    """A user's shell with `gitcoord` on the PATH, and a remote in place of GitHub's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remote = folder / "remote.git"
        self.running: list[subprocess.Popen[bytes]] = []
        programs = folder / "bin"
        programs.mkdir()
        (programs / "gitcoord").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gitcoord "$@"\n')
        (programs / "gitcoord").chmod(0o755)
        self.environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(TOP)}
        subprocess.run(["git", "init", "--quiet", "--bare", str(self.remote)], check=True)

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running:
            assert process.stdin is not None
            process.stdin.close()
        for process in self.running:
            try:
                process.wait(timeout=WAIT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def run(self, script: str, folder: Path, *, codes: tuple[int, ...] = (0,)) -> str:
        script = script.replace(GITHUB_URL, shlex.quote(str(self.remote)))
        done = subprocess.run(
            ["bash", "-ec", script],
            cwd=folder,
            env=self.environment,
            timeout=WAIT_S,
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode in codes, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def seed(self, *names: str) -> None:
        """Push a first commit with these files."""
        self.run(
            f"""git init --quiet code && cd code && for name in {" ".join(names)}; do echo "pass" > $name; done
            git add . && git commit --quiet -m code && git push --quiet {shlex.quote(str(self.remote))} HEAD:main""",
            self.folder,
        )
        subprocess.run(["git", "-C", str(self.remote), "symbolic-ref", "HEAD", "refs/heads/main"], check=True)

    def start(self, line: str, folder: Path) -> None:
        """It ends with this process, however that ends: then nobody holds the other end of its standard input."""
        self.running.append(
            subprocess.Popen(
                ["bash", "-c", f"trap : TERM\n{line} &\ncat\nkill 0\nwait"],
                cwd=folder,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )


def block(machine: str) -> list[str]:
    """The lines of the quickstart on one machine."""
    return sh(f"quickstart on {machine}").splitlines()


def sh(name: str, page: str = PAGES["agents"]) -> str:
    """The block of that name."""
    found = re.search(rf"<!-- test: {name} -->\n```sh\n(.*?)```", page, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def quickstart(shell: Shell) -> dict[str, str]:
    """Both machines' blocks, run as they stand; what bob's printed."""
    printed = {}
    for machine in ("alice", "bob"):
        folder = shell.folder / machine
        folder.mkdir()
        lines = block(machine)
        printed[machine] = shell.run("\n".join(line for line in lines if "agent run" not in line), folder)
        for line in lines:
            if "agent run" in line:
                shell.start(line, folder / "work")
    return printed


def test_a_client_is_set_up_as_its_page_says(tmp_path: Path) -> None:
    [alice] = copied(tmp_path, "alice")
    said = [alice(*shlex.split(line)[1:]).out for line in sh("a client is set up", PAGES["clients"]).splitlines()]
    assert said[0].startswith("write .mcp.json") and said[1] == "Claude Code is set up\n" and "Codex" in said[2]


def test_work_trees_with_an_agent_each_come_and_go_as_their_page_says(tmp_path: Path) -> None:
    with Shell(tmp_path) as shell:
        shell.seed("README.md")
        shell.run(
            f"git clone -q {shlex.quote(str(shell.remote))} work && cd work && gitcoord init --agent ann", tmp_path
        )
        printed = shell.run(sh("work trees with an agent each", PAGES["clients"]), tmp_path / "work")
        assert "worker-2" in printed and "would write agent_left" in printed and "ada leaves" in printed
        assert [path.name for path in sorted(tmp_path.glob("work-*"))] == ["work-bo", "work-worker-1", "work-worker-2"]


def test_four_agents_do_what_the_readme_says(tmp_path: Path) -> None:
    with Shell(tmp_path) as shell:
        shell.seed("README.md")
        shell.run(sh("four agents", README), tmp_path)
        guide = (tmp_path / "work-ben" / "CLAUDE.md").read_text(encoding="utf-8")
        assert "gitcoord next --claim" in guide and (tmp_path / "work-dan" / ".mcp.json").exists()
        before, removal = sh("what the agents do", README).split("cd ../work\n")
        printed = shell.run(before, tmp_path / "work")
        assert "ben claims 'Fix the parser'" in printed and "The parser is mine" in printed
        assert "ben has done 'Fix the parser'" in printed
        shell.run("gitcoord reserve src/parser/a.py", tmp_path / "work-cleo", codes=(3,))
        printed = shell.run(removal, tmp_path / "work")
        assert "ben leaves" in printed and "deleted the branch ben" in printed and not (tmp_path / "work-ben").exists()
        shell.run("gitcoord reserve src/parser/a.py", tmp_path / "work-cleo")  # it went back


def test_a_fleet_of_three_does_what_it_says(tmp_path: Path) -> None:
    with Shell(tmp_path) as shell:
        shell.seed("one.py", "two.py", "three.py")
        lines = sh("a fleet of three").splitlines()
        printed = shell.run("\n".join(line.replace("toml &", "toml > fleet.log 2>&1 &") for line in lines), tmp_path)
    rows = [line.split() for line in printed.splitlines() if line.split()[1:2] == ["done"]]
    assert {row[4] for row in rows} == {"one.py", "two.py", "three.py"}


def test_the_quickstart_does_what_it_says(shell: Shell, quickstart: dict[str, str]) -> None:
    assert "SEQUENCED at position" in quickstart["bob"]
    bob = shell.folder / "bob" / "work"
    wait_until(lambda: "I do" in shell.run("gitcoord events --type answer", bob), what="alice's answer")
    assert (bob / "pages" / "communication.md").exists()
    assert (bob / ".git").is_dir()


def test_every_file_of_the_home_is_in_the_page_of_files(shell: Shell, quickstart: dict[str, str]) -> None:
    named = section(PAGES["files"], "On each machine")
    for machine in ("alice", "bob"):
        home = shell.folder / machine / "work" / ".git" / "gitcoord"
        names = {re.sub(r"agent-.*\.checkpoint", "agent-<id>.checkpoint", path.name) for path in home.iterdir()}
        names = {re.sub(r".*-[0-9a-z]{16}\.key", "<node>.key", name) for name in names}
        names -= {name for name in names if re.search(r"\.(?:new|anew|\d+)$", name)}  # in the middle of a write
        assert [name for name in sorted(names) if f"`{name}`" not in named and f"`{name}/`" not in named] == []


def test_every_file_that_the_code_puts_into_the_home_is_in_the_page_of_files() -> None:
    named = section(PAGES["files"], "On each machine")
    homes = [TOP / "gitcoord" / "store" / "home" / name for name in ("home.py", "queue.py", "node_key.py")]
    code = "\n".join(path.read_text("utf-8") for path in homes)
    code += "\n".join(path.read_text(encoding="utf-8") for path in (TOP / "gitcoord" / "node").rglob("*.py"))
    names = set(re.findall(r'(?:self\.path|self\.home|home|home\.path) / "([\w.]+)"', code))
    names = {name for name in names if not name.endswith((".fresh", ".bak"))}  # in the middle of a write
    assert {"keys", "tip", "lock"} <= names
    assert [name for name in sorted(names) if f"`{name}`" not in named and f"`{name}/`" not in named] == []


def test_every_file_of_the_branch_is_in_the_page_of_files(shell: Shell, quickstart: dict[str, str]) -> None:
    named = section(PAGES["files"], "On the remote")
    listing = shell.run(f"git --git-dir={shell.remote} ls-tree --name-only gitcoord/ledger", shell.folder)
    assert [name for name in listing.split() if f"`{name}`" not in named and f"`{name}/`" not in named] == []


def examples() -> list[str]:
    """The first example of each command; of a feature's, all lines, which build on each other."""
    found = []
    for word in commands_page.top_level():
        part = PAGES["commands"].split(f"\n## {word}\n", 1)[1].split("```sh\n", 1)[1].split("\n```", 1)[0]
        found += part.splitlines()[: None if word in FEATURE_WORDS else 1]
    return found


def test_every_example_of_a_command_runs(shell: Shell, tmp_path: Path) -> None:
    """In the order of the page, but `leave` at the end, and without the demo (which has tests of its own)."""
    alice, _ = copied(tmp_path, "alice", "bob")
    shutil.copy(TOP / "events.offline.log", alice.path)
    shutil.copytree(TOP / "examples", alice.path / "examples")
    with forge() as variables:
        for line in sorted(examples(), key=lambda line: (line == "gitcoord leave", line == "gitcoord move origin")):
            program, *arguments = shlex.split(line)
            assert program == "gitcoord"
            if "<" in arguments:
                shell.run(line, alice.path)
            elif arguments[:2] == ["task", "create"]:
                alice(*arguments, "--again")  # the page creates the same task for several examples
            elif arguments[0] != "demo":
                if arguments[0] == "move":
                    shell.run(
                        f"git init -q --bare {tmp_path / 'new'}; git remote add origin {tmp_path / 'new'}", alice.path
                    )
                alice(*arguments, **(variables if "--repo" in line else {}))


def test_the_python_example_runs(shell: Shell, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGES["agents"], re.DOTALL)
    assert blocks
    shell.run(f"git init -q {tmp_path / 'work'}", tmp_path)
    for number, code in enumerate(blocks):
        (tmp_path / f"example{number}.py").write_text(code)
        printed = shell.run(f"'{sys.executable}' -W error ../example{number}.py", tmp_path / "work")
        assert "sequenced" in printed
        assert "alice question Who takes the parser?" in printed


def test_completion_is_what_click_makes(shell: Shell) -> None:
    assert "_GITCOORD_COMPLETE=bash_source gitcoord" in PAGES["commands"]
    assert "complete" in shell.run("_GITCOORD_COMPLETE=bash_source gitcoord", shell.folder)
    words = shell.run('COMP_WORDS="gitcoord ele" COMP_CWORD=1 _GITCOORD_COMPLETE=bash_complete gitcoord', shell.folder)
    assert "elect" in words
