"""Text that looks like a credential is refused before it reaches a log that cannot forget.

The patterns are those that the forges document for their own tokens, and private keys.
"""

from __future__ import annotations

import re

PATTERNS: dict[str, tuple[tuple[str, ...], str]] = {
    # what it is: (one of these is in it, the pattern). To look for the first takes a twentieth of the time.
    "a GitHub token": (
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})\b",
    ),
    "a GitLab token": (
        ("gl",), r"\bgl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|soat|imt|agent|wt|ffct)-[A-Za-z0-9_=.-]{20,}",
    ),
    "a Bitbucket token": (("ATBB", "ATCTT3xFfG"), r"\b(?:ATBB[A-Za-z0-9]{32}|ATCTT3xFfG[A-Za-z0-9_=-]{60,})"),
    "an Azure DevOps token": (("AZDO",), r"\b[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}\b"),
    "an AWS access key": (("AKIA", "ASIA"), r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    "a private key": (("PRIVATE KEY",), r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
}

SAID = re.compile(r"(?i)\b((?:[\w-]*(?:token|passw(?:or)?d|secret|api[_-]?key))[\"']?\s*[=:]\s*[\"']?)[^\s\"',;]+")
IN_URL = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@]+@")
HIDDEN = "[hidden]"


def looks_like_credential(text: str) -> str | None:
    """What `text` seems to hold ("a GitHub token"), or None."""
    for what, (parts, pattern) in PATTERNS.items():
        if any(part in text for part in parts) and re.search(pattern, text):
            return what
    return None


def redacted(text: str) -> str:
    """`text` for a place outside the log, without what seems to be a credential, a password or a URL's user."""
    for what, (parts, pattern) in PATTERNS.items():
        if any(part in text for part in parts):
            rest = r"[\s\S]*" if what == "a private key" else ""  # its words only begin it
            text = re.sub(pattern + rest, HIDDEN, text)
    return SAID.sub(rf"\1{HIDDEN}", IN_URL.sub(rf"\1{HIDDEN}@", text))
