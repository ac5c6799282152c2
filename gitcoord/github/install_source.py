"""The install source: from where a new machine installs this very version, derived from how it was installed here.

A package named gitcoord in an index may be somebody else's. So the source is never a name alone: it is a commit, or the
user names it.
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
ELSE = "give --source git+https://HOST/OWNER/REPO@COMMIT, or another requirement that pip accepts"


def of_this_version() -> str:
    """Return a requirement for pip. Raise Refused if no source of this version is known that other machines can
    reach."""
    try:
        text = importlib.metadata.distribution("gitcoord").read_text("direct_url.json")  # PEP 610
    except importlib.metadata.PackageNotFoundError:
        text = None
    direct_url = json.loads(text or "{}")
    url = _public(direct_url["url"]) if direct_url.get("vcs_info", {}).get("vcs") == "git" else None
    if url is not None:
        return f"git+{url}@{direct_url['vcs_info']['commit_id']}"
    top = Path(gitcoord.__file__).parents[1]
    if not (top / ".git").exists():
        raise Refused(f"it is not known from where this gitcoord was installed: {ELSE}")
    return of_checkout(top)


def of_checkout(top: Path) -> str:
    """Return a requirement for pip: the commit of a checkout of this project. Raise Refused if its remote lacks it."""
    commit = _git(top, "rev-parse", "--verify", "--quiet", "HEAD")
    url = _public(_git(top, "remote", "get-url", "origin"))
    if not commit or url is None:
        raise Refused(f"the checkout in {top} has no remote origin that pip could fetch from: {ELSE}")
    if _git(top, "status", "--porcelain", "--", *MADE_OF):
        raise Refused(f"the checkout in {top} has uncommitted changes: commit and push them, or {ELSE}")
    if not _git(top, "for-each-ref", "--count=1", f"--contains={commit}", "refs/remotes/origin"):
        raise Refused(
            f"commit {commit[:12]} of the checkout in {top} is not in any fetched branch of its remote: "
            f"push it, or {ELSE}"
        )
    return f"git+{url}@{commit}"


def _public(url: str) -> str | None:
    """Return the https URL for `url`, without a login, which a machine without keys can use; None if there is none."""
    name = urls.repository_of(url, os.environ)
    if name is not None:
        return f"{urls.server_url(os.environ)}/{name}"
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts.scheme == "https" else None


def _git(top: Path, *words: str) -> str:
    """Return git's output; "" if git fails."""
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
