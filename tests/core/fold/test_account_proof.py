"""A proof is one line that reads back, whatever stands around it; a change of any part of it makes it none."""

from __future__ import annotations

import dataclasses
import time

import pytest

from gitcoord.core.fold.account_proof import PROOFS_MAX, AccountProof, found_in
from tests.core.lines import signer_of

BLANK = AccountProof("0" * 32, "Bob the 2nd", "octo-cat[bot]", "o/r.x")
PROOF = dataclasses.replace(BLANK, signature=signer_of("bob").sign(BLANK.message))


@pytest.mark.parametrize("around", ["{}", "Hello,\r\n{}\r\n", "> `{}`", "```\n{}\n```"])
def test_it_reads_back_from_what_was_posted(around: str) -> None:
    [found] = found_in(around.format(PROOF.line()))
    assert found == PROOF and found.is_by(signer_of("bob").key) and not found.is_by(signer_of("alice").key)


@pytest.mark.parametrize(
    "change",
    [
        {"fleet_id": "1" * 32},
        {"agent": "Bob the 3rd"},
        {"login": "octo-cat"},
        {"repository": "o/r"},
        {"signature": "A" * 86},
        {"signature": "?"},
    ],
)
def test_it_is_good_for_what_it_names(change: dict[str, str]) -> None:
    assert not dataclasses.replace(PROOF, **change).is_by(signer_of("bob").key)


def test_a_flood_of_them_is_cut() -> None:
    assert len(list(found_in(f"{PROOF.line()}\n" * 400))) == PROOFS_MAX


@pytest.mark.parametrize("text", ["gitcoord-proof fleet=" * 3000, f'{PROOF.line()[:60]}"' * 1000, "a/" * 32000])
def test_no_text_takes_long_to_look_through(text: str) -> None:
    began = time.process_time()
    assert list(found_in(text)) == []
    assert time.process_time() - began < 5
