"""What every test stands on: nobody's git configuration, no credentials, and no network but loopback."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.http_remote import HttpRemote
from tests.skips import SkipJudge

# Without bytecode each of a thousand child processes would compile gitcoord again: a quarter of its start.
OURS_OR_THEIRS = re.compile(
    r"(?:GIT|GITCOORD|GITHUB|GH|ACTIONS|RUNNER|XDG)_.*|(?:https?|all|no)_proxy"
    r"|CI|SSH_ASKPASS|NO_COLOR|FORCE_COLOR|COLUMNS|PYTHONDONTWRITEBYTECODE",
    re.IGNORECASE,
)
NOWHERE = "http://127.0.0.1:9"  # a proxy that refuses: no child process gets off this machine either
GITCONFIG = "[user]\n\tname = Tester\n\temail = tester@example.invalid\n[init]\n\tdefaultBranch = main\n"

# Two shared processors make a deadline a matter of luck. In CI a failure must be the same for everybody.
hypothesis.settings.register_profile("here", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci-here", deadline=None, print_blob=True, derandomize=True)

WAIT_OFTEN = ("system", "faults", "actions", "mcp", "simulation", "hostile")  # folders whose tests take seconds each

# Folders whose tests look at child processes, or at many inputs: other tests run the lines that they run themselves.
# To trace lines doubles the time that they take.
UNTRACED = ("system", "faults", "actions", "fuzz")

LOOPBACK = re.compile(r"127\..*|localhost|::1|0\.0\.0\.0|::|")

_connect = socket.socket.connect
_getaddrinfo = socket.getaddrinfo


def pytest_configure(config: pytest.Config) -> None:
    in_ci = bool(os.environ.get("CI")) or getattr(config, "workerinput", {}).get("in_ci", False)
    hypothesis.settings.load_profile("ci-here" if in_ci else "here")
    if in_ci and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipJudge(), "skip-judge")
    config.pluginmanager.register(Isolation(in_ci=in_ci), "isolation")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="of the contract's remotes only the one in memory")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each worker its part of the tests with real processes, and let it begin with them.

    The workers begin with equal parts of the list, one after another. At the end of a run none is left alone with
    minutes of waiting.
    """
    if config.getoption("quick"):
        slow = [item for item in items if item.path.name == "test_contract.py" and "[memory" not in item.name]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    workers = int(getattr(config, "workerinput", {}).get("workercount", 1))
    waiting: dict[Path, list[pytest.Item]] = {}  # by file: its fixtures are set up once
    for item in items:
        if item.path.parent.name in UNTRACED:
            item.add_marker("no_cover")
        if item.path.parent.name in WAIT_OFTEN:
            waiting.setdefault(item.path, []).append(item)
    others = [item for item in items if item.path not in waiting]
    parts: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for file in sorted(waiting.values(), key=len, reverse=True):
        min(parts, key=len).extend(file)
    size = -(-len(items) // workers)
    rest = iter(others)
    items[:] = [item for part in parts for item in (*part, *itertools.islice(rest, max(0, size - len(part))))] + [*rest]


class Isolation:
    """Changes this process's environment for good: from before collection until the end of the run."""

    def __init__(self, *, in_ci: bool) -> None:
        self.in_ci = in_ci
        self.home = Path(tempfile.mkdtemp(prefix="gitcoord-tests-"))
        for name in [name for name in os.environ if OURS_OR_THEIRS.fullmatch(name)]:
            del os.environ[name]
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # by nohup, or `&` in a script: children would inherit it
            signal.signal(signal.SIGINT, signal.default_int_handler)
        (self.home / "gitconfig").write_text(GITCONFIG, encoding="utf-8")
        os.environ |= {
            "HOME": str(self.home),
            "GIT_CONFIG_GLOBAL": str(self.home / "gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "http_proxy": NOWHERE,
            "https_proxy": NOWHERE,
            "no_proxy": "127.0.0.1,localhost,::1",
        }
        socket.socket.connect = connect_to_loopback  # type: ignore[assignment,method-assign]
        socket.getaddrinfo = resolve_loopback

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["in_ci"] = self.in_ci  # the workers inherit an environment that lacks CI

    def pytest_unconfigure(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)


def connect_to_loopback(self: socket.socket, address: Any) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6):
        refuse_beyond_loopback(address[0])
    _connect(self, address)


def resolve_loopback(host: Any, *args: Any, **kwargs: Any) -> Any:
    refuse_beyond_loopback(host or "")
    return _getaddrinfo(host, *args, **kwargs)


def refuse_beyond_loopback(host: str | bytes) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if not LOOPBACK.fullmatch(name):
        raise AssertionError(f"a test tried to reach {name}: tests use loopback only")


@pytest.fixture
def http_remote(tmp_path: Path) -> Iterator[HttpRemote]:
    """A running git server without credentials; for a token write `with HttpRemote(folder, token="…")`."""
    with HttpRemote(tmp_path / "http-remote") as server:
        yield server
