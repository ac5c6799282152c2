"""Credentials: from the user's own settings, or a token in git's environment; never in argv."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gitcoord.core.errors import BadCredentials
from gitcoord.store.git import url as git_url

ASKPASS = """#!/bin/sh
# Answers git's questions from the environment, so that no token is in an argument or a file; for one server only.
asked=${1#*\\'}
scheme=${asked%%://*}
host=${asked#*://}
host=${host%%[/\\']*}
host=${host##*@}
if [ "$scheme://$host" != "$GITCOORD_ASKPASS_FOR" ]; then
    echo "gitcoord: the token is for $GITCOORD_ASKPASS_FOR and is not given to $scheme://$host" >&2
    exit 1
fi
case "$1" in
Username*) printf '%s\\n' "${GITCOORD_ASKPASS_USER:-x-access-token}" ;;
Password*) printf '%s\\n' "$GITCOORD_ASKPASS_TOKEN" ;;
*) exit 1 ;;
esac
"""

# The clone's settings for reaching its remote. The rest of its configuration is not used.
_FORWARDED = re.compile(r"(?:http|credential|protocol)\..+|ssh\.variant|core\.(?:sshcommand|askpass|gitproxy)\Z", re.I)

# Git sets these in a hook for the repository to which the hook belongs, and our git would use that repository
# (`git rev-parse --local-env-vars`, without the two with the settings of `git -c`; and the quarantine).
HOOK_VARIABLES = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_NAMESPACE",
    "GIT_PUSH_OPTION_COUNT",
)

LENT = "GITCOORD_ASKPASS_LENT"  # a GitHub app's token, which `gitcoord/github/api/account.py` makes and renews
TOKEN_BYTES_MAX = 64 * 1024
TOKEN_CHARS_MIN = 20  # a user in a URL that is at least as long may be a token, which some forges accept there

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Access:
    """How to reach one remote: its URL without a password, git's environment, and texts that no output may show.

    `environment` makes git rewrite `git_url.ALIAS`, which stands in for the URL in git's arguments.
    """

    url: str
    environment: dict[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


def transport_settings(listing: str) -> Pairs:
    """Return the clone's own transport settings, in order, from the output of `git config --list --show-scope -z`."""
    parts = listing.split("\0")
    pairs: Pairs = []
    for scope, entry in zip(parts[0::2], parts[1::2], strict=False):
        key, has_value, value = entry.partition("\n")
        if scope in ("local", "worktree") and _FORWARDED.match(key):
            pairs.append((key, value if has_value else "true"))
    return pairs


def is_set_for(listing: str, name: str, url: str) -> bool:
    """Return whether any scope sets `name`, such as `http.extraheader`, for all URLs or for a beginning of `url`."""
    kind, _, last = name.partition(".")
    for entry in listing.split("\0")[1::2]:
        key, _, value = entry.partition("\n")
        match = re.match(rf"{kind}\.(?:(.+)\.)?{last}\Z", key, re.I)
        if match and value and (match[1] is None or url.lower().startswith(match[1].lower())):
            return True
    return False


def access(
    url: str,
    listing: str,
    *,
    private: Mapping[str, str],
    askpass: Path,
    environ: Mapping[str, str],
    pushes: bool = False,
) -> Access:
    """Return how to reach `url`, to fetch or to push, by git's configuration (`listing`) and the environment.

    `private` has settings of the private repository, and `askpass` is the script that answers git's questions. Raise
    BadCredentials if a token would be sent in the clear, Refused for a URL that would show a password.
    """
    url, user, password = git_url.without_login(git_url.rewritten(url, listing, pushes=pushes))
    own = "" if password else _token(url, listing, environ)
    if own and git_url.is_in_the_clear(url):
        raise BadCredentials(
            f"{url} is plain http: everybody on the way could read the token. Use https, or unset "
            "GITCOORD_TOKEN (and GITHUB_TOKEN) for this remote"
        )
    token, forwarded = password or own, transport_settings(listing)
    pairs = forwarded + list(private.items()) + _to_one_server(url)
    pairs += [(f"url.{url}.{rewrites}", git_url.ALIAS) for rewrites in ("insteadOf", "pushInsteadOf")]
    extra = {"GIT_TERMINAL_PROMPT": "0"}
    if token:
        # Git asks credential helpers before GIT_ASKPASS, and has them store what worked. An empty value removes them.
        pairs.append(("credential.helper", ""))
        extra |= {"GIT_ASKPASS": str(askpass), "GITCOORD_ASKPASS_TOKEN": token, "GITCOORD_ASKPASS_FOR": _asked_for(url)}
        if user:
            extra["GITCOORD_ASKPASS_USER"] = user
    elif user:
        pairs.append((f"credential.{_asked_for(url)}.username", user))
    extra |= config_environment(pairs, environ)
    return Access(url, extra, tuple(_secrets(token, environ, forwarded, user)))


def _to_one_server(url: str) -> Pairs:
    """Return settings by which git follows no redirect, to which it would send our token or a helper's.

    The second one overrides the clone's setting for this URL: git uses the setting with the longest URL.
    """
    if not git_url.origin_of(url):
        return []
    return [("http.followRedirects", "false"), (f"http.{url}.followRedirects", "false")]


def _asked_for(url: str) -> str:
    """Return the server as git names it when it asks for a password: scheme, host, and the port if the URL has one."""
    match = re.match(r"(https?://[^/?#]*)", url)
    return match[1] if match else ""


def config_environment(pairs: Pairs, environ: Mapping[str, str]) -> dict[str, str]:
    """Return git settings as environment variables, which no process list shows, after those of `environ`."""
    first = int(environ.get("GIT_CONFIG_COUNT") or 0)
    result = {"GIT_CONFIG_COUNT": str(first + len(pairs))}
    for number, (key, value) in enumerate(pairs, start=first):
        result[f"GIT_CONFIG_KEY_{number}"] = key
        result[f"GIT_CONFIG_VALUE_{number}"] = value
    return result


def leave_hook() -> None:
    """Remove the variables from this process's environment that a surrounding git hook has set for its repository."""
    for name in HOOK_VARIABLES:
        os.environ.pop(name, None)


def _token(url: str, listing: str, environ: Mapping[str, str]) -> str:
    if not url.startswith(("https://", "http://")) or is_set_for(listing, "http.extraheader", url):
        return ""  # a server answers two such headers with HTTP 400
    own = own_token(environ)
    if own:
        return own
    server = environ.get("GITHUB_SERVER_URL") or "https://github.com"
    if git_url.origin_of(url) != git_url.origin_of(server):
        return ""
    if environ.get(LENT):
        return environ[LENT]
    # A developer's helper has the account for git. GITHUB_TOKEN may be meant for reading the API.
    return "" if is_set_for(listing, "credential.helper", url) else environ.get("GITHUB_TOKEN", "")


def own_token(environ: Mapping[str, str]) -> str:
    """Return the token that is set for gitcoord in the environment, or in a file that may be replaced at any time.

    Return "" if there is none. Raise BadCredentials if the file cannot be read.
    """
    path = environ.get("GITCOORD_TOKEN_FILE", "")
    if environ.get("GITCOORD_TOKEN") or not path:
        return environ.get("GITCOORD_TOKEN", "").strip()
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(TOKEN_BYTES_MAX).strip()
    except (OSError, ValueError) as wrong:
        reason = wrong.strerror if isinstance(wrong, OSError) else "it is not text"
        raise BadCredentials(f"the file that GITCOORD_TOKEN_FILE names cannot be read ({reason})") from None


def _secrets(token: str, environ: Mapping[str, str], forwarded: Pairs, user: str) -> Iterable[str]:
    if len(user) >= TOKEN_CHARS_MIN:
        yield user
    for secret in (token, *(environ.get(name, "") for name in ("GITCOORD_TOKEN", "GITHUB_TOKEN", LENT))):
        if len(secret) >= 4:  # to hide shorter ones would hide parts of ordinary words
            yield secret
            yield base64.b64encode(f"x-access-token:{secret}".encode()).decode()
    for key, value in forwarded:
        if key.lower().endswith("extraheader") and value:
            yield value
            yield value.split()[-1]
