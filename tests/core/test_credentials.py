"""What looks like a credential is noticed, what does not is left alone. The tokens below are put together here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcoord.core.credentials import looks_like_credential, redacted

A = "aB3" * 40
TOKENS = [
    ("a GitHub token", "gh" + "p_" + A[:36]), ("a GitHub token", "gh" + "s_" + A[:40]),
    ("a GitHub token", "github" + "_pat_" + A[:22] + "_" + A[:59]), ("a GitLab token", "gl" + "pat-" + A[:20]),
    ("a Bitbucket token", "AT" + "BB" + A[:32]), ("an Azure DevOps token", A[:76] + "AZ" + "DO" + "aB3a"),
    ("an AWS access key", "AK" + "IA" + "ABCDEFGH23456722"),
    ("a private key", "-----BEGIN " + "OPENSSH PRIVATE KEY-----"),
    ("a private key", "-----BEGIN " + "PRIVATE KEY-----"),
    ("a private key", "-----BEGIN PGP " + "PRIVATE KEY BLOCK-----"),
]


@pytest.mark.parametrize("kind, token", TOKENS)
@pytest.mark.parametrize("around", [
    "{}", "export TOKEN={}", "https://x:{}@host/", '{{"token":"{}"}}', "a\n{}\nb", "({})",
])
def test_a_token_is_noticed_wherever_it_stands(kind: str, token: str, around: str) -> None:
    assert looks_like_credential(around.format(token)) == kind


@pytest.mark.parametrize("text", [
    "", "gh" + "p_short", "my ghp_ prefix", "glpat-", "AKIA", "-----BEGIN PUBLIC KEY-----",
    "-----BEGIN CERTIFICATE-----",
    "3f786850e387550fdab836ed7e6dc881de23001b", "the private key is in the safe", "sha256:" + "a" * 64,
])
def test_ordinary_words_are_not(text: str) -> None:
    assert looks_like_credential(text) is None


@given(st.text(), st.sampled_from(TOKENS), st.text())
def test_text_around_it_does_not_hide_it_behind_a_blank(before: str, token: tuple[str, str], after: str) -> None:
    assert looks_like_credential(f"{before} {token[1]} {after}") is not None


def test_long_text_is_read_in_no_time() -> None:
    for text in ("a" * 65_000, "gh" + "p_" * 30_000, "-----BEGIN " * 5_000, "A" * 76 * 800):
        assert looks_like_credential(text) is None


@pytest.mark.parametrize("kind, token", TOKENS)
def test_what_leaves_the_log_has_no_token_in_it(kind: str, token: str) -> None:
    assert token not in redacted(f"push failed: {token}\nand its second line")


@pytest.mark.parametrize("text, shown", [
    ("https://me:word@host/path failed", "https://[hidden]@host/path failed"),
    ("password: hunter2, then", "password: [hidden], then"), ('{"api_key": "abc"}', '{"api_key": "[hidden]"}'),
    ("GITCOORD_TOKEN=abc", "GITCOORD_TOKEN=[hidden]"), ("the token ring at 10:30", "the token ring at 10:30"),
    ("bad line at events.log:3", "bad line at events.log:3"),
])
def test_passwords_are_hidden_by_the_words_before_them(text: str, shown: str) -> None:
    assert redacted(text) == shown
