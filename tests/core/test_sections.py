"""A section between markers: put in, kept up to date, and taken out to the byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcoord.core.errors import Refused
from gitcoord.core.sections import with_section, without_section

SECTION = "<!-- BEGIN -->\nours\n<!-- END -->\n"
NEWER = SECTION.replace("ours", "newer\nand longer")
# Without a lone \r, which is no end of a line in any file of today
TEXTS = st.lists(st.sampled_from(["a", "# B", "", " ", "\n", "\r\n"]), max_size=8).map("".join)


@given(TEXTS)
def test_any_text_is_itself_again(text: str) -> None:
    new = with_section(text, SECTION)
    assert new.startswith(text) and with_section(new, SECTION) == new
    newer = with_section(new, NEWER)
    assert "and longer" in newer and "ours" not in newer
    assert without_section(newer, NEWER) == without_section(new, SECTION) == without_section(text, SECTION) == text


@given(TEXTS, TEXTS)
def test_what_stands_after_it_stays(before: str, after: str) -> None:
    text = with_section(before, SECTION) + after
    rest = without_section(text, SECTION)
    assert rest.startswith(before) and rest.endswith(after)
    assert set(rest.removeprefix(before).removesuffix(after)) <= {"\r", "\n"}


def test_its_lines_end_as_those_of_the_file() -> None:
    assert with_section("a\r\n", SECTION) == "a\r\n\r\n" + SECTION.replace("\n", "\r\n")


@pytest.mark.parametrize("text", ["<!-- BEGIN -->", "<!-- END -->", "<!-- END -->\n<!-- BEGIN -->", SECTION * 2])
def test_markers_that_are_no_pair_are_refused(text: str) -> None:
    for change in (with_section, without_section):
        with pytest.raises(Refused, match="once each"):
            change(text, SECTION)
