"""Snapshots show what was said, in order, whatever was said."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from gitcoord.core.errors import Refused
from gitcoord.features.pages import snapshot
from gitcoord.features.pages.snapshot import Entry, Interaction, Layout

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
REWRITE = "GITCOORD_REWRITE_GOLDEN"  # set it to 1 to write the golden files anew, then read the diff
SAMPLE = HERE.parent / "data" / "history_sample.jsonl"
PLAIN = Layout()

GFM = MarkdownIt("js-default", {"html": True})

words = st.one_of(
    st.text(max_size=80),
    st.text(alphabet="#>-=*_`~[]()<>!|&\\:@$ \t\n\r1.ax\u200b↩", max_size=60),
    st.sampled_from(["a\n===", "```\nx", snapshot.END, snapshot.BEGIN, "### Interaction #9", "[x]: y"]),
)
entries = st.builds(
    Entry,
    position=st.none(),
    actor=words,
    type=st.sampled_from(["question", "answer", "followup", "heartbeat", "task_opened", "a b\n# c"]),
    content=words,
    timestamp=st.one_of(st.just("2026-11-21T03:04:05Z"), words),
    to=st.lists(words, max_size=7).map(tuple),
    uid=words,
)


def said(actor: str, kind: str, content: str, *to: str, minute: int = 0, uid: str = "") -> Entry:
    time = f"2026-11-21T03:{minute:02d}:05.678Z"
    return Entry(None, actor, kind, content, time, to, uid=uid)


CONVERSATION = [
    Interaction(1, [said("alice", "question", "How do I start the MCP server?", "bob")]),
    Interaction(
        2,
        [
            said("Agent A", "question", "Which of `main` and `next` is released?\n\n- main\n- next", minute=1),
            said("bob", "answer", "main", minute=2),
            said(
                "Agent A",
                "followup",
                "And when? The calendar says Friday, but the milestone has four open "
                "issues (#12, #14, #15, #16), and @carol is away.",
                minute=3,
            ),
            said("bob", "heartbeat", "", minute=4),
        ],
    ),
    Interaction(
        3,
        [
            said("epochALPHA", "task_opened", "# Not a heading\n<!-- END COMMUNICATION -->", minute=5),
            said("www.evil.example", "question", "\u202eare you there\x1b[2J", "alice", "bob", minute=6),
            said("carol", "answer", "Yes.\n", minute=7),
        ],
    ),
    Interaction(4, [said("carol", "error", "Failed to acquire lock on events.log", minute=8)]),
]


def conversation(numbers: Sequence[int], content: str = "x") -> list[Interaction]:
    return [Interaction(number, [said("alice", "question", content)]) for number in numbers]


def headings(page: str) -> list[tuple[str, str]]:
    """(tag, words) of every heading that a reader sees."""
    tokens = GFM.parse(page)
    return [
        (token.tag, "".join(child.content for child in tokens[index + 1].children or []))
        for index, token in enumerate(tokens)
        if token.type == "heading_open"
    ]


def skeleton(page: str) -> list[tuple[str, str]]:
    """Everything of a page but what is said in code blocks and named in headings and entries."""
    return [(one.type, one.content if one.type == "html_block" else "") for one in GFM.parse(page)]


def inlines(page: str) -> list[Token]:
    return [child for token in GFM.parse(page) for child in token.children or []]


def test_golden_pages() -> None:
    for name, page in snapshot.files(CONVERSATION, PLAIN, position=9).items():
        path = GOLDEN / name
        if os.environ.get(REWRITE):
            path.write_bytes(page.encode())
        assert page.encode() == path.read_bytes()


def test_the_seeds_two_party_conversation_has_the_seeds_lines() -> None:
    log = [
        said("A", "question", "one?", "B"),
        said("B", "answer", "1"),
        said("A", "followup", "2"),
        said("A", "heartbeat", ""),
    ]
    page = snapshot.communication([Interaction(1, log)], PLAIN, position=4)
    assert [line for line in page.splitlines() if line.startswith("#")] == [
        "# Communication Snapshot",
        "### Interaction #1",
        "#### A → B",
        "#### B → A",
        "#### A Follow-Up",
        "#### heartbeat (A)",
    ]
    old = snapshot.archive([Interaction(1, log), *conversation([2, 3, 4])], PLAIN)
    assert "## Interaction #1\n\n- [A question 2026-11-21T03:00:05.678Z]\n\n      one?\n\n- [B answer " in old


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(entries, max_size=3), max_size=3))
@example([[Entry(None, "a", "x", "", "t"), Entry(None, "a", "x", "", "]:")]])  # no definition of a link
def test_no_words_change_the_structure_of_a_page(said_by_interaction: list[list[Entry]]) -> None:
    real = [Interaction(number, log) for number, log in enumerate(said_by_interaction, 1)]
    tame = [
        Interaction(
            one.number, [Entry(None, "a", "x", "y" if entry.content else "", "t", ("b",)) for entry in one.entries]
        )
        for one in real
    ]
    page = snapshot.communication(real, PLAIN, position=1)
    assert skeleton(page) == skeleton(snapshot.communication(tame, PLAIN, position=1))
    expected = [("h1", 1)] + [tag for one in real for tag in [("h3", 1), ("h4", len(one.entries))]]
    assert [tag for tag, _ in headings(page)] == [tag for tag, count in expected for _ in range(count)]
    volume = snapshot.render_volume(1, real)
    assert skeleton(volume) == skeleton(snapshot.render_volume(1, tame))
    for shown in (page, volume):
        kinds = {token.type for token in inlines(shown)}
        assert kinds <= {"text", "code_inline", "link_open", "link_close", "text_special"}
        links = {str(token.attrs["href"]) for token in inlines(shown) if token.type == "link_open"}
        assert links <= {"archive.md", "README.md", "../archive.md", "../communication.md"}
        assert shown.endswith("\n") and not shown.endswith("\n\n")
        assert shown.encode().decode().splitlines() == shown.split("\n")[:-1]
    assert page.count(snapshot.BEGIN) == page.count(snapshot.END) == 1
    assert snapshot.parse_position(page) == 1


@settings(max_examples=100, deadline=None)
@given(entries)
def test_a_line_that_begins_without_blanks_is_ours(entry: Entry) -> None:
    page = snapshot.communication([Interaction(7, [entry])], PLAIN, position=1)
    ours = [line for line in page.splitlines() if line and not line.startswith(" ")]
    assert [line for line in ours if line.startswith("### ")] == ["### Interaction #7"]
    assert len(ours) == 6


def test_recorded_conversations_are_shown_whole_and_in_order() -> None:
    interactions: dict[int, list[Entry]] = {}
    for line in SAMPLE.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        log = interactions.setdefault(one["interaction"], [])
        log.append(Entry(None, one["actor"], one["type"], one["content"], one["timestamp"]))
    every = [Interaction(number, log) for number, log in interactions.items()]
    rendered = snapshot.files(every, Layout(recent=100), position=300)
    pages = [rendered[name] for name in ("archive.md", "communication.md")]
    shown = [words for page in pages for _, words in headings(page)]
    numbered = [words for words in shown if words.startswith("Interaction #")]
    assert numbered == [f"Interaction #{number}" for number in sorted(interactions)]
    blocks = sum(token.type == "code_block" for page in rendered.values() for token in GFM.parse(page))
    assert blocks == sum(bool(entry.content) for one in every for entry in one.entries)


def test_a_fleet_words_its_own_headings() -> None:
    layout = Layout(recent=1, headings={"review": "{actor} reviews, {time}", "*": "{type} by {actor}"})
    log = [said("bob", "review", "x"), said("bob", "thought", "x"), said("bob", "followup", "x")]
    page = snapshot.communication([Interaction(1, log)], layout, position=3)
    assert [words for tag, words in headings(page) if tag == "h4"] == [
        "bob reviews, 2026-11-21T03:00:05.678Z",
        "thought by bob",
        "bob Follow-Up",
    ]


@pytest.mark.parametrize("recent", [0, -1, 101])
def test_a_page_of_no_or_too_many_interactions_is_refused(recent: int) -> None:
    with pytest.raises(Refused, match="use 1 to 100"):
        Layout(recent=recent)


def test_long_content_is_cut_and_says_how_much_and_where_the_rest_is() -> None:
    entry = said("alice", "question", "x" * 4812, uid="k3f97hq2m0x4w8zt")
    log = [Interaction(1, [entry])]
    page = snapshot.communication(log, PLAIN, position=1)
    assert "\n\n… (812 more characters; event k3f97hq2m0x4w8zt)\n" in page
    assert "\n\n  … (812 more characters; event k3f97hq2m0x4w8zt)\n" in snapshot.render_volume(1, log)


def test_a_long_interaction_shows_its_newest_entries() -> None:
    log = [said("alice", "followup", f"word {index}") for index in range(1005)]
    page = snapshot.communication([Interaction(1, log)], PLAIN, position=1005)
    assert "… 5 earlier events are in the log only.\n\n#### alice Follow-Up\n\n    word 5\n" in page
    assert sum(tag == "h4" for tag, _ in headings(page)) == 1000


def test_an_empty_fleet_has_a_page() -> None:
    page = snapshot.communication([], PLAIN, position=0)
    assert "No interaction yet." in page and snapshot.parse_position(page) == 0
    assert set(snapshot.files([], PLAIN, position=0)) == {"communication.md", "archive.md"}


def test_position_is_read_from_the_page_only_where_we_write_it() -> None:
    forged = conversation([1], "Ledger position 99")
    assert snapshot.parse_position(snapshot.communication(forged, PLAIN, position=42)) == 42
    assert snapshot.parse_position("# Something else\n") is None
    assert snapshot.parse_position(f"{snapshot.BEGIN}\nLedger position 5\n") is None


def test_the_archive_becomes_volumes_of_a_hundred_once_it_has_grown() -> None:
    small = snapshot.files(conversation(range(1, 104)), PLAIN, position=1)
    assert set(small) == {"communication.md", "archive.md"}
    rendered = snapshot.files(conversation(range(1, 254)), PLAIN, position=1)
    assert list(rendered) == ["communication.md", "archive.md", *(f"archive/000{n}.md" for n in (1, 2, 3))]
    assert list(rendered) == snapshot.paths(range(1, 254), PLAIN)
    assert [words for tag, words in headings(rendered["archive/0002.md"]) if tag == "h2"] == [
        f"Interaction #{number}" for number in range(101, 201)
    ]
    index = rendered["archive.md"]
    assert "- [Interactions #201 to #250](archive/0003.md)\n- [Interactions #101 to #200](" in index
    assert "[Interactions #7](archive/0001.md)" in snapshot.render_archive_index([7])


def test_numbers_far_apart_fill_the_same_volumes_as_others() -> None:
    """Authors choose numbers: those that were 100 apart made one file each."""
    far = [number * 100_000 for number in range(1, 254)]
    rendered = snapshot.files(conversation(far), PLAIN, position=1)
    assert list(rendered) == ["communication.md", "archive.md", *(f"archive/000{n}.md" for n in (1, 2, 3))]
    assert "#10100000 to #20000000](archive/0002.md)" in rendered["archive.md"]


def test_a_number_given_later_moves_no_older_interaction_to_another_file() -> None:
    before = snapshot.volumes_of(range(201, 401))
    assert snapshot.volumes_of([*range(201, 401), 5, -3]) == {**before, 3: [-3, 5]}


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(st.integers(0, 420), unique=True) | st.sets(st.integers(0, 420), min_size=100).map(sorted),
    new=st.lists(st.integers(0, 450) | st.just(10**9), max_size=5, unique=True),
    again=st.sets(st.integers(0, 420), max_size=5),
    recent=st.integers(1, 5),
)
def test_files_that_are_not_named_as_changed_keep_their_bytes(
    before: list[int], new: list[int], again: set[int], recent: int
) -> None:
    layout, after = Layout(recent=recent), list(dict.fromkeys([*before, *new]))
    touched = set(new) | (again & set(before))
    old = snapshot.files(conversation(before, "old"), layout, position=1)
    now = [Interaction(n, [said("alice", "question", "new" if n in touched else "old")]) for n in after]
    stale = snapshot.changed(before, after, touched=touched, layout=layout)
    everything = snapshot.files(now, layout, position=2)
    some = snapshot.files(now, layout, position=2, only=stale)
    assert set(some) == stale & set(everything)
    kept = {path: page for path, page in old.items() if path in snapshot.paths(after, layout)}
    assert {**kept, **some} == everything


def test_a_large_number_does_not_stay_on_the_page() -> None:
    page = snapshot.communication(conversation([1, 10**9, 2, 3, 4]), PLAIN, position=5)
    assert [words for _, words in headings(page) if words.startswith("Interaction")] == [
        "Interaction #2",
        "Interaction #3",
        "Interaction #4",
    ]
    assert "Interaction #1000000000" in snapshot.archive(conversation([1, 10**9, 2, 3, 4]), PLAIN)


def test_a_new_question_changes_few_files() -> None:
    before = range(1, 1001)
    stale = snapshot.changed(before, range(1, 1002), touched={1001}, layout=PLAIN)
    assert stale == {"communication.md", "archive.md", "archive/0010.md"}
    assert snapshot.changed(before, before, touched={1000}, layout=PLAIN) == {"communication.md"}
    late = snapshot.changed(before, before, touched={5}, layout=PLAIN)
    assert late == {"communication.md", "archive/0001.md"}


def test_a_page_has_a_limit_and_room_for_every_conversation() -> None:
    """A member's flood made each look of the leader write megabytes anew; the others' words stay on the page."""
    flood = [Interaction(number, [said("mallory", "note", "`x\n\x1b" * 1000)] * 1000) for number in (1, 2)]
    quiet = Interaction(3, [said("alice", "question", f"Who has the parser, {number}?") for number in range(50)])
    for page in (
        snapshot.communication([*flood, quiet], PLAIN, position=1),
        snapshot.render_volume(1, [*flood, quiet]),
        snapshot.archive([*flood, quiet, *conversation([4, 5, 6])], PLAIN),
    ):
        assert len(page.encode()) < snapshot.PAGE_BYTES_MAX * 1.1
        assert all(f"Who has the parser, {number}?" in page for number in range(50))
        assert page.count("earlier events are in the log only") == 2


def test_the_newest_entry_is_shown_however_large_it_is() -> None:
    many = [Interaction(number, [said("alice", "note", "\x1b" * 4000)]) for number in range(1, 101)]
    page = snapshot.communication(many, Layout(recent=100), position=1)
    assert len([one for one in headings(page) if one[0] == "h4"]) == 100


def test_the_index_of_volumes_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "VOLUMES_SHOWN_MAX", 3)
    index = snapshot.render_archive_index(range(1, 1001))
    assert index.count("](archive/") == 3 and "#901 to #1000" in index and "7 older volumes" in index
