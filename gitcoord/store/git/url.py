"""URLs of remotes: how git rewrites one, which host it reaches, and which part of it no process list may show."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import unquote

from gitcoord.core.errors import Refused

INFO_REFS = "/info/refs?service=git-upload-pack"  # git's first request to an HTTP server; a redirect's address ends so

ALIAS = "gitcoord://remote"
"""A placeholder for the remote's URL in git's arguments: a setting of ours rewrites it to the URL."""

TRACES_LOCATION = {"GIT_TRACE_CURL": "1", "GIT_TRACE_CURL_NO_DATA": "1", "GIT_TRACE_REDACT": "1"}
"""A setting of git's environment: its standard error shows where a server redirects it to, and no secret."""

_SCP_LIKE = re.compile(r"(?![A-Za-z]:[\\/])[^/]+:")
_HTTP = re.compile(r"(https?)://([^/?#]*)(.*)", re.I | re.S)
_PASSWORD = re.compile(r"://[^/?#\s]*:[^/?#\s]*@")
_IN_QUERY = re.compile(
    r"://[^?#]*[?#](?:.*[&;])?[\w.-]*(?:token|secret|passw|pwd|key|auth|sig|credential)[\w.-]*=[^&]", re.I | re.S
)
_INSTEAD_OF = re.compile(r"url\.(.+)\.(push)?insteadof\Z", re.I | re.S)
_PORTS = {"http": "80", "https": "443"}


class Login(NamedTuple):
    """A URL without its user and password, and those two."""

    url: str
    user: str
    password: str


def is_local(url: str) -> bool:
    """Return whether `url` is a path on this machine, as git would take it."""
    return "://" not in url and not _SCP_LIKE.match(url)


def is_named(url: str) -> bool:
    """Return whether `url` may be the name of a remote in a clone's configuration: git asks for it in an argument."""
    return "://" not in url and "@" not in url


def without_login(url: str) -> Login:
    """Take user and password out of an HTTP URL. Raise Refused for a password that git would show in an argument.

    A user goes too: a token may stand alone there.
    """
    if _IN_QUERY.search(url):
        raise Refused(
            "the remote's URL holds a token or key behind its `?`, which messages would show: take it out of "
            "the URL, and set GITCOORD_TOKEN"
        )
    match = _HTTP.match(url)
    if match:
        login, _, host = match[2].rpartition("@")
        user, _, password = login.partition(":")
        return Login(f"{match[1].lower()}://{host}{match[3]}", unquote(user), unquote(password))
    if _PASSWORD.search(url):
        raise Refused(
            "the remote's URL holds a password, which every process list of this machine would show: take it "
            "out of the URL (ssh uses keys; http(s) URLs may have one, or set GITCOORD_TOKEN)"
        )
    return Login(url, "", "")


def without_secret(url: str) -> str:
    """Return `url` as it may be kept in a file or shown: without a password, and without a user over HTTP."""
    return without_login(url).url


def rewritten(url: str, listing: str, *, pushes: bool) -> str:
    """Return how git rewrites `url` by `url.BASE.insteadOf`, and for a push by `pushInsteadOf`, which goes first.

    `listing` is from `git config --list --show-scope -z`. git would put the result into its children's arguments, with
    a password that BASE may hold. So git is given `ALIAS` in place of the URL, and rewrites nothing else.
    """
    best: dict[bool, tuple[str, str]] = {}
    for entry in listing.split("\0")[1::2]:
        key, _, begins = entry.partition("\n")
        match = _INSTEAD_OF.match(key)
        if match and begins and url.startswith(begins) and len(begins) > len(best.get(bool(match[2]), ("", ""))[0]):
            best[bool(match[2])] = begins, match[1]
    begins, base = (best.get(True) if pushes else None) or best.get(False) or ("", "")
    return base + url[len(begins) :]


def origin_of(url: str) -> str:
    """Return "scheme://host:port" of an HTTP URL, in one spelling; empty for any other URL."""
    match = _HTTP.match(url)
    if not match:
        return ""
    scheme, host = match[1].lower(), match[2].rpartition("@")[2].lower()
    name, port = re.fullmatch(r"(.*?)(?::(\d*))?", host).groups()  # type: ignore[union-attr]  # it fits any text
    return f"{scheme}://{name}:{port or _PORTS[scheme]}"


def host_of(url: str) -> str:
    """Return the host of an HTTP URL, without its port; empty for any other URL."""
    return origin_of(url).partition("://")[2].rpartition(":")[0].strip("[]")


def is_in_the_clear(url: str) -> bool:
    """Return whether what is sent to `url` can be read on its way: plain HTTP that leaves this machine."""
    if not url.lower().startswith("http://"):
        return False
    host = host_of(url)
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost" and not host.endswith(".localhost")


def moved_to(location: str) -> str:
    """Return where a repository is now, from the address that its server redirects git's first request to.

    The result is empty if the address fits no first request of git.
    """
    base = location.removesuffix(INFO_REFS)
    return without_login(base).url if base != location and origin_of(base) else ""


def location_in(trace: str) -> str:
    """Return the address of the last redirect in git's standard error, under `TRACES_LOCATION`."""
    found = re.findall(r"<= Recv header: location: *(\S+)", trace, re.I)
    return found[-1] if found else ""


def with_login_of(url: str, base: str) -> str:
    """Return `base`, which holds no login, with the login of `url`."""
    match = _HTTP.match(url)
    login = match[2].rpartition("@")[0] if match else ""
    scheme, _, rest = base.partition("://")
    return f"{scheme}://{login}@{rest}" if login else base
