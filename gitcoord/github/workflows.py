"""Workflows: the files in `.github/workflows/` that run the leader, and reviews of pull requests, on GitHub."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from gitcoord.core.errors import Refused
from gitcoord.store import work_files

NAMES = ("gitcoord-leader.yml", "gitcoord-review.yml")
FOLDER = Path(".github", "workflows")
SOURCE_CHARS_MAX = 300

# Requirements for pip that are the same between a YAML file's quotes. No `$`: an expression would be evaluated.
_SOURCE = re.compile(r"[A-Za-z0-9./~][A-Za-z0-9 ./:@+=<>!~,;_#&?%\[\]()-]*")


def write(path: Path, source: str, *, force: bool = False) -> list[str]:
    """Write the workflows into the work tree around `path`; return which of them changed, relative to its top.

    `source`: what pip installs gitcoord from, see `install_source.of_this_version`. Raise Refused, and write nothing,
    if another file would be lost (unless `force`).
    """
    top = _top(path.resolve())
    files = {top / FOLDER / name: text.encode() for name, text in _texts(source).items()}
    try:
        before = {file: work_files.read(file, top) for file in files}
        changed = {file: data for file, data in files.items() if before[file] != data}
        lost = [str(file.relative_to(top)) for file in changed if before[file] is not None]
        if lost and not force:
            raise Refused(
                f"{' and '.join(lost)} would be replaced, and hold something else: move what you need of "
                "them, then say --force"
            )
        for file, data in changed.items():
            work_files.write(file, top, data)
    except OSError as wrong:
        raise Refused(f"{wrong.filename}: {wrong.strerror}") from None
    return [str(file.relative_to(top)) for file in changed]


def _texts(source: str) -> dict[str, str]:
    if not _SOURCE.fullmatch(source) or len(source) > SOURCE_CHARS_MAX:
        raise Refused(
            f"{source!r} is nothing that pip installs from: give --source a requirement such as "
            "git+https://HOST/OWNER/REPO@COMMIT"
        )
    folder = resources.files("gitcoord.github") / "templates"
    words = {"@SOURCE@": source, "@BUILT_WITH@": built_with()}
    texts = {}
    for name in NAMES:
        texts[name] = (folder / name).read_text(encoding="utf-8")
        for place, value in words.items():
            texts[name] = texts[name].replace(place, value)
    return texts


def built_with() -> str:
    """Return the line of the lock for what pip builds gitcoord with, which it would fetch without looking at a hash."""
    lock = (resources.files("gitcoord.github") / "requirements.txt").read_text(encoding="utf-8")
    lines = lock.replace("\\\n", "").splitlines()
    return " ".join(next(one for one in lines if one.startswith("setuptools==")).split())


def _top(path: Path) -> Path:
    """Return the top of the work tree: GitHub looks for workflows there only."""
    return next((one for one in (path, *path.parents) if (one / ".git").exists()), path)
