"""gitcoord: a fleet of agents coordinates through one git remote and nothing else.

with gitcoord.join(path, agent="alice") as me:
    me.append("question", "Who takes the parser?", wait="sequenced")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Member", "Receipt", "join"]

if TYPE_CHECKING:
    from gitcoord.node.membership.api import Member, Receipt, join


def __getattr__(name: str) -> Any:
    """Import on first use: `import gitcoord` and `gitcoord --help` stay fast."""
    if name in __all__:
        from gitcoord.node.membership import api

        return getattr(api, name)
    raise AttributeError(f"module 'gitcoord' has no attribute {name!r}")
