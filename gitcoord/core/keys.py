"""Signatures: Ed25519, which proves who wrote; or HMAC-SHA256, which proves only that an insider did.

A line names its key in full, so that its signature can be checked before anything is known of its author;
whether the key *is* its author's is the members' fold to say (`members.py`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING

from nacl.bindings import crypto_sign, crypto_sign_BYTES, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from gitcoord.core import names
from gitcoord.core.errors import Refused
from gitcoord.core.event import Event, signed_message

if TYPE_CHECKING:
    from nacl.signing import VerifyKey

HMAC_PREFIX = "hmac-"
SEED_BYTES = 32


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode(text: str) -> bytes:
    """Raises ValueError (binascii.Error is one)."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


class Ed25519Signer:
    """An agent's own key, from its 32 secret bytes."""

    def __init__(self, seed: bytes) -> None:
        public, self._secret = crypto_sign_seed_keypair(seed)
        self.key = encode(public)

    def sign(self, message: bytes) -> str:
        return encode(crypto_sign(message, self._secret)[:crypto_sign_BYTES])


class HmacSigner:
    """The fleet's one secret. Everyone who can check a signature can also make one."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 16:
            raise Refused("an HMAC secret needs at least 16 bytes: make one with `openssl rand -base64 32`")
        self._secret = secret
        self.key = HMAC_PREFIX + encode(hashlib.sha256(b"gitcoord hmac key id\n" + secret).digest()[:12])

    def sign(self, message: bytes) -> str:
        return encode(hmac.digest(self._secret, message, "sha256"))


class Verifier:
    """Checks lines of one fleet: `auth` is "ed25519", or "hmac" with the fleet's signer."""

    def __init__(self, auth: str = "ed25519", shared: HmacSigner | None = None) -> None:
        self.auth = auth
        self.shared = shared

    def rejects(self, event: Event, fleet: str) -> str | None:
        """Why the signature is not good; None when it is."""
        message = signed_message(event, fleet)
        if self.auth == "hmac":
            if self.shared is None:
                return "no HMAC secret to check it with: set GITCOORD_HMAC_KEY"
            if event.key != self.shared.key:
                return "signed with another secret"
            good = self.shared.sign(message).encode()  # bytes: text beyond ASCII cannot be compared
            return None if hmac.compare_digest(good, event.sig.encode()) else "wrong signature"
        try:
            signature = decode(event.sig)
            _verify_key(event.key).verify(message, signature)
        except (BadSignatureError, ValueError, TypeError):
            return "wrong signature"
        # One signature, one spelling: else anybody could make a second line of one that its author has signed.
        return None if encode(signature) == event.sig else "wrong signature"


@lru_cache(maxsize=4096)
def _verify_key(key: str) -> VerifyKey:
    from nacl.signing import VerifyKey  # who only signs needs none of that

    return VerifyKey(decode(key))


def is_public_key(text: str) -> bool:
    """Whether `text` can be the `key` of a line."""
    return bool(names.KEY.match(text))
