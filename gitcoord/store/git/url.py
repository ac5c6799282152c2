"""URLs of remotes: how git rewrites them, which host they reach, and which part no process list may show."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import unquote

from gitcoord.core.errors import Refused

INFO_REFS = "/info/refs?service=git-upload-pack"  # the end of git's first request to an HTTP server, and of redirects

ALIAS = "gitcoord://remote"
"""A placeholder for the remote's URL in git's arguments: a setting of ours rewrites it to the URL."""

TRACES_LOCATION = {"GIT_TRACE_CURL": "1", "GIT_TRACE_CURL_NO_DATA": "1", "GIT_TRACE_REDACT": "1"}
"""Variables that make git print to standard error where a server redirects it, but no secret."""

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
    """Return whether git takes `url` for a path on this machine."""
    return "://" not in url and not _SCP_LIKE.match(url)


def is_named(url: str) -> bool:
    """Return whether `url` may be the name of a remote in a clone's configuration, which may be an argument of git."""
    return "://" not in url and "@" not in url


def without_login(url: str) -> Login:
    """Return an HTTP URL without user and password, and those two. A lone user is taken out too: it may be a token.

    Raise Refused for a password in any other URL, because git would show it in an argument.
    """
    if _IN_QUERY.search(url):
        raise Refused(
            "the remote's URL holds a token or key after its `?`, which messages would show: take it out of "
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
    """Return `url` as it may be stored or shown: without a password, and an HTTP URL without a user.

    Raise Refused as `without_login` does.
    """
    return without_login(url).url


def rewritten(url: str, listing: str, *, pushes: bool) -> str:
    """Return `url` as git rewrites it by `url.BASE.insteadOf`, or for a push by `pushInsteadOf`, which has precedence.

    `listing` is the output of `git config --list --show-scope -z`. Git would put the result into its children's
    arguments, with a password that BASE may have. So git gets `ALIAS` instead of the URL, and rewrites nothing else.
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
    """Return "scheme://host:port" of an HTTP URL, in one spelling; "" for any other URL."""
    match = _HTTP.match(url)
    if not match:
        return ""
    scheme, host = match[1].lower(), match[2].rpartition("@")[2].lower()
    name, port = re.fullmatch(r"(.*?)(?::(\d*))?", host).groups()  # type: ignore[union-attr]  # it fits any text
    return f"{scheme}://{name}:{port or _PORTS[scheme]}"


def host_of(url: str) -> str:
    """Return the host of an HTTP URL, without its port; "" for any other URL."""
    return origin_of(url).partition("://")[2].rpartition(":")[0].strip("[]")


def is_in_the_clear(url: str) -> bool:
    """Return whether others can read what is sent to `url`: it is plain HTTP to another machine."""
    if not url.lower().startswith("http://"):
        return False
    host = host_of(url)
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost" and not host.endswith(".localhost")


def moved_to(location: str) -> str:
    """Return the URL of a moved repository, from the address to which its server redirects git's first request.

    Return "" if the address is not that of such a request.
    """
    base = location.removesuffix(INFO_REFS)
    return without_login(base).url if base != location and origin_of(base) else ""


def location_in(trace: str) -> str:
    """Return the address of the last redirect in git's standard error with `TRACES_LOCATION`; "" if there is none."""
    found = re.findall(r"<= Recv header: location: *(\S+)", trace, re.I)
    return found[-1] if found else ""


def with_login_of(url: str, base: str) -> str:
    """Return `base`, which has no login, with the login of `url`."""
    match = _HTTP.match(url)
    login = match[2].rpartition("@")[0] if match else ""
    scheme, _, rest = base.partition("://")
    return f"{scheme}://{login}@{rest}" if login else base
