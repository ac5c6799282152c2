"""The install source: where a fresh machine gets this very version, found by how it was installed; never a name alone.

A package named gitcoord in an index may be somebody else's. So nothing is guessed: the source is a commit, or the user
names it.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import gitcoord
from gitcoord.core.errors import Refused
from gitcoord.github.api import urls
from gitcoord.store import program

GIT_S = 30
MADE_OF = ("gitcoord", "pyproject.toml", "setup.cfg")
ELSE = "say --source git+https://HOST/OWNER/REPO@COMMIT, or another requirement that pip takes"


def of_this_version() -> str:
    """Return a requirement for pip. Raise Refused if nothing that another machine can reach is known to hold this
    version."""
    try:
        told = importlib.metadata.distribution("gitcoord").read_text("direct_url.json")  # PEP 610
    except importlib.metadata.PackageNotFoundError:
        told = None
    noted = json.loads(told or "{}")
    url = _public(noted["url"]) if noted.get("vcs_info", {}).get("vcs") == "git" else None
    if url is not None:
        return f"git+{url}@{noted['vcs_info']['commit_id']}"
    top = Path(gitcoord.__file__).parents[1]
    if not (top / ".git").exists():
        raise Refused(f"nothing here tells where this gitcoord was installed from: {ELSE}")
    return of_checkout(top)


def of_checkout(top: Path) -> str:
    """Return the commit of a checkout of this project, as its remote has it. Raise Refused."""
    commit = _git(top, "rev-parse", "--verify", "--quiet", "HEAD")
    url = _public(_git(top, "remote", "get-url", "origin"))
    if not commit or url is None:
        raise Refused(f"the checkout in {top} has no remote origin that pip could fetch from: {ELSE}")
    if _git(top, "status", "--porcelain", "--", *MADE_OF):
        raise Refused(f"the checkout in {top} holds changes that are in no commit: commit and push them, or {ELSE}")
    if not _git(top, "for-each-ref", "--count=1", f"--contains={commit}", "refs/remotes/origin"):
        raise Refused(
            f"commit {commit[:12]} of the checkout in {top} is in no branch of its remote that was fetched: "
            f"push it, or {ELSE}"
        )
    return f"git+{url}@{commit}"


def _public(url: str) -> str | None:
    """Return a URL that a machine without keys can use, and that holds no password; None if there is none."""
    name = urls.repository_of(url, os.environ)
    if name is not None:
        return f"{urls.server_url(os.environ)}/{name}"
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts.scheme == "https" else None


def _git(top: Path, *words: str) -> str:
    """Return git's output; "" if it refuses."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *program.IN_CHECKOUT, "-C", str(top), *words],
        executable=program.git(),
        env=plain,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=GIT_S,
    )
    return done.stdout.strip() if done.returncode == 0 else ""
