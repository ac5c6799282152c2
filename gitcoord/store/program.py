"""The programs that gitcoord starts, itself and git: found at absolute paths, never in the working folder.

The working folder is mostly a checkout, and anybody with push access decides which files are in it. `python -m X` and
`python -c` import modules from there before the standard library, and an empty or relative entry of PATH or PYTHONPATH
means that folder as well.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

MAIN = Path(__file__).absolute().parents[1] / "__main__.py"

# -I: no working folder, no folder of the script, and no variable PYTHON… or user's site-packages, which an entry like
# the empty one in `PYTHONPATH=/opt/lib:` may turn into the working folder. An installation that is found by those
# still works, because `__main__.py` knows its own place.
ISOLATED = "-I"

# For git in somebody's checkout. A folder of the tree may look like a bare repository, whose configuration git would
# follow, and core.fsmonitor is a command.
IN_CHECKOUT = ("-c", "safe.bareRepository=explicit", "-c", "core.fsmonitor=false")
WITHOUT_HOOKS = ("-c", f"core.hooksPath={os.devnull}")  # with core.hooksPath=.husky they are files of the branch


def gitcoord_argv(*arguments: str) -> list[str]:
    """Return the command line by which gitcoord starts itself: this very copy, whatever is in the working folder."""
    return [*_python(), str(MAIN), *arguments]


def script_argv(script: Path, *arguments: str) -> list[str]:
    """Return the command line that runs a Python file of this package which needs the standard library only."""
    return [*_python(), str(script.absolute()), *arguments]


def _python() -> list[str]:
    # PYTHONUTF8 is not read there.
    return [sys.executable, ISOLATED, *(["-X", "utf8"] if sys.flags.utf8_mode else [])]


@contextlib.contextmanager
def safe_children() -> Iterator[None]:
    """Keep the working folder off the module path of processes that `multiprocessing` starts with `python -c`."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def git(environ: Mapping[str, str] | None = None) -> str:
    """Return the absolute path of git. GIT_PYTHON_GIT_EXECUTABLE, GitPython's variable, may name another one.

    Raise FileNotFoundError if there is none.
    """
    import shutil

    environ = os.environ if environ is None else environ
    found = shutil.which(environ.get("GIT_PYTHON_GIT_EXECUTABLE") or "git", path=search_path(environ))
    if found is None or not os.path.isabs(found):
        raise FileNotFoundError("git is not installed, or not in an absolute folder of PATH")
    return found


def which(name: str, environ: Mapping[str, str]) -> str | None:
    """Return the absolute path of a program in the absolute folders of PATH; None if none has it."""
    import shutil

    return shutil.which(name, path=search_path(environ))


def search_path(environ: Mapping[str, str]) -> str:
    """Return PATH without the entries that mean the working folder or a folder below it."""
    kept = absolute(environ.get("PATH", os.defpath).split(os.pathsep))
    return os.pathsep.join(kept) or os.defpath  # an empty PATH would mean the working folder


def absolute(entries: Sequence[str]) -> list[str]:
    """Return the entries of a list of folders that do not depend on the working folder."""
    return [one for one in entries if os.path.isabs(one)]
