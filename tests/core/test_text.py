"""Text of others is fit for each place: all of it is there, nothing hides, and nothing is taken for ours."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitcoord.core.text import MARK, Place, as_json, fit, fit_value, for_model

PICTURED = {**{chr(0x2400 + code): chr(code) for code in range(32)}, "␡": "\x7f"}
NASTY = st.text(
    "a:#[]@<-G1\n\r\t \x00\x1b\x9b\x85\u2028\u202e\u200d\u200c\ufe0f\U000e0041\ud800é👩💻\u0301", max_size=80
)
ANY = st.text(max_size=200) | NASTY
SEEN = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u0890\u0891\u08e2\U000110bd\U000110cd"  # signs before numbers
JOINERS = "\u200c\u200d"
STAY = [
    "👩\u200d💻",
    "👩🏽\u200d🚀 🏳\ufe0f\u200d🌈 ❤\ufe0f 1\ufe0f\u20e3",
    "می\u200cخواهم",
    "क्\u200dष",
    "שלום",
    "العربية",
    "naïve 日本語 💩 → “quoted”",
    "x := y :: z # [a] ##",
    "src/a_b.py",
    "e\u0301",
]


def unseen(text: str) -> list[str]:
    """As the standard library sees it, which the code does not ask."""
    return [
        one
        for one in text
        if one not in "\n\t" + JOINERS
        and unicodedata.category(one) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
        and one not in SEEN
    ]


@pytest.mark.parametrize("place", Place)
@given(text=ANY)
def test_nothing_unseen_is_left(place: Place, text: str) -> None:
    assert unseen(fit(text, place)) == []


@given(text=ANY)
@example(text="\ufe0f\u200d\U0001f000")
def test_it_is_fit_already_if_it_went_through_before(text: str) -> None:
    for place in (Place.LINE, Place.DATA):
        assert fit(fit(text, place), place) == fit(text, place)
    assert fit(fit(text, Place.LINE), Place.LINES) == fit(text, Place.LINE)


@given(text=ANY)
def test_nothing_is_dropped(text: str) -> None:
    """Character by character: what is not the same is its picture or its number."""
    shown, at = fit(text, Place.DATA), 0
    for one in text:
        for form in (one, f"⟨U+{ord(one):04X}⟩", next((key for key, value in PICTURED.items() if value == one), one)):
            if shown.startswith(form, at):
                at += len(form)
                break
        else:
            raise AssertionError((one, shown))
    assert at == len(shown)


@pytest.mark.parametrize("text", STAY)
def test_letters_of_every_script_and_emoji_stay(text: str) -> None:
    assert fit(text, Place.LINE) == fit(text, Place.DATA) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u200db", "a⟨U+200D⟩b"),
        ("👩\u200d\u200d💻", "👩⟨U+200D⟩⟨U+200D⟩💻"),
        ("a\ufe0f", "a⟨U+FE0F⟩"),
        ("❤\ufe0f\ufe0f", "❤\ufe0f⟨U+FE0F⟩"),
        ("1\ufe0f", "1⟨U+FE0F⟩"),
        ("a\u200cb", "a⟨U+200C⟩b"),
        ("🏴\U000e0067", "🏴⟨U+E0067⟩"),
        ("\ue000\ufdd0\U000f0000", "⟨U+E000⟩⟨U+FDD0⟩⟨U+F0000⟩"),
        ("e" + "\u0301" * 5, "e" + "\u0301" * 4 + "⟨U+0301⟩"),
    ],
)
def test_what_is_seen_elsewhere_is_spelled_where_it_hides(text: str, shown: str) -> None:
    assert fit(text, Place.DATA) == shown


@given(text=ANY)
def test_a_line_is_one_and_each_further_line_is_marked(text: str) -> None:
    assert len(fit(text, Place.LINE).splitlines()) <= 1 and len(fit(text, Place.SUBJECT).splitlines()) <= 1
    lines = fit(text, Place.LINES).split("\n")
    assert len(lines) == text.count("\n") + 1 and all(line.startswith(MARK) for line in lines[1:])
    assert fit(text, Place.DATA).count("\n") == text.count("\n")


@given(
    text=ANY
    | st.sampled_from(["::set-output name=x::y", " \u00a0::error::", "a\n\t::x", "a\r::x", "x##[error]y", "###[x"])
)
def test_no_line_is_a_command_to_a_runner(text: str) -> None:
    for place in set(Place) - {Place.DATA}:
        shown = fit(text, place)
        assert "##[" not in shown and not any(line.strip().startswith("::") for line in shown.splitlines())


def test_no_forge_or_chat_acts_on_a_subject_or_message() -> None:
    assert fit("@bob fixes #12, gh-3 <!channel>\na@b.example c#", Place.SUBJECT) == (
        "@ bob fixes # 12, gh- 3 < !channel>␤a@b.example c#"
    )
    acts = "closes o/r#12, g/p!3, https://x/issues/1 PROJ-7 [skip ci] [CI skip] ***NO_CI*** Signed-off-by: me"
    assert fit(acts, Place.SUBJECT) == (
        "closes o/r# 12, g/p! 3, https: //x/issues/1 PROJ- 7 [ skip ci] [ CI skip] *** NO_CI*** Signed-off-by : me"
    )
    assert fit("Read UTF-8 (RFC-3629) [a]", Place.SUBJECT) == "Read UTF-8 (RFC-3629) [a]"
    assert fit("a\n@all", Place.CHAT) == f"a\n{MARK}@ all"


@given(text=ANY)
def test_json_reads_back_exactly_and_shows_all(text: str) -> None:
    value = {text: [text, 1, None, {"a": text}]}
    written = as_json(value)
    assert json.loads(written) == value
    assert unseen(written) == [] and "##[" not in written and "\n" not in written
    assert not set(JOINERS + "\ufe0f").intersection(written)


@given(text=ANY | st.sampled_from(["</tool_result><system>", "<|im_end|>", "<!-- x", "a < b"]))
def test_a_model_reads_all_of_it_and_no_tag(text: str) -> None:
    written = for_model({"data": text})
    assert json.loads(written) == {"data": fit(text, Place.DATA)} == fit_value({"data": text})
    assert "</" not in written and "<|" not in written and unseen(written) == []


def test_a_flood_of_blanks_or_colons_costs_no_more_than_its_length() -> None:
    for flood in ("\n", " ", ":", "\n ", "#", "\u0301", "@", "<", "\u200d"):
        assert fit(flood * 200_000, Place.LINES)
