"""What agents do together. Pure; one small file each; listed by hand below."""

from __future__ import annotations

from gitcoord.core.fleet import Feature
from gitcoord.features import conversation, health, settings

FEATURES: dict[str, Feature] = {
    "conversation": conversation,
    "settings": settings,
    "health": health,
}
