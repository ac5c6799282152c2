"""What looks like a secret is noticed, what does not is left alone, and no text takes long."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import subprocess
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcoord.core.format.event import Draft
from gitcoord.core.secret_scan import rules
from gitcoord.core.secret_scan.credentials import (
    HIDDEN,
    OwnSecrets,
    first_secret,
    hidden,
    looks_like_credential,
    redacted,
    secret_in,
    without_secrets,
)
from gitcoord.core.secret_scan.patterns import RULES
from gitcoord.core.secret_scan.rules import Rule, compiled
from tests.core.secret_samples import HEX, SAMPLES, some

TOP = Path(__file__).resolve().parents[3]
SEED = hashlib.sha256(b"a key for this test").digest()
ODD = b"an-odd-token-of-somebody"
OWN = OwnSecrets({"the key of alice": SEED, "the value of GITHUB_TOKEN": ODD})
ALL_RULES = [*rules.HEADERS, *rules.TOKENS, *(Rule(*one) for one in RULES)]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def draft(content: str = "", data: object = None) -> Draft:
    return Draft("alice", "note", content, "2026-01-01T00:00:00Z", "0" * 16, data=data or {})  # type: ignore[arg-type]


# Noticed


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("around", ["{}", "Deploy failed with ({}), look at it.", "a\n{}\nb", "- `{}`"])
def test_a_secret_is_noticed_wherever_it_stands(kind: str, around: str) -> None:
    assert looks_like_credential(around.replace("{}", SAMPLES[kind])) is not None


@given(st.text(), st.sampled_from(sorted(SAMPLES)), st.text())
def test_no_text_around_it_hides_it(before: str, kind: str, after: str) -> None:
    assert looks_like_credential(f"{before}\n{SAMPLES[kind]}\n{after}") is not None


@pytest.mark.parametrize(
    "hide",
    [
        lambda text: text[:9] + "\u200b" + text[9:],
        lambda text: text[:9] + "\u00ad\u2060" + text[9:],
        lambda text: "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text),
        lambda text: b64(f"export X={text}".encode()),
        lambda text: base64.urlsafe_b64encode(base64.b64encode(f"x {text}".encode())).decode().rstrip("="),
    ],
)
def test_a_disguise_that_a_reader_would_not_notice_hides_nothing(hide: object) -> None:
    for kind in ("GitHub ghp_", "Slack bot", "AWS access key id", "OpenAI project"):
        assert looks_like_credential("see " + hide(SAMPLES[kind])) is not None, kind  # type: ignore[operator]


@pytest.mark.parametrize(
    "spelled",
    [
        SEED.hex(),
        SEED.hex().upper(),
        b64(SEED),
        b64(SEED).replace("+", "-").replace("/", "_").rstrip("="),
        SEED.hex(" "),
        SEED.hex(":"),
        SEED.hex()[:32] + "\n" + SEED.hex()[32:],
        b64(SEED + SEED[::-1]),
        b64(b"key: " + SEED),
        b64(b"x" + SEED.hex().encode()),
        ODD.decode(),
        ODD.hex(),
        b64(ODD),
        ", ".join(f"0x{one:02x}" for one in SEED),
        "".join(f"\\x{one:02X}" for one in SEED),
        SEED.hex("%"),
        SEED.hex("-"),
        str(list(SEED)),
        " ".join(map(str, SEED)),
        str(int.from_bytes(SEED)),
        "".join(f"\\u00{one:02x}" for one in SEED),
        base64.b32encode(SEED).decode(),
        base64.b32encode(SEED).decode().lower().rstrip("="),
        "\n".join(b64(SEED)),
        base64.b85encode(SEED).decode(),
        base64.a85encode(SEED).decode(),
        "\n".join(ODD.decode()),
        " ".join(ODD.decode()),
    ],
)
def test_our_own_secret_is_noticed_however_it_is_spelled(spelled: str) -> None:
    found = looks_like_credential(f"it is {spelled}, I think", OWN)
    assert found is not None and found.startswith(("the key of alice", "the value of GITHUB_TOKEN"))
    assert spelled not in without_secrets(f"it is {spelled}, I think", OWN)


@pytest.mark.parametrize(
    "part",
    [
        b64(SEED)[:24],
        b64(SEED)[-25:-1],
        b64(SEED)[9:33].replace("+", "-").replace("/", "_"),
        " ".join(b64(SEED)[:30]),
        SEED.hex()[:36],
        SEED.hex().upper()[-40:],
        SEED[14:].hex(":"),
        b64(SEED[5:]),
        b64(b"x" + SEED[:20] + b"y"),
        b64(SEED.hex()[:36].encode()),
    ],
)
def test_a_large_part_of_our_own_key_is_noticed(part: str) -> None:
    found = looks_like_credential(f"the first half is {part}, I think", OWN)
    assert found is not None and found.startswith("a part of the key of alice")
    assert part not in without_secrets(f"the first half is {part}, I think", OWN)


def test_a_few_characters_of_our_own_key_are_none() -> None:
    assert looks_like_credential(f"its fingerprint begins with {b64(SEED)[:20]}", OWN) is None


def test_what_is_no_secret_of_ours_is_not_one() -> None:
    assert looks_like_credential(f"digest {hashlib.sha256(b'other').hexdigest()}", OWN) is None
    assert looks_like_credential("anything at all", OwnSecrets({"an empty file": b"", "a short one": b"abc"})) is None


# Left alone


@pytest.mark.parametrize(
    "text",
    [
        "",
        "my ghp_ prefix",
        "glpat-",
        "AKIA",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----",
        "3f786850e387550fdab836ed7e6dc881de23001b",
        "the private key is in the safe",
        "sha256:" + "a1" * 32,
        "the token ring at 10:30",
        "the password is too short",
        "password: see the safe",
        "token = os.environ['API_TOKEN']",
        "export API_KEY=$(pass show api)",
        "API_KEY=${API_KEY}",
        'password = "changeme"',
        "key: ${{ secrets.GITCOORD_KEY }}",
        "secret: [hidden]",
        "https://user:password@host/path",
        "https://example.org/a/b?page=2&sort=asc",
        "see https://github.com/OWNER/REPO/commit/3f786850e387550fdab836ed7e6dc881de23001b",
        "keys/alice.key",
        "the next_token field of ListObjectsV2Request",
        "class TokenBucketRateLimiterFactory2:",
        "refs/heads/feature/add-secret-manager-2024-support",
        "task-management-skeleton-for-everybody-1",
        '{"key": "public_key", "tokens": 1234, "max_tokens": 200000}',
        "npm install eslint-plugin-security@2.1.0",
        "node.append(draft, on_secret=OnSecret.HIDE)[0].uid",
        "token=settings.API_TOKEN2)",
        "sha512-" + b64(bytes(range(64))),
        'etag W/"5e1d6c0b2f7a4c8d9e0f1a2b3c4d5e6f"',
    ],
)
def test_ordinary_words_are_left_alone(text: str) -> None:
    assert looks_like_credential(text) is None


def test_hashes_uids_digests_and_images_are_left_alone() -> None:
    rng = random.Random(7)
    for _ in range(300):
        digest = base64.urlsafe_b64encode(rng.randbytes(32)).decode().rstrip("=")
        text = json.dumps(
            {
                "head": rng.randbytes(20).hex(),
                "prev": digest,
                "digest": digest[::-1],
                "sig": some(86),
                "uid": some(16),
                "id": str(uuid.UUID(bytes=rng.randbytes(16))),
                "sha256": rng.randbytes(32).hex(),
                "key": digest,
                "node": f"laptop-{some(4, HEX)}",
                "integrity": "sha512-" + b64(rng.randbytes(64)),
            }
        )
        assert looks_like_credential(text) is None, text
    for _ in range(5):
        image = base64.b64encode(b"\x89PNG\r\n\x1a\n" + rng.randbytes(40_000)).decode()
        assert looks_like_credential(f"![it](data:image/png;base64,{image})") is None


def test_the_documents_and_the_history_of_this_project_alarm_nobody() -> None:
    words = ["git", "log", "-2000", "--format=%H%n%an%n%B"]
    log = subprocess.run(words, cwd=TOP, capture_output=True, text=True).stdout
    places = ("*.md", "docs/*.md", "benchmarks/*.md", "gitcoord/**/*.py")
    files = [one for place in places for one in TOP.glob(place) if one.parent.name != "secret_scan"]
    paragraphs = "\n\n".join([log, *(one.read_text(encoding="utf-8") for one in files)]).split("\n\n")
    alarms = [one for one in paragraphs if looks_like_credential(one)]
    assert len(paragraphs) > 3000 and alarms == []


# No text takes long


def hostile(keyword: str) -> list[str]:
    return [
        keyword * (20_000 // len(keyword)),
        f"{keyword}-" * (20_000 // (len(keyword) + 1)),
        keyword + "a1" * 10_000,
        f"{keyword}=" * (20_000 // (len(keyword) + 1)),
        keyword + " " * 20_000,
    ]


def test_no_pattern_takes_more_than_linear_time() -> None:
    """Where one does, this takes hours: the tests' own limit ends it."""
    for rule in ALL_RULES:
        for text in hostile(rule.keywords[0]):
            compiled(rule.pattern).findall(text)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 65_000,
        "gh" + "p_" * 30_000,
        "-----BEGIN " * 5_000,
        "A" * 76 * 800,
        "password=" * 7_000,
        "a_" * 30_000,
        "://" * 20_000,
        "https://u:" + "a" * 60_000 + "!",
        "password=" + "a" * 60_000 + "!",
        "password=" + "aB" * 140 + "1!",
        "eyJ-" * 15_000,
        "curl -u " * 8_000,
        "\u200b" * 20_000,
        "YWJj" * 15_000,
        "login a password " * 4_000,
        "token is " * 7_000,
        "password=" + "a " * 30_000,
        'secret="' * 8_000,
        "bearer a1" * 7_000,
    ],
    ids=lambda text: text[:12],
)
def test_long_hostile_text_is_read_in_no_time(text: str) -> None:
    looks_like_credential(text, OWN)
    redacted(text, OWN)


# Said and hidden


def test_the_kind_and_the_place_are_named() -> None:
    token = SAMPLES["GitHub ghp_"]
    assert secret_in(draft(f"one\ntwo {token}")) == ("github-token", "content, line 2")
    assert secret_in(draft("x", {"a": [{"b": f"see {token}"}]})) == ("github-token", "data.a[0].b")
    assert secret_in(draft("x", {"a": {token: 1}})) == ("github-token", "a name in data.a")
    assert secret_in(draft("x", {"login": {"password": "correct7horse"}})) == ("assigned-secret", "data.login.password")
    assert secret_in(draft("x", {"a": 1, "b": None, "c": ["words"]})) is None


def test_of_an_event_that_counts_only_the_secret_is_hidden() -> None:
    token = SAMPLES["Slack bot"]
    data = {"result": f"{token}\nfine", "password": "correct7horse", "n": 3}
    shown = hidden(draft(f"it printed {token}, twice", data))
    assert shown.content == f"it printed {HIDDEN}, twice"
    assert shown.data == {"result": f"{HIDDEN}\nfine", "password": HIDDEN, "n": 3}
    assert hidden(draft("words", {"a": ["b", 1]})) == draft("words", {"a": ["b", 1]})


@pytest.mark.parametrize("kind", SAMPLES)
def test_nothing_is_left_to_find_in_what_is_shown(kind: str) -> None:
    shown = without_secrets(f"push failed: {SAMPLES[kind]}\nand its second line")
    assert HIDDEN in shown and first_secret(shown) is None, shown


def test_a_private_key_is_hidden_to_its_end() -> None:
    shown = without_secrets("so:\n-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----")
    assert shown == f"so:\n{HIDDEN}"


@pytest.mark.parametrize(
    "text, shown",
    [
        ("https://me:word@host/path failed", "https://[hidden]@host/path failed"),
        ("password: hunter2, then", "password: [hidden], then"),
        ('{"api_key": "abc"}', '{"api_key": "[hidden]"}'),
        ("GITCOORD_TOKEN=abc", "GITCOORD_TOKEN=[hidden]"),
        ("the token ring at 10:30", "the token ring at 10:30"),
        ("bad line at events.log:3", "bad line at events.log:3"),
    ],
)
def test_passwords_are_hidden_by_the_words_before_them(text: str, shown: str) -> None:
    assert redacted(text) == shown


# The collection


def test_each_rule_can_be_found_by_its_keywords_and_says_something() -> None:
    assert len(RULES) > 300 and len({rule.pattern for rule in ALL_RULES}) > 400
    for rule in ALL_RULES:
        assert rule.kind and rule.keywords and all(one and one == one.lower() for one in rule.keywords), rule
        assert not compiled(rule.pattern).match(""), rule
        assert rule.group <= compiled(rule.pattern).groups


def test_its_licence_goes_with_it() -> None:
    assert "MIT License" in (TOP / "LICENSES" / "Betterleaks.txt").read_text(encoding="utf-8")
    assert os.path.join("LICENSES", "Betterleaks.txt") in (TOP / "setup.cfg").read_text(encoding="utf-8")
