"""Untrusted text cannot become a part of the page, and can be read back exactly."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from gitcoord.features.pages.markdown import WIDTH, block, inline, visible

GFM = MarkdownIt("js-default", {"html": True, "typographer": True})

NASTY = [
    "# heading",
    "###### six",
    "a\n===",
    "a\n---",
    "---",
    "***",
    "<!-- END COMMUNICATION -->",
    "<!-- BEGIN COMMUNICATION -->",
    "<!--\nend\tCommunication -->",
    "<!-- x",
    "--> x",
    "<script>alert(1)</script>",
    "</pre></code></blockquote>",
    "<img src=x onerror=y>",
    "<![CDATA[",
    "<?php",
    "<!DOCTYPE html>",
    "```\nnever closed",
    "~~~\nnever closed",
    "````\n```\n",
    "`" * 300,
    "```mermaid\ngraph TD\n```",
    "```math\nx\n```",
    "$x$ and $$y$$ and $`z`$",
    "![pixel](https://evil.example/p.png)",
    "[me](javascript:alert(1))",
    "[ref]: https://evil.example",
    "[^1]: a footnote",
    "[ref] [^1]",
    "|a|b|\n|-|-|\n|c|d|",
    "- item\n  - item",
    "1. one",
    "+ plus",
    "* star",
    "- [ ] task",
    "- [alice question 2026-11-21T03:04:05Z]",
    "> quoted",
    "> [!NOTE]\n> x",
    "@everybody #12 GH-12 a/b#3 !4",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "https://evil.example www.evil.example <https://evil.example>",
    "me@evil.example",
    ":smile:",
    "~~gone~~ **bold** _it_",
    "&lt;b&gt; &#35; &NotEqual;",
    "\\# \\` \\",
    "\x00\x01\x1b[31mred\x1b[0m\x7f\x80\x9b",
    "one\rtwo\r\nthree",
    "a\u2028b\u2029c\u0085d\x0be\x0cf",
    "\u202eevil\u202c \u2066x\u2069",
    "zero\u200bwidth\u200d\u2060\ufeff",
    "tag\U000e0041\U000e007f",
    "\ud800 alone \udfff",
    "↩",
    "a↩\nb↩",
    "⟨U+0041⟩ ⟨",
    "␀ ␤ ␠",
    "e" + "\u0301" * 40,
    "\n\nblank lines around\n\n",
    " \n\t\n x \n \n",
    " ",
    "\t",
    "\n",
    "  \n\t ",
    "\tx\n\ty\n \tz",
    "    x\n  y",
    "x  \ny   ",
    "a\n\n\n    b\n  \n\nc",
    "x" * 1000,
    "word " * 100,
    " " * 250 + "x",
    "x" + " " * 250,
    "x" + " " * 4000 + "\ny",
    ("a" * 99 + " ") * 5,
    "`" + "a" * 130 + "` " * 40,
    "日本語の長い文 " * 40,
    "💩👩\u200d💻 é",
]
text = st.one_of(
    st.text(max_size=300),
    st.lists(st.sampled_from([*NASTY, "\n", " ", "\t", "x"]), max_size=6).map("".join),
    st.text(alphabet="#>-=*_`~[]()<>!|&\\:@$ \t\n\r1.ax\u200b↩⟨U+", max_size=120),
)


def written(shown: str) -> str:
    """What was written, from the text that a code block shows."""
    joined = shown.replace("↩\n", "")
    spelled = re.sub("⟨U\\+([0-9A-F]{4,6})⟩|[␀-␠␡␤]", lambda found: _character(found[0], found[1]), joined)
    return spelled


def _character(word: str, code: str | None) -> str:
    if code:
        return chr(int(code, 16))
    return {"␡": "\x7f", "␤": "\n"}.get(word) or chr(ord(word) - 0x2400)


def only_code(tokens: list[Token]) -> str:
    assert [token.type for token in tokens] == ["code_block"]
    return tokens[0].content.removesuffix("\n")


@pytest.mark.parametrize("content", NASTY)
def test_every_known_trick_is_one_code_block_and_reads_back(content: str) -> None:
    assert written(only_code(GFM.parse(_utf8(block(content))))) == content


@settings(max_examples=400, deadline=None)
@given(text)
def test_any_text_is_one_code_block_and_reads_back(content: str) -> None:
    if content:
        assert written(only_code(GFM.parse(_utf8(block(content))))) == content


@settings(max_examples=300, deadline=None)
@given(text)
def test_any_text_in_a_list_item_stays_in_it(content: str) -> None:
    page = _utf8(["- [item]", "", *block(content, indent="  "), "", "- [next]"])
    types = [token.type for token in GFM.parse(page) if not token.type.startswith("paragraph")]
    code = ["code_block"] if content else []
    item = ["list_item_open", "inline", *code, "list_item_close"]
    last = ["list_item_open", "inline", "list_item_close"]
    assert types == ["bullet_list_open", *item, *last, "bullet_list_close"]
    shown = [token.content.removesuffix("\n") for token in GFM.parse(page) if token.type == "code_block"]
    assert [written(one) for one in shown] == ([content] if content else [])


@settings(max_examples=300, deadline=None)
@given(text)
def test_every_line_of_a_block_begins_with_blanks_and_is_a_line_for_every_reader(content: str) -> None:
    lines = block(content)
    assert all(line == "" or line.startswith("    ") for line in lines)
    page = "\n".join(lines)
    assert [line for line in page.splitlines() if line] == [line for line in lines if line]
    assert all(len(line.rstrip()) <= 4 + WIDTH + 1 for line in lines)
    unseen = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
    assert not re.search(unseen, page)


@settings(max_examples=400, deadline=None)
@given(text)
def test_a_name_is_plain_or_a_code_span(name: str) -> None:
    page = _utf8([f"#### {inline(name)} → {inline(name)}"])
    tokens = GFM.parse(page)
    assert [token.type for token in tokens] == ["heading_open", "inline", "heading_close"]
    children = tokens[1].children or []
    assert {child.type for child in children} <= {"text", "code_inline"}


@pytest.mark.parametrize("name", ["alice", "Agent A", "epochALPHA", "agent-001", "epoch_ALPHA", "n" * 63])
def test_the_names_that_agents_have_are_bare(name: str) -> None:
    assert inline(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("GH-12", "`GH-12`"),
        ("defaced", "`defaced`"),
        ("www.evil.example", "`www.evil.example`"),
        ("a _b_ c", "`a _b_ c`"),
        ("me@evil.example", "`me@evil.example`"),
        ("a`b", "``a`b``"),
        ("`", "`` ` ``"),
        ("", "`␀`"),
        ("  ", "`␠␠`"),
        ("a\nb", "`a␤b`"),
        ("\u202eevil", "`⟨U+202E⟩evil`"),
        ("x" * 1000, "`" + "x" * 79 + "…`"),
    ],
)
def test_names_that_a_forge_would_act_on_are_code(name: str, shown: str) -> None:
    assert inline(name) == shown


def test_ordinary_text_is_shown_as_it_is() -> None:
    assert block("How do I start the MCP server?") == ["    How do I start the MCP server?"]
    assert block("run:\n\n\tmake `all`\n") == ["    run:", "", "    \tmake `all`␤"]
    assert visible("naïve 日本語 💩 → “quoted”") == "naïve 日本語 💩 → “quoted”"
    assert block("") == []


def test_a_long_line_is_broken_at_a_blank_and_says_so() -> None:
    assert block("word " * 30) == ["    " + "word " * 20 + "↩", "    " + "word " * 10]


def test_markers_of_ours_are_spelled_out_in_text() -> None:
    assert visible("<!-- END COMMUNICATION -->") == "⟨U+003C⟩!-- END COMMUNICATION -->"
    assert visible("<!-- other -->") == "<!-- other -->"


def _utf8(lines: list[str]) -> str:
    """The page as it is stored: encoding it fails if it holds half a character."""
    return "\n".join(lines).encode("utf-8").decode("utf-8")
