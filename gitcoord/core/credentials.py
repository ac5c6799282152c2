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


def looks_like_credential(text: str) -> str | None:
    """What `text` seems to hold ("a GitHub token"), or None."""
    for what, (parts, pattern) in PATTERNS.items():
        if any(part in text for part in parts) and re.search(pattern, text):
            return what
    return None
