"""The demo's own checks can fail: a promise that is broken is seen, told, and ends with 1."""

from __future__ import annotations

import io
import subprocess
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

import gitcoord
from gitcoord.cli import demo
from gitcoord.cli.demonstration import checks
from gitcoord.cli.demonstration.play import Play
from gitcoord.cli.demonstration.stage import Broken, Stage
from gitcoord.core.errors import Refused


def stage_in(folder: Path) -> Stage:
    return Stage(Console(file=io.StringIO()), folder=folder)


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, perform: object) -> tuple[int, str]:
    monkeypatch.setattr(demo, "_perform", perform)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    result = CliRunner().invoke(demo.command, ["--fast"])
    return result.exit_code, result.output


def test_a_broken_promise_ends_with_1_and_keeps_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, output = run(monkeypatch, tmp_path, lambda play: play.stage.promise("the sky is blue", "green", False))
    assert code == 1
    assert "BROKEN" in output
    [kept] = tmp_path.iterdir()
    assert str(kept) in output.replace("\n", "")


def test_a_failure_is_a_broken_promise_and_not_a_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(play: Play) -> None:
        raise Refused("no such thing")

    code, output = run(monkeypatch, tmp_path, fails)
    assert code == 1
    assert "no such thing" in output
    assert "Traceback" not in output


def test_kept_promises_end_with_0_and_leave_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, output = run(monkeypatch, tmp_path, lambda play: play.stage.promise("the sky is blue", "blue", True))
    assert code == 0
    assert "All kept" in output
    assert list(tmp_path.iterdir()) == []


def test_waiting_has_a_limit_and_says_for_what(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(Broken, match="the moon: not within 0.05 s"):
        stage_in(tmp_path).until("the moon", lambda: None, limit_s=0.05)
    assert time.monotonic() - began < 5


def test_an_agent_that_dies_unasked_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="agent run of alice ended with 2: .*no git repository"):
        with stage_in(tmp_path / "stage") as stage:
            (stage.folder / "alice").mkdir(parents=True)
            subprocess.run(["git", "init", "--quiet", "--bare", str(stage.remote)], check=True)
            stage.start("alice")
            stage.until("nothing", lambda: None, limit_s=30)
    assert not stage.children[0].alive


def test_an_acknowledged_event_that_the_log_lacks_is_seen(tmp_path: Path) -> None:
    stage = stage_in(tmp_path)
    play = Play(stage, ["alice"])
    with gitcoord.join(tmp_path / "alice", agent="alice") as me:
        play.views["alice"] = me.node
        stage.acknowledged[me.append("note", "here", wait="sequenced").id] = "alice"
        checks._exactly_once(play)
        assert [promise.kept for promise in stage.promises] == [True]
        stage.acknowledged[me.append("note", "only queued").id] = "alice"
        checks._exactly_once(play)
        assert [promise.kept for promise in stage.promises] == [True, False]
