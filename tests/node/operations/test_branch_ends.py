"""Branch ends: a branch is over when it is deleted, or merged by a merge."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gitcoord.node.operations import branch_ends
from gitcoord.store.git import local_repo

AUTHOR = ("-c", "user.name=x", "-c", "user.email=x@example.org")


def test_a_branch_is_over_when_it_is_merged_or_deleted_and_not_while_it_has_no_commit(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", *AUTHOR, *words], cwd=tmp_path, check=True, capture_output=True)

    local_repo.init_repository(tmp_path)
    common = tmp_path / ".git"
    git("checkout", "-B", "main")
    git("commit", "--allow-empty", "-m", "first")
    git("branch", "feature/x")
    git("commit", "--allow-empty", "-m", "second")
    assert branch_ends.why(common, "feature/x") == ""
    git("checkout", "feature/x")
    git("commit", "--allow-empty", "-m", "work")
    assert branch_ends.why(common, "feature/x") == ""
    git("checkout", "main")
    git("merge", "--no-ff", "-m", "merge", "feature/x")
    assert branch_ends.why(common, "feature/x") == "the branch feature/x was merged into main"
    git("pack-refs", "--all")
    assert branch_ends.why(common, "main") == ""
    git("branch", "-D", "feature/x")
    assert branch_ends.why(common, "feature/x") == "the branch feature/x was deleted"
