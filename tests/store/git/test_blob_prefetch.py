"""Prefetch of blobs: announced blobs come as they would have come; odd ones are left to the ordinary reader."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from gitcoord.core.errors import Corrupt, Oversized
from gitcoord.store.git import cat_file, reader
from gitcoord.store.git.git_store import GitStore
from tests.store.test_contract import ABSENT


@pytest.fixture
def store(tmp_path: Path) -> GitStore:
    GitStore.create(tmp_path / "store.git")
    return GitStore(tmp_path / "store.git", url=str(tmp_path), ledger_ref="refs/heads/l", outbox_prefix="refs/n")


def test_blobs_come_in_the_order_announced_without_being_asked_for(
    store: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [b"", b"\n", b"blob 3\n", bytes(range(256)) * 1000, *(b"%d" % n for n in range(500))]
    oids = [store.put_blob(text) for text in texts]
    store.close()
    monkeypatch.setattr(reader.Reader, "_cat", None)  # nothing else is asked
    store.ahead(oids)
    assert [store.blob(oid) for oid in oids] == texts
    store.close()


def test_another_order_an_absent_object_and_another_kind_change_no_answer(store: GitStore) -> None:
    one, two, three = (store.put_blob(text) for text in (b"one", b"two", b"three"))
    tree = store.put_tree({})
    store.close()
    store.ahead([one, ABSENT, tree, two, three])
    assert store.blob(two) == b"two" and store.blob(one) == b"one"
    with pytest.raises(Corrupt):
        store.blob(ABSENT)
    with pytest.raises(Corrupt):
        store.blob(tree)
    assert store.tree(tree) == {} and store.blob(three) == b"three"
    store.ahead(["--batch-all-objects"])
    assert store.blob(one) == b"one"
    store.close()


def test_what_is_too_large_is_refused_before_it_is_read(store: GitStore) -> None:
    small, large = store.put_blob(b"small"), store.put_blob(b"x" * 100_000)
    store.close()
    store.ahead([large, small])
    with pytest.raises(Oversized):
        store.blob(large, bytes_max=10)
    assert store.blob(small, bytes_max=10) == b"small"
    store.close()


def test_no_process_stays_behind(store: GitStore) -> None:
    oids = [store.put_blob(b"%d" % n * 1000) for n in range(200)]
    store.close()
    before = set(psutil.Process().children())
    ahead = cat_file.BlobPrefetch(store.path, oids)
    assert ahead.blob(oids[0], 10_000) is not None
    assert len(set(psutil.Process().children()) - before) == 1
    ahead.close()
    ahead.close()
    assert set(psutil.Process().children()) <= before and ahead.blob(oids[1], 10_000) is None
