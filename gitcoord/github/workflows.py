"""Workflows: the files in `.github/workflows/` that run the leader and reviews of pull requests on GitHub."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from gitcoord.core.errors import Refused
from gitcoord.store import work_files

NAMES = ("gitcoord-leader.yml", "gitcoord-review.yml")
FOLDER = Path(".github", "workflows")
SOURCE_CHARS_MAX = 300

# Requirements for pip that need no escapes in YAML quotes. `$` is excluded, because an expression would be evaluated.
_SOURCE = re.compile(r"[A-Za-z0-9./~][A-Za-z0-9 ./:@+=<>!~,;_#&?%\[\]()-]*")


def write(path: Path, source: str, *, force: bool = False) -> list[str]:
    """Write the workflows into the work tree around `path`, and return the changed ones, relative to its top.

    `source` is a requirement by which pip installs gitcoord (`install_source.of_this_version`). Raise Refused, and
    write nothing, if a file with other content would be lost, unless `force`.
    """
    top = _top(path.resolve())
    files = {top / FOLDER / name: text.encode() for name, text in _texts(source).items()}
    try:
        before = {file: work_files.read(file, top) for file in files}
        changed = {file: data for file, data in files.items() if before[file] != data}
        lost = [str(file.relative_to(top)) for file in changed if before[file] is not None]
        if lost and not force:
            raise Refused(
                f"{' and '.join(lost)} would be replaced, and have other content: save what you need of it, "
                "then use --force"
            )
        for file, data in changed.items():
            work_files.write(file, top, data)
    except OSError as wrong:
        raise Refused(f"{wrong.filename}: {wrong.strerror}") from None
    return [str(file.relative_to(top)) for file in changed]


def _texts(source: str) -> dict[str, str]:
    if not _SOURCE.fullmatch(source) or len(source) > SOURCE_CHARS_MAX:
        raise Refused(
            f"{source!r} is not a requirement that pip can install: give --source a requirement such as "
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
    """Return the lock's line for the build backend, which pip would otherwise fetch without checking its hash."""
    lock = (resources.files("gitcoord.github") / "requirements.txt").read_text(encoding="utf-8")
    lines = lock.replace("\\\n", "").splitlines()
    return " ".join(next(one for one in lines if one.startswith("setuptools==")).split())


def _top(path: Path) -> Path:
    """Return the top of the work tree, because GitHub looks for workflows only there; `path` if it is in none."""
    return next((one for one in (path, *path.parents) if (one / ".git").exists()), path)
