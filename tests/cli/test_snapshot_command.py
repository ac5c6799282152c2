"""Pages in the working folder follow the log, and a crash leaves a good one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gitcoord.cli.snapshot import command
from gitcoord.features.pages.snapshot import BEGIN, END
from gitcoord.node.membership.init import InitRequest, init
from gitcoord.node.node import Node
from gitcoord.node.operations import local_pages
from gitcoord.store import files
from tests.waiting import WAIT_S, wait_until

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.chdir(tmp_path)
    with init(tmp_path, InitRequest(agent="alice")).node as joined:
        yield joined


def say(node: Node, content: str, interaction: int | None = None, *, sync: bool = True) -> None:
    node.append(node.draft("question", content, actor="alice", interaction=interaction))
    if sync:
        node.sync()


def snapshot(*arguments: str) -> Result:
    result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_the_last_k_are_on_the_page_and_the_others_in_the_archive(node: Node) -> None:
    for number in range(1, 6):
        say(node, f"content {number}", sync=number == 5)
    snapshot("--out", "pages", "-k", "2")
    page, archive = (Path("pages", name).read_text() for name in ("communication.md", "archive.md"))
    assert "content 4" in page and "content 5" in page and "content 3" not in page
    assert "content 3" in archive and "content 4" not in archive
    assert page.index(BEGIN) < page.index("### Interaction #4") < page.index(END)


def test_what_would_not_change_is_not_touched(node: Node) -> None:
    say(node, "hello")
    assert json.loads(snapshot("--json").output)["changed"] == ["board.md", "archive.md", "communication.md"]
    assert Path("board.md").read_text().startswith("# Board")
    files = ("communication.md", "archive.md", "board.md")
    before = [(os.stat(path).st_ino, os.stat(path).st_mtime_ns) for path in files]
    assert "nothing to do" in snapshot().output
    assert [(os.stat(path).st_ino, os.stat(path).st_mtime_ns) for path in files] == before


def test_the_last_good_page_is_kept(node: Node) -> None:
    say(node, "hello")
    snapshot()
    first = Path("communication.md").read_bytes()
    say(node, "more")
    snapshot()
    assert Path("communication.md.bak").read_bytes() == first
    Path("communication.md").write_bytes(first[:40])
    snapshot()
    assert Path("communication.md.bak").read_bytes() == first
    assert b"more" in Path("communication.md").read_bytes()


def test_what_is_queued_is_on_the_page_and_in_the_log(node: Node) -> None:
    say(node, "sequenced", 7)
    say(node, "waiting", 7, sync=False)
    snapshot("--no-sync", "--files", "all")
    page = Path("communication.md").read_text()
    assert page.index("sequenced") < page.index("waiting") and "Ledger position 2 " in page
    assert [json.loads(line)["content"] for line in Path("events.log").read_bytes().splitlines()][1:] == [
        "sequenced",
        "waiting",
    ]
    assert node.fleet.position == 2


def test_a_log_of_somebody_else_is_set_aside_and_named(node: Node) -> None:
    sample = (TOP / "events.offline.log").read_bytes()
    Path("events.log").write_bytes(sample)
    result = snapshot("--files", "log")
    assert Path("events.log.old").read_bytes() == sample
    assert "gitcoord import events.log.old" in result.output
    Path("events.log").write_bytes(b"mine, without a newline")
    snapshot("--files", "log")
    assert Path("events.log.old.1").read_bytes() == b"mine, without a newline"


def test_a_torn_log_is_mended(node: Node) -> None:
    say(node, "hello")
    snapshot("--files", "log")
    whole = Path("events.log").read_bytes()
    Path("events.log").write_bytes(whole[:-30])
    snapshot("--files", "log")
    assert Path("events.log").read_bytes() == whole and not Path("events.log.old").exists()


def test_killed_at_every_write_there_is_a_good_page(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies before, or just after, each system call that changes a file."""

    class Killed(BaseException):
        pass

    calls = [0, 0]  # made, allowed

    def dying(real):  # type: ignore[no-untyped-def]
        def call(*arguments, **more):  # type: ignore[no-untyped-def]
            calls[0] += 1
            if calls[0] == calls[1]:
                raise Killed
            result = real(*arguments, **more)
            if calls[0] == -calls[1]:
                raise Killed
            return result

        return call

    for name in ("replace", "fsync", "open"):
        monkeypatch.setattr(files.os, name, dying(getattr(os, name)))
    folder = Path("pages")
    folder.mkdir()
    say_page = "a page {}\n" + END + "\n"
    (folder / "communication.md").write_text(say_page.format("first"))
    number, died = 0, 0
    for sign in (1, -1):
        for at in range(1, 15):
            number += 1
            calls[:] = [0, sign * at]
            try:
                local_pages.put_pages(
                    folder, {"communication.md": say_page.format(number).encode(), "archive.md": b"a\n"}
                )
            except Killed:
                died += 1
            good = [
                path
                for path in (folder / "communication.md", folder / "communication.md.bak")
                if path.exists() and local_pages.is_whole(path.read_bytes())
            ]
            assert good and folder / "communication.md" in good
    assert died >= 14


def test_watch_follows_the_log_until_told_to_stop(node: Node, tmp_path: Path) -> None:
    say(node, "first")
    watch = subprocess.Popen(
        [sys.executable, "-m", "gitcoord", "snapshot", "--watch", "--out", "pages"],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(TOP)},
    )
    try:
        page = tmp_path / "pages" / "communication.md"
        wait_until(lambda: page.exists() and b"first" in page.read_bytes(), what="the first page")
        say(node, "second", sync=False)
        wait_until(lambda: b"second" in page.read_bytes(), what="what was queued")
        watch.send_signal(signal.SIGINT)
        assert watch.wait(WAIT_S) == 0
    finally:
        watch.kill()
        watch.wait()
