"""URLs on GitHub: a remote's repository, and the API's address. It is fast to import, so any module may do so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from gitcoord.core.errors import Refused

PUBLIC, PUBLIC_API = "https://github.com", "https://api.github.com"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,100}")
_SCP_LIKE = re.compile(r"(?:[^@/\s]+@)?([A-Za-z0-9.-]+):(?!//)(.+)")


def server_url(environ: Mapping[str, str]) -> str:
    """Return the URL of GitHub, or of the enterprise server in GITHUB_SERVER_URL."""
    return (environ.get("GITHUB_SERVER_URL") or PUBLIC).rstrip("/")


def api_url(environ: Mapping[str, str]) -> str:
    """Return the API's address: GITHUB_API_URL, otherwise that of the enterprise server, otherwise the public one."""
    configured = environ.get("GITHUB_API_URL", "").rstrip("/")
    server = server_url(environ)
    return configured or (PUBLIC_API if server == PUBLIC else f"{server}/api/v3")


def repository_of(url: str, environ: Mapping[str, str]) -> str | None:
    """Return "owner/name" of a remote's URL on GitHub; None for a URL elsewhere."""
    scp = None if "://" in url else _SCP_LIKE.fullmatch(url)
    host, path = (scp[1], scp[2]) if scp else (urlsplit(url).hostname or "", urlsplit(url).path)
    if host.lower() not in (urlsplit(server_url(environ)).hostname, "ssh.github.com"):
        return None
    name = path.strip("/").removesuffix(".git")
    return name if _NAME.fullmatch(name) else None


def repository_name(text: str) -> str:
    """Return `text` as "owner/name". Raise Refused if it is not of that form."""
    name = text.strip().removesuffix(".git")
    if not _NAME.fullmatch(name):
        raise Refused(f"{text!r} is not the name of a repository: write owner/name")
    return name
