"""URLs on GitHub: a remote's repository, and the API's address; light, so that every module may import it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from gitcoord.core.errors import Refused

PUBLIC, PUBLIC_API = "https://github.com", "https://api.github.com"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,100}")
_SCP_LIKE = re.compile(r"(?:[^@/\s]+@)?([A-Za-z0-9.-]+):(?!//)(.+)")


def server_url(environ: Mapping[str, str]) -> str:
    return (environ.get("GITHUB_SERVER_URL") or PUBLIC).rstrip("/")


def api_url(environ: Mapping[str, str]) -> str:
    """Return the API's address from the environment; otherwise the public API, or that of the enterprise server in
    use."""
    said = environ.get("GITHUB_API_URL", "").rstrip("/")
    server = server_url(environ)
    return said or (PUBLIC_API if server == PUBLIC else f"{server}/api/v3")


def repository_of(url: str, environ: Mapping[str, str]) -> str | None:
    """Return "owner/name" of a remote on GitHub; None for a remote elsewhere."""
    scp = None if "://" in url else _SCP_LIKE.fullmatch(url)
    host, path = (scp[1], scp[2]) if scp else (urlsplit(url).hostname or "", urlsplit(url).path)
    if host.lower() not in (urlsplit(server_url(environ)).hostname, "ssh.github.com"):
        return None
    name = path.strip("/").removesuffix(".git")
    return name if _NAME.fullmatch(name) else None


def repository_name(text: str) -> str:
    """Return `text` as "owner/name". Raise Refused."""
    name = text.strip().removesuffix(".git")
    if not _NAME.fullmatch(name):
        raise Refused(f"{text!r} is no repository: write owner/name")
    return name
