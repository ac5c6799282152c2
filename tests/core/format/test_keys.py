"""Signatures: who can make them, and what they are worth."""

from __future__ import annotations

from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcoord.core.errors import Refused
from gitcoord.core.format.event import Event, Head, Signer, parse, seal
from gitcoord.core.format.keys import Ed25519Signer, HmacSigner, Verifier, decode, encode, is_public_key
from gitcoord.core.format.strict_json import Malformed
from tests.core.lines import FLEET, draft, signer_of

SECRET = b"sixteen bytes ok"


def event_by(signer: Signer, fleet: str = FLEET) -> Event:
    return seal(draft("alice", "note", "x"), node="n1", after=Head(), signer=signer, fleet=fleet)


@given(st.binary(max_size=100))
def test_keys_and_signatures_are_base64_without_padding(raw: bytes) -> None:
    assert decode(encode(raw)) == raw and "=" not in encode(raw)


def test_a_key_follows_from_its_seed_alone() -> None:
    assert Ed25519Signer(b"\1" * 32).key == Ed25519Signer(b"\1" * 32).key != Ed25519Signer(b"\2" * 32).key
    assert is_public_key(signer_of("alice").key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "short",
        "not base64!" * 4,
        encode(b"\0" * 31),
        encode(b"\0" * 33),
        "é" * 43,
        "hmac-",
        "hmac-" + "x" * 80,
        "A" * 42 + "B",
        encode(b"\0" * 32) + "=",
    ],
)
def test_what_is_no_key_is_told_apart_and_signs_nothing(key: str) -> None:
    assert not is_public_key(key)
    event = event_by(signer_of("alice"))
    assert Verifier().rejects(event._replace(key=key), FLEET) == "wrong signature"
    with pytest.raises(Malformed, match="key"):
        parse(event.line.replace(event.key.encode(), key.encode()))


@pytest.mark.parametrize("sig", ["", "x", "é", encode(b"\0" * 64), encode(b"\0" * 63)])
def test_a_wrong_signature_is_rejected_whatever_its_shape(sig: str) -> None:
    event = event_by(signer_of("alice"))
    assert Verifier().rejects(event._replace(sig=sig), FLEET) == "wrong signature"


def test_a_signature_is_good_for_one_line_in_one_fleet_by_one_key() -> None:
    event = event_by(signer_of("alice"))
    assert Verifier().rejects(event, FLEET) is None
    assert Verifier().rejects(event, "another1")
    assert Verifier().rejects(parse(event.line.replace(b'"x"', b'"y"')), FLEET)
    bobs = event.line.replace(signer_of("alice").key.encode(), signer_of("bob").key.encode())
    assert Verifier().rejects(parse(bobs), FLEET)


def test_a_signature_has_one_spelling() -> None:
    """The last of 86 characters has four bits to spare: sixteen texts decode to the same 64 bytes."""
    event = event_by(signer_of("alice"))
    texts = [event.sig[:-1] + last for last in ascii_letters + digits + "-_"]
    same = [text for text in texts if decode(text) == decode(event.sig)]
    assert len(same) == 16
    assert [text for text in same if Verifier().rejects(event._replace(sig=text), FLEET) is None] == [event.sig]


def test_hmac_proves_that_an_insider_wrote_it() -> None:
    shared, other = HmacSigner(SECRET), HmacSigner(SECRET + b"!")
    verifier = Verifier("hmac", shared)
    assert verifier.rejects(event_by(shared), FLEET) is None and is_public_key(shared.key)
    assert verifier.rejects(event_by(other), FLEET) == "signed with another secret"
    assert verifier.rejects(event_by(shared, "another1"), FLEET) == "wrong signature"
    assert "GITCOORD_HMAC_KEY" in str(Verifier("hmac").rejects(event_by(shared), FLEET))
    assert SECRET.decode() not in shared.key


def test_the_kinds_do_not_pass_for_each_other() -> None:
    assert Verifier().rejects(event_by(HmacSigner(SECRET)), FLEET)
    assert Verifier("hmac", HmacSigner(SECRET)).rejects(event_by(signer_of("alice")), FLEET)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(Refused, match="at least 16 bytes"):
        HmacSigner(b"short")
