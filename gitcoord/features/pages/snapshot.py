"""Snapshots: the newest interactions on one page, the older ones in an archive, for people to read.

The functions are pure: the same ledger prefix gives the same bytes on every machine.
An event changes only a few files: `changed` names those to render again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from gitcoord.core.errors import Refused
from gitcoord.features.pages.headings import ANY_TYPE, HEADINGS, Entry, Interaction, check_headings, heading
from gitcoord.features.pages.markdown import block, inline

__all__ = [
    "HEADINGS",
    "Entry",
    "Interaction",
    "Layout",
    "changed",
    "check_headings",
    "communication",
    "archive",
    "files",
    "heading",
    "parse_position",
    "paths",
    "render_archive_index",
    "render_volume",
    "split",
    "volume_path",
    "volumes_of",
]

COMMUNICATION = "communication.md"
ARCHIVE = "archive.md"
BEGIN = "<!-- BEGIN COMMUNICATION -->"
END = "<!-- END COMMUNICATION -->"

CONTENT_CHARACTERS_MAX = 4000  # shown of one event: some screens of text; the log keeps all
ENTRIES_SHOWN_MAX = 1000  # newest entries per interaction: a forge does not render files of megabytes
PAGE_BYTES_MAX = 400_000  # of text per page: a forge shows no page of megabytes
VOLUMES_SHOWN_MAX = 5000  # in the index, the newest; the folder has all
RECENT_MAX = 100  # interactions on one page
VOLUME_INTERACTIONS = 100  # in one file of the archive: a late reply changes one file only

_BYTES, _ENTRY_BYTES = 2, 300  # per character and per heading on a page: with margins, in most scripts

_POSITION = re.compile(r"^Ledger position (\d{1,16})\b", re.MULTILINE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Layout:
    """A fleet's settings for its snapshot: how many `recent` interactions the page has, and templates of `headings`.

    Raise Refused, with the problems, if a value is not valid. Types that `headings` omits keep the built-in template.
    """

    recent: int = 3
    headings: Mapping[str, str] = field(default_factory=lambda: HEADINGS)

    def __post_init__(self) -> None:
        problems = check_headings(self.headings)
        if not 1 <= self.recent <= RECENT_MAX:
            problems.append(f"{self.recent} recent interactions: use 1 to {RECENT_MAX}")
        if problems:
            raise Refused("; ".join(problems))

    def template(self, event_type: str) -> str:
        words = {**HEADINGS, **self.headings}
        return words.get(event_type, words[ANY_TYPE])


def communication(interactions: Sequence[Interaction], layout: Layout, *, position: int) -> str:
    """Return the page of the last `layout.recent` of the `interactions`, which are in the order of their first events.

    They are not ordered by number, because authors can choose one: the largest would stay on the page forever.
    """
    recent = interactions[-layout.recent :]
    links = f"older interactions: [{ARCHIVE}]({ARCHIVE}) · about this place: [README.md](README.md)"
    lines = ["# Communication Snapshot", "", f"Ledger position {position} · {links}", "", BEGIN, ""]

    def rendered(entry: Entry, interaction: Interaction) -> list[str]:
        words = heading(entry, interaction, layout.template(entry.type))
        return [f"#### {words}", "", *_content(entry, indent="")]

    for interaction, shown in _fitted(recent, rendered):
        lines += [f"### Interaction #{interaction.number}", "", *shown]
    if not recent:
        lines += ["No interaction yet.", ""]
    return "\n".join([*lines, END, ""])


def archive(interactions: Sequence[Interaction], layout: Layout) -> str:
    """Return `archive.md`: the interactions older than those on the page; if there are volumes, the index of them."""
    archived, _ = split([one.number for one in interactions], layout)
    if is_split(archived):
        return render_archive_index(archived)
    wanted = set(archived)
    return _archived_page(
        "# Communication Archive",
        f"The newest interactions are in [{COMMUNICATION}]({COMMUNICATION}).",
        (one for one in interactions if one.number in wanted),
    )


def render_archive_index(archived: Iterable[int]) -> str:
    """Render `archive.md` as links to the volumes, newest first. `archived`: in the order of their first events."""
    lines = [
        "# Communication Archive",
        "",
        f"The newest interactions are in [{COMMUNICATION}]({COMMUNICATION}). Older ones, the newest first:",
        "",
    ]
    volumes = volumes_of(archived)
    for volume, numbers in islice(reversed(volumes.items()), VOLUMES_SHOWN_MAX):
        label = f"#{numbers[0]}" if len(numbers) == 1 else f"#{numbers[0]} to #{numbers[-1]}"
        lines.append(f"- [Interactions {label}]({volume_path(volume)})")
    if len(volumes) > VOLUMES_SHOWN_MAX:
        lines.append(f"- … {len(volumes) - VOLUMES_SHOWN_MAX} older volumes are in the folder archive/")
    return "\n".join([*lines, ""])


def render_volume(volume: int, interactions: Iterable[Interaction]) -> str:
    """Render one volume of the archive. `interactions` are those archived in it, as `volumes_of` says."""
    return _archived_page(
        f"# Communication Archive, volume {volume}",
        f"All volumes: [{ARCHIVE}](../{ARCHIVE}) · the newest interactions: [{COMMUNICATION}](../{COMMUNICATION})",
        interactions,
    )


def split(numbers: Iterable[int], layout: Layout) -> tuple[list[int], list[int]]:
    """Return the numbers of (archived, recent) interactions; all are in the order of their first events."""
    ordered = list(dict.fromkeys(numbers))
    return ordered[: -layout.recent], ordered[-layout.recent :]


def is_split(archived: Collection[int]) -> bool:
    """Return whether the archive needs more than one file. Interactions are never removed, so this stays true."""
    return len(archived) > VOLUME_INTERACTIONS


def volumes_of(archived: Iterable[int]) -> dict[int, list[int]]:
    """Return the numbers of each volume, ascending; `archived` has them in the order of their first events.

    Volume 1 has the first VOLUME_INTERACTIONS, and so on. Volumes are not ranges of numbers, because authors can choose
    a number: distant ones would make a file each.
    """
    ordered = list(archived)
    return {
        start // VOLUME_INTERACTIONS + 1: sorted(ordered[start : start + VOLUME_INTERACTIONS])
        for start in range(0, len(ordered), VOLUME_INTERACTIONS)
    }


def volume_path(volume: int) -> str:
    return f"archive/{volume:04d}.md"


def paths(numbers: Iterable[int], layout: Layout) -> list[str]:
    """Return the paths of all files in a snapshot of these interactions.

    Other files under `archive/` are left-overs.
    """
    archived, _ = split(numbers, layout)
    volumes = [volume_path(volume) for volume in volumes_of(archived)] if is_split(archived) else []
    return [COMMUNICATION, ARCHIVE, *volumes]


def changed(before: Iterable[int], after: Iterable[int], *, touched: Collection[int], layout: Layout) -> set[str]:
    """Return the paths of the files to render again, for an unchanged layout: all others keep their bytes.

    `before`, `after`: the numbers of all interactions at the last snapshot and now, in the order of their first
    events; `touched`: those that have had events since.
    """
    old, new = split(before, layout)[0], split(after, layout)[0]
    if is_split(old) != is_split(new):
        return set(paths(after, layout))
    moved = set(old) ^ set(new)
    stale = moved.union(touched).intersection(new)
    if not is_split(new):
        return {COMMUNICATION, ARCHIVE} if moved or stale or not old else {COMMUNICATION}
    volumes = {volume_path(volume) for volume, numbers in volumes_of(new).items() if stale.intersection(numbers)}
    return {COMMUNICATION, *volumes} | ({ARCHIVE} if moved else set())


def files(
    interactions: Sequence[Interaction], layout: Layout, *, position: int, only: Collection[str] | None = None
) -> dict[str, str]:
    """Render the snapshot's files by path: all of them, or those of `only` that exist (see `changed`).

    `interactions` are in the order of their first events.
    """
    archived, _ = split((one.number for one in interactions), layout)
    rendered: dict[str, str] = {}
    if only is None or COMMUNICATION in only:
        rendered[COMMUNICATION] = communication(interactions, layout, position=position)
    if only is None or ARCHIVE in only:
        rendered[ARCHIVE] = archive(interactions, layout)
    by_number = {one.number: one for one in interactions}
    for volume, numbers in volumes_of(archived).items() if is_split(archived) else ():
        path = volume_path(volume)
        if only is None or path in only:
            rendered[path] = render_volume(volume, [by_number[number] for number in numbers])
    return rendered


def parse_position(text: str) -> int | None:
    """Return the ledger position that a `communication.md` names; None if it names none."""
    found = _POSITION.search(text.partition(BEGIN)[0])
    return int(found[1]) if found else None


def _fitted(
    interactions: Sequence[Interaction], render: Callable[[Entry, Interaction], list[str]]
) -> Iterator[tuple[Interaction, list[str]]]:
    """Yield each interaction with the lines of its newest entries, as many as its share of the page allows."""
    for interaction, most in zip(interactions, _shares(interactions)):
        shown: list[list[str]] = []
        for entry in reversed(interaction.entries[-ENTRIES_SHOWN_MAX:]):
            lines = render(entry, interaction)
            most -= sum(len(line.encode()) + 1 for line in lines)
            if most < 0 and shown:
                break
            shown.append(lines)
        hidden = len(interaction.entries) - len(shown) + interaction.hidden
        note = [f"… {hidden} earlier events are in the log only.", ""] if hidden else []
        yield interaction, [*note, *chain.from_iterable(reversed(shown))]


def _shares(interactions: Sequence[Interaction]) -> list[float]:
    """Return the share of the page, in bytes, of each interaction: its estimated need, or at least an equal share.

    A long conversation therefore leaves room for the others.
    """
    needs = [
        sum(min(len(one.content), CONTENT_CHARACTERS_MAX) * _BYTES + _ENTRY_BYTES for one in log.entries)
        for log in interactions
    ]
    left, shares = float(PAGE_BYTES_MAX), [0.0] * len(needs)
    for done, index in enumerate(sorted(range(len(needs)), key=needs.__getitem__)):
        shares[index] = min(needs[index], left / (len(needs) - done))
        left -= shares[index]
    return [share + left / len(shares) for share in shares]


def _content(entry: Entry, *, indent: str) -> Iterator[str]:
    shown = entry.content[:CONTENT_CHARACTERS_MAX]
    if not shown:
        return
    yield from block(shown, indent=indent)
    yield ""
    more = len(entry.content) - len(shown)
    if more:
        name = inline(entry.uid) if entry.uid else f"at position {entry.position}"
        yield f"{indent}… ({more} more characters; event {name})"
        yield ""


def _archived_page(title: str, links: str, interactions: Iterable[Interaction]) -> str:
    lines = [title, "", links, ""]
    for interaction, shown in _fitted(_by_number(interactions), _archived):
        lines += [f"## Interaction #{interaction.number}", "", *shown]
    return "\n".join(lines)


def _archived(entry: Entry, interaction: Interaction) -> list[str]:
    who, what, when = inline(entry.actor), inline(entry.type), inline(entry.timestamp)
    who += f" via {inline(entry.via)}" if entry.via else ""
    opens = "\\[" if "]" in f"{who}{what}{when}" else "["  # otherwise `]:` would define a link
    return [f"- {opens}{who} {what} {when}]", "", *_content(entry, indent="  ")]


def _by_number(interactions: Iterable[Interaction]) -> list[Interaction]:
    return sorted(interactions, key=lambda one: one.number)
