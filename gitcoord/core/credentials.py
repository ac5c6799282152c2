"""Text that looks like a credential is refused before it reaches a log that cannot forget.

The patterns are those that the forges document for their own tokens, and private keys.
"""

from __future__ import annotations

import re

PATTERNS: dict[str, str] = {
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})\b",
    "a GitLab token": r"\bgl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|soat|imt|agent|wt|ffct)-[A-Za-z0-9_=.-]{20,}",
    "a Bitbucket token": r"\b(?:ATBB[A-Za-z0-9]{32}|ATCTT3xFfG[A-Za-z0-9_=-]{60,})",
    "an Azure DevOps token": r"\b[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}\b",
    "an AWS access key": r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",
    "a private key": r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----",
}

_ANY = re.compile("|".join(f"(?P<k{number}>{pattern})" for number, pattern in enumerate(PATTERNS.values())))


def looks_like_credential(text: str) -> str | None:
    """What `text` seems to hold ("a GitHub token"), or None."""
    found = _ANY.search(text)
    if found is None:
        return None
    return list(PATTERNS)[int((found.lastgroup or "k0")[1:])]
