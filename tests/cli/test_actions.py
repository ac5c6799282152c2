"""`gitcoord actions report`: what a runner's files hold after it, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitcoord.core.errors import Refused
from gitcoord.github import install_source
from tests.cli.clones import Clone, gitcoord


def report(alice: Clone, folder: Path, *files: Path, code: int = 0) -> tuple[list[str], str, str]:
    """The printed lines, the summary and the outputs."""
    summary, output = folder / "summary", folder / "output"
    done = alice(
        "actions", "report", *map(str, files), code=code, GITHUB_STEP_SUMMARY=str(summary), GITHUB_OUTPUT=str(output)
    )
    texts = [path.read_text(encoding="utf-8") if path.exists() else "" for path in (summary, output)]
    return done.out.splitlines(), texts[0], texts[1]


def test_the_summary_shows_the_status_and_the_newest_conversations(alice: Clone, tmp_path: Path) -> None:
    alice("append", "question", "Who takes the parser?")
    lines, summary, outputs = report(alice, tmp_path)
    assert lines == []
    assert summary.startswith("## gitcoord\n\n<pre>") and "\nleader    nobody" in summary
    assert "### Interaction #1" in summary and "Who takes the parser?" in summary
    assert outputs == "position=2\nleader=\nattention=0\n"


def test_what_needs_attention_is_annotated_but_not_that_nobody_leads(alice: Clone, tmp_path: Path) -> None:
    assert "nobody leads" in alice("status").out
    with alice.outage():
        alice("append", "note", "waits", code=None)
        lines, _, outputs = report(alice, tmp_path)
    assert lines and all(line.startswith("::warning title=gitcoord::") for line in lines)
    assert f"attention={len(lines)}\n" in outputs
    assert "nobody leads" not in "".join(lines)


def test_answers_of_other_commands_are_annotated_and_others_passed_over(alice: Clone, tmp_path: Path) -> None:
    review = tmp_path / "review.json"
    review.write_text(
        "hello\n"
        + json.dumps(
            {
                "schema": "gitcoord.review.post/1",
                "verdict": "comment",
                "findings": [
                    {"severity": "warning", "text": "bob has reserved it", "path": "a.py", "first": None, "last": None}
                ],
            }
        )
        + "\n"
    )
    lines, _, outputs = report(alice, tmp_path, review)
    assert lines == ["::warning title=gitcoord review,file=a.py::bob has reserved it"]
    assert outputs.endswith("attention=1\nverdict=comment\n")


def test_a_file_that_is_not_there_is_named(alice: Clone, tmp_path: Path) -> None:
    assert report(alice, tmp_path, tmp_path / "missing", code=2)[2] == ""


def test_init_writes_the_workflows_once_and_again_only_by_force(alice: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install_source, "of_this_version", lambda: "git+https://host.invalid/own@4567def")
    said = alice("init", "--agent", "alice", "--github-actions").out
    file = alice.path / ".github" / "workflows" / "gitcoord-leader.yml"
    assert ".github/workflows/gitcoord-review.yml" in said and "--source" in said
    assert "own@4567def" in said and "own@4567def" in file.read_text("utf-8")
    assert "nothing to do" in alice("init", "--agent", "alice", "--github-actions").out
    other = ["init", "--agent", "alice", "--github-actions", "--source", "git+https://host.invalid/r@0123abc"]
    assert "--force" in alice(*other, code=2).err
    assert "0123abc" in alice(*other, "--force").out and "@0123abc" in file.read_text("utf-8")


def test_init_begins_nothing_where_nobody_knows_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown() -> str:
        raise Refused("say --source")

    monkeypatch.setattr(install_source, "of_this_version", unknown)
    words = ("init", "--agent", "alice", "--github-actions")
    assert gitcoord(tmp_path, *words).code == 2 and not list(tmp_path.iterdir())


def test_init_takes_the_words_about_workflows_only_where_it_writes_them(alice: Clone) -> None:
    assert "--github-actions" in alice("init", "--agent", "alice", "--source", "gitcoord", code=2).err
