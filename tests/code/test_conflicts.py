"""Conflicts between branches: hunks with their functions, severity, an order of merging, and what is skipped."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gitcoord.code import branches, conflict_events, conflicts, merge_cache, merges
from gitcoord.code.changed_paths import changed_by, common_ancestor
from gitcoord.code.conflicts import Conflict, ConflictedPath, ConflictReport, Ref
from gitcoord.code.hunks import Hunk, hunks
from gitcoord.code.merge_result import Outcome, Pair, Unmerged
from gitcoord.code.objects import Repository
from tests.cli.clones import Clone, copied
from tests.code.kinds import LINES, Builder

BUNDLE = Path(__file__).resolve().parents[1] / "data" / "merges.bundle"
DAY_S = 86_400.0
BUILT_S = 1_700_000_000.0


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conflicts") / "repository"
    subprocess.run(["git", "clone", "--quiet", "--mirror", str(BUNDLE), str(folder)], check=True)
    return folder


@pytest.fixture
def alice(tmp_path: Path) -> Clone:
    return copied(tmp_path, "alice")[0]


def among(path: Path, *names: str, now_s: float = BUILT_S + DAY_S) -> ConflictReport:
    with Repository(path) as repository:
        refs = branches.chosen(repository, names, ["alice", "bob"])
        return conflicts.between(repository, refs, base=branches.base_of(repository, "main"), now_s=now_s)


def test_hunks_have_the_lines_of_both_sides_and_the_function(path: Path) -> None:
    with Repository(path) as repository:
        [merge] = merges.trial(repository, [(repository.commit("two-hunks-a"), repository.commit("two-hunks-b"))])
        assert hunks(repository, merge, merge.conflicted[0]) == [
            Hunk(("    one = 11",), ("    one = 111",), 2, 2, "def first():"),
            Hunk(("    four = 44",), ("    four = 444",), 9, 9, "def second():"),
        ]


def test_what_one_branch_changed_is_asked_of_git_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    git = Repository.git

    def counted(repository: Repository, *words: str, **more: Any) -> bytes:
        asked.append(words)
        return git(repository, *words, **more)

    monkeypatch.setattr(Repository, "git", counted)
    found = among(path, "content-a", "content-b", "file-to-folder-b", "deleted-b", "crossed-a", "crossed-b")
    diffs = [words for words in asked if words[0] == "diff"]
    assert len(set(diffs)) == len(diffs) < sum(bool(place.hunks) for one in found.conflicts for place in one.paths)


def test_a_text_that_looks_like_markers_is_text(path: Path) -> None:
    with Repository(path) as repository:
        [merge] = merges.trial(repository, [(repository.commit("markers-a"), repository.commit("markers-b"))])
        [hunk] = hunks(repository, merge, merge.conflicted[0])
    assert hunk.ours == ("<<<<<<< ours", "five") or hunk.ours == ("<<<<<<< ours", "five", "=======")
    assert hunk.ours_at == 5


def test_pairs_that_touch_nothing_in_common_are_not_tried_and_lose_no_conflict(path: Path) -> None:
    """Whatever is skipped is clean: all pairs of all branches, tried all the same."""
    with Repository(path) as repository:
        names = repository.git("for-each-ref", "--format=%(refname:short)", "refs/heads/*-[ab]").decode().split()
        refs = {name: repository.commit(name) for name in names}
        ancestor = common_ancestor(repository, list(refs.values()))
        marks = {name: changed_by(repository, ancestor, commit) for name, commit in refs.items()}
        pairs = list(itertools.combinations(names, 2))
        tried = merges.trial(repository, [(refs[a], refs[b]) for a, b in pairs])
        missed = [
            (a, b)
            for (a, b), merge in zip(pairs, tried, strict=True)
            if not merge.clean and not marks[a].may_conflict(marks[b])
        ]
        skipped = sum(not marks[a].may_conflict(marks[b]) for a, b in pairs)
    assert missed == [] and skipped > len(pairs) / 3


def test_the_worst_comes_first_and_age_makes_it_worse(path: Path) -> None:
    names = ("content-a", "content-b", "deleted-a", "binary-a", "binary-b")
    found = among(path, *names)
    assert found.conflicts and found.tried < found.pairs
    assert [one.score for one in found.conflicts] == sorted((one.score for one in found.conflicts), reverse=True)
    later = among(path, *names, now_s=BUILT_S + 40 * DAY_S)
    assert later.conflicts[0].score > found.conflicts[0].score
    kinds = {frozenset((one.a.name, one.b.name)): one.paths[0].kind for one in found.conflicts}
    assert kinds[frozenset(("binary-a", "binary-b"))] == "binary"
    assert kinds[frozenset(("content-a", "deleted-a"))] == "delete"


def test_a_file_against_a_link_is_one_path(path: Path) -> None:
    [one] = among(path, "symlink-a", "symlink-b").conflicts
    assert [(place.path, place.kind, len(place.messages)) for place in one.paths] == [("spot", "mode", 1)]


@pytest.mark.parametrize(
    ("lines", "files", "central", "severity"),
    [
        (1, 1, 1, "low"),
        (6, 1, 1, "medium"),
        (50, 1, 1, "high"),
        (250, 1, 1, "critical"),
        (1, 2, 1, "medium"),
        (1, 1, 4, "medium"),
    ],
)
def test_lines_files_and_how_central_a_path_is_make_it_severe(
    lines: int, files: int, central: int, severity: str
) -> None:
    hunk = Hunk(("a",) * lines, ("b",), 1, 1)
    paths = tuple(ConflictedPath(f"file{number}", "content", (hunk,), central, ()) for number in range(files))
    assert Conflict(Ref("a", "1"), Ref("b", "2"), paths, 0).severity == severity


def test_in_the_suggested_order_as_many_as_can_be_merge_without_help() -> None:
    refs = [Ref(name, name) for name in ("hub", "a", "b", "c", "alone")]
    path = ConflictedPath("x", "content", (), 1, ())
    found = [Conflict(refs[0], other, (path,), 0) for other in refs[1:4]]
    ordered = conflicts.order(refs, found)
    assert [(ref.name, count) for ref, count in ordered] == [("alone", 0), ("a", 0), ("b", 0), ("c", 0), ("hub", 3)]


@pytest.mark.parametrize(
    ("branch", "agent"),
    [
        ("alice/parser", "alice"),
        ("task/k3f97hq2-1-agent-a-mend", "Agent A"),
        ("malice", None),
        ("origin/bob", "bob"),
        ("bob-the-builder", "bob the builder"),
    ],
)
def test_whose_a_branch_is(branch: str, agent: str | None) -> None:
    assert branches.agent_of(branch, ["alice", "bob", "Agent A", "bob the builder"]) == agent


def test_what_is_told_fits_an_event(path: Path) -> None:
    [told] = [one for one in conflict_events.to_payloads(among(path, "two-hunks-a", "two-hunks-b").conflicts)]
    assert told.paths[0].functions == ["def first():", "def second():"] and told.paths[0].lines == 2


def test_the_command_tells_records_and_closes(alice: Clone, tried: list[Pair]) -> None:
    def git(*words: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=x", "-c", "user.email=x@y", *words],
            cwd=alice.path,
            check=True,
            capture_output=True,
        )

    def commit(branch: str, text: str) -> None:
        git("checkout", "-q", "-B", branch, "main")
        (alice.path / "a.py").write_text(text)
        git("commit", "-qam", branch)

    (alice.path / "a.py").write_text("def f():\n    return 0\n")
    git("add", "a.py")
    git("commit", "-qm", "base")
    git("branch", "-M", "main")
    commit("alice/one", "def f():\n    return 1\n")
    commit("bob/two", "def f():\n    return 2\n")
    git("checkout", "-q", "main")
    would = alice("conflict", "check", "--record", "--dry-run")
    assert "would write conflict_found: alice/one and bob/two conflict in a.py" in would.out and would.err == ""
    shown = alice("conflict", "check", "--record")
    assert "low: alice/one (alice) and bob/two, 1 path" in shown.out and "line 2 and 2, def f():" in shown.out
    assert "merge into main in this order: alice/one, bob/two (1 to settle)" in shown.out
    assert "alice/one and bob/two conflict in a.py" in shown.err
    assert len(tried) == 1
    assert alice("conflict", "check", "--record").err == ""  # said once
    [row] = alice("conflict", "list", "--json").json()["items"]
    assert (row["files"], row["a"]["agent"]) == (["a.py"], "alice")
    assert alice("conflict", "check", "--json").json()["conflicts"][0]["paths"][0]["hunks"][0]["a"] == ["    return 1"]
    assert len(tried) == 1  # and merged once
    commit("bob/two", "def f():\n    return 1\n")
    git("checkout", "-q", "main")
    assert "they can be merged" in alice("conflict", "check", "--record").err
    assert "no conflicts: 3 pairs" in alice("conflict", "check").out
    assert "no branch or commit 'nothing'" in alice("conflict", "check", "nothing", code=2).err


def test_no_pair_is_tried_twice_whether_it_conflicts_or_not(path: Path, tmp_path: Path, tried: list[Pair]) -> None:
    first, count = remembering(path, tmp_path), len(tried)
    tried.clear()
    again = remembering(path, tmp_path)
    assert tried == [] and count == len(first.outcomes)
    assert any(first.outcomes.values()) and not all(first.outcomes.values())
    assert again == first


@pytest.mark.parametrize(
    "change",
    [
        lambda path, cache: subprocess.run(["git", "-C", str(path), "config", "merge.renames", "false"], check=True),
        lambda path, cache: (path / "info" / "attributes").write_text("* -merge\n"),
        lambda path, cache: (cache / merge_cache.FILE).write_bytes((cache / merge_cache.FILE).read_bytes()[:-9]),
        lambda path, cache: (cache / merge_cache.FILE).write_bytes(b""),
    ],
    ids=["settings", "attributes", "damage", "empty"],
)
def test_what_was_judged_otherwise_or_is_damaged_is_tried_again(
    path: Path, tmp_path: Path, tried: list[Pair], change: Callable[[Path, Path], object]
) -> None:
    shutil.copytree(path, tmp_path / "copy")
    first = remembering(tmp_path / "copy", tmp_path, "content-a", "content-b")
    change(tmp_path / "copy", tmp_path)
    tried.clear()
    remembering(tmp_path / "copy", tmp_path, "content-a", "content-b")
    assert sorted(tried) == sorted(first.outcomes)


def test_what_is_remembered_is_bounded_and_the_newest_stays(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = (Unmerged("x", "content", (Hunk(("y" * merge_cache.OUTCOME_BYTES_MAX,), (), 1, 1),)),)
    odd = (Unmerged("name \udcff", "content", (Hunk(("a",), ("b",), 1, 2, "def f():"),), ("said",)),)
    outcomes: dict[Pair, Outcome] = {(str(number), "b"): odd for number in range(9)}
    monkeypatch.setattr(merge_cache, "BYTES_MAX", 300)
    with Repository(path) as repository:
        merge_cache.save(tmp_path, repository, {**outcomes, ("large", "b"): large, ("clean", "b"): ()})
        known = merge_cache.read(tmp_path, repository)
    assert [*known.items()][-2:] == [(("8", "b"), odd), (("clean", "b"), ())] and 2 < len(known) < 9
    assert (tmp_path / merge_cache.FILE).stat().st_size < 400


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[Pair]:
    """All pairs that are merged on trial from now on."""
    found: list[Pair] = []
    trial = merges.trial

    def counted(repository: Repository, pairs: Sequence[Pair]) -> Iterator[merges.Merge]:
        found.extend(pairs)
        return trial(repository, pairs)

    monkeypatch.setattr(merges, "trial", counted)
    return found


def remembering(path: Path, cache: Path, *names: str) -> ConflictReport:
    """A look at the branches of these names (all) that knows what those before it found."""
    with Repository(path) as repository:
        names = names or tuple(
            repository.git("for-each-ref", "--format=%(refname:short)", "refs/heads/*-[ab]").decode().split()
        )
        found = conflicts.between(
            repository,
            branches.chosen(repository, names, []),
            now_s=BUILT_S,
            base=branches.base_of(repository, "main"),
            known=merge_cache.read(cache, repository),
        )
        merge_cache.save(cache, repository, found.outcomes)
    return found


def test_what_only_this_clone_has_under_a_name_of_the_remotes_is_told_to_nobody() -> None:
    mine, theirs, rival, own = Ref("x", "1" * 40), Ref("origin/x", "2" * 40), Ref("y", "3" * 40), Ref("z", "4" * 40)
    path = ConflictedPath("a", "content", (), 1, ())
    found = [Conflict(mine, rival, (path,), 0), Conflict(theirs, rival, (path,), 0), Conflict(rival, own, (path,), 0)]
    told, refs = conflict_events.shared(found, [mine, theirs, rival, own], {"2" * 40: "x", "3" * 40: "y"})
    assert [(one.a.name, one.a.commit[0], one.b.name) for one in told] == [("x", "2", "y"), ("y", "3", "z")]
    assert [one.name for one in refs] == ["x", "y", "z"]


def test_a_remote_is_known_by_its_name_and_by_its_url(tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", str(BUNDLE), str(tmp_path / "clone")], check=True)
    with Repository(tmp_path / "clone") as repository:
        shared = branches.shared(repository, "origin")
        assert shared[repository.commit("origin/content-a")] == "content-a" and "HEAD" not in shared.values()
        assert branches.shared(repository, str(BUNDLE)) == shared
        assert branches.shared(repository, "https://host.invalid/r.git") == {}


def test_who_has_a_path_as_the_base_has_it_is_told_of_no_conflict_there(tmp_path: Path) -> None:
    """`late` begins after main changed, `squashed` is on main in other words; only `early` conflicts, with main."""
    one = Builder(tmp_path)
    one.write("a.txt", LINES)
    one.commit("begin")
    for branch in ("early", "squashed"):
        one.git("switch", "--quiet", "--create", branch, "main")
        one.edit("a.txt", "line 5\n", f"{branch}\n")
        one.commit(branch)
    one.git("switch", "--quiet", "main")
    one.edit("a.txt", "line 5\n", "squashed\n")
    one.commit("squashed, merged as one commit")
    one.git("switch", "--quiet", "--create", "late")
    one.write("b.txt", "new\n")
    one.commit("late")
    found = among(tmp_path, "early", "late", "squashed")
    assert [(one.a.name, one.b.name, [at.path for at in one.paths]) for one in found.conflicts] == [
        ("early", "main", ["a.txt"])
    ]
    assert [ref.name for ref, _ in found.order] == ["early", "late", "squashed"]
