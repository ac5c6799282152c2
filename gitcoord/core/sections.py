"""Sections: text of ours between two markers in a file of the user's; what stands around it stays byte for byte."""

from __future__ import annotations

from gitcoord.core.errors import Refused


def with_section(text: str, section: str) -> str:
    """Put a section, whose first and last line are its markers, in place of an earlier one, otherwise at the end.

    At the end it is preceded by one line break, which `without_section` takes away with it. Raise Refused if the
    markers are not a pair.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    section = section.rstrip("\n").replace("\n", newline)
    found = _split(text, *_markers(section))
    if found is not None:
        return found[0] + section + found[1]
    return text + (newline if text else "") + section + newline


def without_section(text: str, section: str) -> str:
    """Remove the section, or return `text` if it has none. Raise as `with_section` does."""
    found = _split(text, *_markers(section))
    if found is None:
        return text
    before, after = found
    for newline in ("\r\n", "\n"):
        if after in ("", newline) and before.endswith(newline):
            return before.removesuffix(newline)
    for newline in ("\r\n", "\n"):
        if after.startswith(newline):
            return before + after.removeprefix(newline)
    return before + after


def _markers(section: str) -> tuple[str, str]:
    lines = section.rstrip("\r\n").splitlines()
    return lines[0], lines[-1]


def _split(text: str, begin: str, end: str) -> tuple[str, str] | None:
    """Return what stands before and after the section; None if there is none."""
    if begin not in text and end not in text:
        return None
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended) or begin in rest or end in before + after:
        raise Refused(f"it must have {begin} and {end} once each, in this order: remove what is left over")
    return before, after
