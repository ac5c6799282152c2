"""The environment of a user's command (`--exec`, `--handler`, `--on-event`): without credentials, except named ones.

Such a command acts on what others wrote, and its output goes into the log. So a variable is withheld if its name or
value looks like a credential, or if it lets a command control the later steps of a workflow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from gitcoord.core.errors import Refused
from gitcoord.core.secret_scan.credentials import looks_like_credential

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
NAMES_MAX = 64

_ALWAYS = re.compile(
    r"GITCOORD_(?:KEY|HMAC_KEY|TOKEN(?:_FILE)?|ALERTS|APP_.*|ASKPASS_.*)"
    r"|ACTIONS_.*|GITHUB_(?:ENV|PATH|OUTPUT|STATE|STEP_SUMMARY)"
    r"|GIT_CONFIG_(?:PARAMETERS|COUNT|KEY_\d+|VALUE_\d+)",  # http.extraHeader: a workflow's checkout may set it so
    re.IGNORECASE,
)
_BY_NAME = re.compile(
    r".*(?:TOKEN(?!IZ)|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|WEBHOOK).*"
    r"|(?:.*_)?(?:KEY|KEYS|AUTH|PASS|PAT|PWD|COOKIE|DSN)",
    re.IGNORECASE,
)
_HARMLESS = frozenset({"PWD", "OLDPWD"})  # the shell's own
_PLAIN = re.compile(r"\d{1,6}|true|false", re.IGNORECASE)  # MAX_OUTPUT_TOKENS=8000 is no credential
_PASSWORD_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/@:]*:[^\s/@]+@", re.IGNORECASE)


def command_environment(
    environ: Mapping[str, str], more: Mapping[str, str], *, pass_env: Iterable[str] = ()
) -> dict[str, str]:
    """Return `environ` without its credentials, except those that `pass_env` names, and with `more`."""
    left_out = withheld(environ, pass_env=pass_env)
    return {name: value for name, value in environ.items() if name not in left_out} | dict(more)


def withheld(environ: Mapping[str, str], *, pass_env: Iterable[str] = ()) -> list[str]:
    """Return the names of the variables that a command does not get."""
    passed = set(pass_env)
    return sorted(name for name, value in environ.items() if name not in passed and _is_credential(name, value))


def _is_credential(name: str, value: str) -> bool:
    if _ALWAYS.fullmatch(name):
        return True
    if name in _HARMLESS or _PLAIN.fullmatch(value):
        return False
    return bool(_BY_NAME.fullmatch(name) or _PASSWORD_IN_URL.search(value) or looks_like_credential(value))


def checked(names: Iterable[str]) -> list[str]:
    """Return the names of variables, each once. Raise Refused for a text that cannot be a variable's name."""
    found = list(dict.fromkeys(names))
    for name in found:
        if not NAME.match(name):
            raise Refused(f"{name[:80]!r} is not the name of a variable: give the name alone, without a value")
    if len(found) > NAMES_MAX:
        raise Refused(f"{len(found)} variables are named; at most {NAMES_MAX} are passed on")
    return found
