"""Git's output: the errors of a fetch, and the outcome of each ref of a push."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gitcoord.core.errors import BadCredentials, Corrupt, Denied, GitcoordError, Paused, Unreachable
from gitcoord.core.ports import ALREADY_THERE, NAME_TAKEN, Pushed, PushOutcome, Update
from gitcoord.core.text import Place, fit

REASON_CHARS_MAX = 400  # a hook may print a page, but a reason is shown on one line of a terminal or log
LINE_CHARS_MAX = 2000  # of a line that a remote prints: some patterns take quadratic time

_URL_USER = re.compile(r"(?<=://)[^/@\s]+@")
_AUTH_HEADER = re.compile(r"(?i)(authorization:\s*\w+\s+)\S+")
_FORGE_TOKEN = re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-)[\w-]{10,}")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # of hooks and servers that do not check for a terminal

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
    # Git prints "unable to access" for the first request only (remote-curl.c, discover_refs), and the two about
    # the repository and the initial contact before it sends a byte of ours (connect.c).
    r"unable to access '|Could not resolve host|Connection refused|Failed to connect|No route to host"
    r"|Network is unreachable|unable to connect|Could not read from remote repository"
    r"|hung up upon initial contact|does not appear to be a git repository|repository '.*' not found"
    r"|Repository not found|HTTP 429|transport '.*' not allowed|Unable to find remote helper",
    re.I,
)
_TRANSPORT = re.compile(
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
_OMITTED = re.compile(
    r"Please make sure you have|and the repository exists|^hint:|failed to push some refs|^From |^To |^$"
)

_STALE = re.compile(
    r"stale info|fetch first|cannot lock ref|reference already exists|failed to update ref"
    r"|atomic transaction failed|atomic push failed|incorrect old value|failed to lock",
    re.I,
)


def scrub(text: str, secrets: Sequence[str]) -> str:
    """Return `text` without secrets, users in URLs and invisible characters, with its lines cut."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = text.replace("\r", "\n")  # on a terminal, lines of progress overwrite each other; in a log they would not
    text = _AUTH_HEADER.sub(r"\1***", _FORGE_TOKEN.sub("***", _URL_USER.sub("***@", text)))
    text = fit(_COLOUR.sub("", text), Place.DATA)
    return "\n".join(line[:LINE_CHARS_MAX] for line in text.split("\n"))


def message_of(stderr: str) -> str:
    """Return the lines of `stderr` that matter, as one line for a person."""
    kept: dict[str, None] = {}
    length = 0
    for line in filter(None, stderr.split("\n")):
        line = re.sub(r"^(?:(?:fatal|error|remote|ERROR): ?)+", "", " ".join(line.split()))
        if line and not _OMITTED.search(line) and line not in kept:
            kept[line] = None
            length += len(line) + 2
            if length > REASON_CHARS_MAX:
                break
    return "; ".join(kept)[:REASON_CHARS_MAX]


def is_redirect(stderr: str) -> bool:
    """Return whether a request failed because the server redirected it."""
    return bool(_REDIRECT.search(stderr))


def moved(url: str, elsewhere: str) -> str:
    """Return a text as git's standard error: the remote redirects to another server, which gets no credentials."""
    return (
        f"fatal: unable to access '{url}': it says that {_MOVED}{elsewhere or 'an address that is no repository'}; "
        "if that is right, name it: `git remote set-url`, or `gitcoord config set remote URL --node`"
    )


def is_gone(stderr: str) -> bool:
    """Return whether a fetch failed because a ref is no longer on the remote."""
    return "couldn't find remote ref" in stderr


def is_transport_failure(stderr: str) -> bool:
    """Return whether the network or the server failed a fetch, whatever refs and objects the remote has."""
    return bool(_NEVER_CONNECTED.search(stderr) or _TRANSPORT.search(stderr))


def is_local_damage(stderr: str) -> bool:
    """Return whether git failed because objects here are damaged or missing."""
    return bool(_LOCAL_STORE.search(stderr))


def fetch_error(url: str, stderr: str) -> GitcoordError:
    """Return the error for a failed fetch. `url` and `stderr` are scrubbed already."""
    reason = message_of(stderr) or "git gave no reason"
    if _DISK_FULL.search(stderr):
        return Paused(f"what was fetched cannot be written to the local disk ({reason}); free some space and try again")
    if _BAD_CREDENTIALS.search(stderr):
        return BadCredentials(
            f"{url} does not accept our credentials ({reason}); set GITCOORD_TOKEN, or check what "
            "`git fetch` uses in this clone"
        )
    if _MOVED in stderr:
        return Denied(reason)
    if _DENIED.search(stderr):
        return Denied(f"{url} refused the fetch ({reason}); ask its owner for access")
    if is_local_damage(stderr):
        return Corrupt(
            f"the private store or {url} is damaged ({reason}); `git fsck` tells which. The private store "
            "can be deleted: its content is fetched again"
        )
    return Unreachable(f"{url} cannot be reached ({reason})")


def push_outcomes(updates: Sequence[Update], stdout: str, stderr: str, *, late: str = "") -> dict[str, Pushed]:
    """Return the outcome of each update, from `git push --porcelain`'s output (scrubbed).

    A ref's own line decides, whatever fails later: over file:// a lost race is followed by "the remote end hung up
    unexpectedly". `late` says that git was killed, and after what time; "" if it was not.
    """
    lines = _porcelain(stdout)
    without_line = Pushed(PushOutcome.UNKNOWN, late) if late else _outcome_without_line(stderr)
    result = {}
    for update in updates:
        flag, summary = lines.get(update.ref, ("", ""))
        result[update.ref] = _outcome(update.ref, flag, summary, stderr) if flag else without_line
    return result


def _porcelain(stdout: str) -> dict[str, tuple[str, str]]:
    lines: dict[str, tuple[str, str]] = {}
    for line in stdout.split("\n"):
        match = re.match(r"([ +\-*=!])\t([^\t:]*):([^\t]+)\t(.*)", line)  # flag, from:to, summary (reason)
        if match:
            lines[match[3]] = (match[1], match[4].strip())
    return lines


def _outcome(ref: str, flag: str, summary: str, stderr: str) -> Pushed:
    if flag == "=":
        # Git compares nothing if the ref has the value already. Every commit that claims something has a nonce, so the
        # ref has the value because an earlier push of it, whose answer was lost, did arrive.
        return Pushed(PushOutcome.ACCEPTED, ALREADY_THERE)
    if flag != "!":
        return Pushed(PushOutcome.ACCEPTED)
    opened = summary.find("(")
    reason = summary[opened + 1 : -1] if opened >= 0 and summary.endswith(")") else summary
    if "remote failure" in summary or "failed to report status" in summary:
        return Pushed(PushOutcome.UNKNOWN, reason)
    if summary.startswith("[rejected]"):  # our own git compared: stale info, fetch first, non-fast-forward
        return Pushed(PushOutcome.STALE, reason)
    if _STALE.search(reason) and not _is_permanent(ref, stderr):
        return Pushed(PushOutcome.STALE, reason)
    if reason == "unpacker error" and is_local_damage(stderr):
        return Pushed(PushOutcome.UNREACHABLE, f"nothing was sent: {message_of(stderr)}")
    message = message_of(stderr)
    reason = f"{NAME_TAKEN} {reason}" if _is_taken(ref, stderr) else reason
    return Pushed(PushOutcome.DENIED, f"{reason}: {message}"[:REASON_CHARS_MAX] if message else reason)


def _is_taken(ref: str, stderr: str) -> bool:
    return f"cannot create '{ref}'" in stderr


def _is_permanent(ref: str, stderr: str) -> bool:
    """Return whether "failed to update ref" is permanent: a branch has a folder's name, or the remote's disk fails."""
    return _is_taken(ref, stderr) or "Permission denied" in stderr or bool(_DISK_FULL.search(stderr))


def _outcome_without_line(stderr: str) -> Pushed:
    reason = message_of(stderr) or "git gave no reason"
    if _BAD_CREDENTIALS.search(stderr):
        return Pushed(PushOutcome.DENIED, f"credentials: {reason}")
    if _DENIED.search(stderr) or "invalid refspec" in stderr:
        return Pushed(PushOutcome.DENIED, reason)
    if _NEVER_CONNECTED.search(stderr):
        return Pushed(PushOutcome.UNREACHABLE, reason)
    return Pushed(PushOutcome.UNKNOWN, reason)
