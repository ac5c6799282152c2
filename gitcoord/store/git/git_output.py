"""Git's output: what it says about a fetch, or about each ref of a push."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gitcoord.core.errors import BadCredentials, Corrupt, Denied, GitcoordError, Paused, Unreachable
from gitcoord.core.ports import ALREADY_THERE, NAME_TAKEN, Pushed, PushOutcome, Update
from gitcoord.core.text import Place, fit

REASON_CHARS_MAX = 400  # a hook may print a page; one line of a terminal or log is what is shown
LINE_CHARS_MAX = 2000  # of what a remote prints: patterns are searched in it, and some take the square of its length

_URL_USER = re.compile(r"(?<=://)[^/@\s]+@")
_AUTH_HEADER = re.compile(r"(?i)(authorization:\s*\w+\s+)\S+")
_FORGE_TOKEN = re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-)[\w-]{10,}")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # of hooks and servers that think they write to a terminal

_BAD_CREDENTIALS = re.compile(
    r"Authentication failed|could not read (?:Username|Password)|terminal prompts disabled"
    r"|(?:returned error:|HTTP) 401|Permission denied \(|Host key verification failed"
    r"|Invalid username or (?:password|token)",
    re.I,
)
_DENIED = re.compile(
    r"(?:returned error:|HTTP) (?:403|400|413)|Permission to \S+ denied|dubious ownership"
    r"|does not have permission|access denied|insufficient permission",
    re.I,
)
_NEVER_CONNECTED = re.compile(
    # "unable to access" is said of the first request only (remote-curl.c, discover_refs); the two about
    # the repository and the initial contact come before a byte of ours is sent (connect.c).
    r"unable to access '|Could not resolve host|Connection refused|Failed to connect|No route to host"
    r"|Network is unreachable|unable to connect|Could not read from remote repository"
    r"|hung up upon initial contact|does not appear to be a git repository|repository '.*' not found"
    r"|Repository not found|HTTP 429|transport '.*' not allowed|Unable to find remote helper",
    re.I,
)
_OF_THE_WAY = re.compile(
    r"(?:returned error:|RPC failed; HTTP) [45]\d\d|Connection (?:reset|timed out)|SSL|"
    r"Unable to create '.*\.lock'",
    re.I,
)
_REDIRECT = re.compile(r"unable to access .*returned error: 30[12378]\b")
_MOVED = "it is now at "
_LOCAL_STORE = re.compile(
    r"bad object|is corrupt|object file \S+ is empty|did not send all necessary objects"
    r"|bad tree object|missing blob|unable to read sha1|unable to read tree",
    re.I,
)
_DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded|Read-only file system", re.I)
_NOT_SAID = re.compile(
    r"Please make sure you have|and the repository exists|^hint:|failed to push some refs|^From |^To |^$"
)

_STALE = re.compile(
    r"stale info|fetch first|cannot lock ref|reference already exists|failed to update ref"
    r"|atomic transaction failed|atomic push failed|incorrect old value|failed to lock",
    re.I,
)


def scrub(text: str, secrets: Sequence[str]) -> str:
    """Return `text` without secrets, users in URLs and invisible characters, its lines cut."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = text.replace("\r", "\n")  # progress is overwritten on a terminal, not in a log
    text = _AUTH_HEADER.sub(r"\1***", _FORGE_TOKEN.sub("***", _URL_USER.sub("***@", text)))
    text = fit(_COLOUR.sub("", text), Place.DATA)
    return "\n".join(line[:LINE_CHARS_MAX] for line in text.split("\n"))


def message_of(stderr: str) -> str:
    """Return the lines of `stderr` that matter, as one line for a person."""
    kept: dict[str, None] = {}
    length = 0
    for line in filter(None, stderr.split("\n")):
        line = re.sub(r"^(?:(?:fatal|error|remote|ERROR): ?)+", "", " ".join(line.split()))
        if line and not _NOT_SAID.search(line) and line not in kept:
            kept[line] = None
            length += len(line) + 2
            if length > REASON_CHARS_MAX:
                break
    return "; ".join(kept)[:REASON_CHARS_MAX]


def is_redirect(stderr: str) -> bool:
    return bool(_REDIRECT.search(stderr))


def moved(url: str, elsewhere: str) -> str:
    """Return standard error of our own: the remote redirects to another server, where our credentials do not go."""
    return (
        f"fatal: unable to access '{url}': it says that {_MOVED}{elsewhere or 'an address that is no repository'}; "
        "if that is right, name it: `git remote set-url`, or `gitcoord config set remote URL --node`"
    )


def is_gone(stderr: str) -> bool:
    """Return whether a ref to fetch is no longer on the remote."""
    return "couldn't find remote ref" in stderr


def is_of_the_way(stderr: str) -> bool:
    """Return whether a fetch failed on the way to the remote, or at its door, whatever the remote holds."""
    return bool(_NEVER_CONNECTED.search(stderr) or _OF_THE_WAY.search(stderr))


def is_local_damage(stderr: str) -> bool:
    return bool(_LOCAL_STORE.search(stderr))


def fetch_error(url: str, stderr: str) -> GitcoordError:
    """Return the error for a failed fetch. `url` and `stderr` are scrubbed already."""
    said = message_of(stderr) or "git gave no reason"
    if _DISK_FULL.search(stderr):
        return Paused(f"the local disk refused what was fetched ({said}); free some space and try again")
    if _BAD_CREDENTIALS.search(stderr):
        return BadCredentials(
            f"{url} does not accept our credentials ({said}); set GITCOORD_TOKEN, or check what "
            "`git fetch` uses in this clone"
        )
    if _MOVED in stderr:
        return Denied(said)
    if _DENIED.search(stderr):
        return Denied(f"{url} refused the fetch ({said}); ask its owner for access")
    if is_local_damage(stderr):
        return Corrupt(
            f"the private store or {url} is damaged ({said}); `git fsck` tells which. The private store "
            "can be deleted: what it holds is fetched again"
        )
    return Unreachable(f"{url} cannot be reached ({said})")


def push_outcomes(updates: Sequence[Update], stdout: str, stderr: str, *, late: str = "") -> dict[str, Pushed]:
    """Return the outcome of each update, from `git push --porcelain`'s output (scrubbed).

    A ref's own line decides; later trouble does not: over file:// a lost race is followed by "the remote end hung up
    unexpectedly". `late` says that git was killed, and after what time.
    """
    told = _porcelain(stdout)
    silent = Pushed(PushOutcome.UNKNOWN, late) if late else _without_a_line(stderr)
    result = {}
    for update in updates:
        flag, summary = told.get(update.ref, ("", ""))
        result[update.ref] = _one(update.ref, flag, summary, stderr) if flag else silent
    return result


def _porcelain(stdout: str) -> dict[str, tuple[str, str]]:
    told: dict[str, tuple[str, str]] = {}
    for line in stdout.split("\n"):
        match = re.match(r"([ +\-*=!])\t([^\t:]*):([^\t]+)\t(.*)", line)  # flag, from:to, summary (reason)
        if match:
            told[match[3]] = (match[1], match[4].strip())
    return told


def _one(ref: str, flag: str, summary: str, stderr: str) -> Pushed:
    if flag == "=":
        # Git compares nothing when the value is there already. Every commit that claims something carries a nonce, so
        # the value is there because an earlier push of it, whose answer was lost, did arrive.
        return Pushed(PushOutcome.ACCEPTED, ALREADY_THERE)
    if flag != "!":
        return Pushed(PushOutcome.ACCEPTED)
    opened = summary.find("(")
    reason = summary[opened + 1 : -1] if opened >= 0 and summary.endswith(")") else summary
    if "remote failure" in summary or "failed to report status" in summary:
        return Pushed(PushOutcome.UNKNOWN, reason)
    if summary.startswith("[rejected]"):  # our own git compared: stale info, fetch first, non-fast-forward
        return Pushed(PushOutcome.STALE, reason)
    if _STALE.search(reason) and not _will_not_pass(ref, stderr):
        return Pushed(PushOutcome.STALE, reason)
    if reason == "unpacker error" and is_local_damage(stderr):
        return Pushed(PushOutcome.UNREACHABLE, f"nothing was sent: {message_of(stderr)}")
    said = message_of(stderr)
    reason = f"{NAME_TAKEN} {reason}" if _is_taken(ref, stderr) else reason
    return Pushed(PushOutcome.DENIED, f"{reason}: {said}"[:REASON_CHARS_MAX] if said else reason)


def _is_taken(ref: str, stderr: str) -> bool:
    return f"cannot create '{ref}'" in stderr


def _will_not_pass(ref: str, stderr: str) -> bool:
    """Return whether "failed to update ref" is permanent: a branch has a folder's name, or the disk refuses."""
    return _is_taken(ref, stderr) or "Permission denied" in stderr or bool(_DISK_FULL.search(stderr))


def _without_a_line(stderr: str) -> Pushed:
    said = message_of(stderr) or "git gave no reason"
    if _BAD_CREDENTIALS.search(stderr):
        return Pushed(PushOutcome.DENIED, f"credentials: {said}")
    if _DENIED.search(stderr) or "invalid refspec" in stderr:
        return Pushed(PushOutcome.DENIED, said)
    if _NEVER_CONNECTED.search(stderr):
        return Pushed(PushOutcome.UNREACHABLE, said)
    return Pushed(PushOutcome.UNKNOWN, said)
