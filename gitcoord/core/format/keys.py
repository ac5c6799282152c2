"""Signatures: Ed25519, which proves the author; or HMAC-SHA256, which proves only that some insider wrote.

A line holds its full key, so that its signature can be checked before anything is known about its author. Whether the
key *is* its author's is decided in the fold (`members.py`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import lru_cache
from typing import TYPE_CHECKING

from nacl.bindings import crypto_sign, crypto_sign_BYTES, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from gitcoord.core import names
from gitcoord.core.errors import Refused
from gitcoord.core.format import vouches
from gitcoord.core.format.event import Event, context_of, signed_message

if TYPE_CHECKING:
    from nacl.signing import VerifyKey

HMAC_PREFIX = "hmac-"
FINGERPRINT_PREFIX = "SHA256:"
SEED_BYTES = 32


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode(text: str) -> bytes:
    """Decode base64url without padding. Raise ValueError (binascii.Error is one)."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


@lru_cache(maxsize=1024)
def fingerprint(key: str) -> str:
    """Return the short form of a public key that people compare and pass on: `SHA256:` and 43 characters."""
    try:
        raw = decode(key) if not key.startswith(HMAC_PREFIX) else key.encode()
    except ValueError:
        raw = key.encode()
    return FINGERPRINT_PREFIX + encode(hashlib.sha256(raw).digest())


def is_named(key: str, name: str) -> bool:
    """Return whether `name`, a whole key or a fingerprint, names this key."""
    return name == key or (name.startswith(FINGERPRINT_PREFIX) and name == fingerprint(key))


def check_form(key: str) -> None:
    """Raise ValueError unless `key` is the one spelling of a safe Ed25519 public key.

    With a weak point, one of small order, anybody could make signatures that some verifiers accept.
    """
    from nacl.bindings import crypto_core_ed25519_is_valid_point

    raw = decode(key)
    if len(raw) != SEED_BYTES or encode(raw) != key:
        raise ValueError("it is not 32 bytes in base64url, in their one spelling")
    if not crypto_core_ed25519_is_valid_point(raw):
        raise ValueError("it is a weak key, or no point of the curve")


def possession(fleet: str, agent: str, old: str, new: str) -> bytes:
    """Return the bytes that the NEW key signs, to prove that its holder makes this very change."""
    return context_of(fleet) + json.dumps(["key_changed", agent, old, new]).encode()


def is_signed(key: str, message: bytes, signature: str) -> bool:
    """Return whether an Ed25519 key signed `message` with `signature`, which is in its one spelling."""
    try:
        raw = decode(signature)
        _verify_key(key).verify(message, raw)
    except (BadSignatureError, ValueError, TypeError):
        return False
    # A signature has one spelling. Otherwise anybody could make a second line of a line that its author signed.
    return encode(raw) == signature


class Ed25519Signer:
    """An agent's own key, from its 32 secret bytes."""

    def __init__(self, seed: bytes) -> None:
        public, self._secret = crypto_sign_seed_keypair(seed)
        self.key = encode(public)

    def sign(self, message: bytes) -> str:
        return encode(crypto_sign(message, self._secret)[:crypto_sign_BYTES])


class HmacSigner:
    """The fleet's shared secret. Everybody who can check a signature can also make one."""

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
        """Return why the signatures of an event are wrong; None if they are right."""
        return self._misses(event, signed_message(event, fleet)) or self._vouch_misses(event, fleet)

    def _misses(self, event: Event, message: bytes) -> str | None:
        if self.auth == "hmac":
            if self.shared is None:
                return "no HMAC secret to check it with: set GITCOORD_HMAC_KEY"
            if event.key != self.shared.key:
                return "signed with another secret"
            good = self.shared.sign(message).encode()  # bytes: text beyond ASCII cannot be compared
            return None if hmac.compare_digest(good, event.sig.encode()) else "wrong signature"
        return None if is_signed(event.key, message, event.sig) else "wrong signature"

    def _vouch_misses(self, event: Event, fleet: str) -> str | None:
        if event.vouch is None:
            return None
        key, signature = vouches.voucher_of(event)
        message = vouches.vouched_message(event, fleet)
        if message is None:
            return f"its vouch is by another key than that of {event.node}"
        return None if self._is_of_node(key, message, signature) else "wrong signature in its vouch"

    def _is_of_node(self, key: str, message: bytes, signature: str) -> bool:
        return is_signed(key, message, signature)  # a node's key is Ed25519 also where agents share a secret

    def proves(self, key: str, message: bytes, signature: str) -> bool:
        """Return whether `signature` of `message` was made by the holder of `key`."""
        if self.auth == "hmac":
            good = self.shared is not None and key == self.shared.key and self.shared.sign(message)
            return bool(good) and hmac.compare_digest(str(good).encode(), signature.encode())
        return is_signed(key, message, signature)


@lru_cache(maxsize=4096)
def _verify_key(key: str) -> VerifyKey:
    from nacl.signing import VerifyKey  # imported here: signing alone does not need it

    raw = decode(key)
    if encode(raw) != key:  # otherwise a key would have several names, and a revoked key would count under another one
        raise ValueError("not the one spelling of a key")
    return VerifyKey(raw)


def is_public_key(text: str) -> bool:
    """Return whether `text` can be the `key` of a line."""
    return bool(names.KEY.match(text))
