"""A Python function that does tasks, called in a process of its own.

The process is started as `python -I handler.py PLACE FUNCTION`, without the rest of gitcoord: the user's module can
import the standard library, installed packages, and files beside its own. The function gets the task as a dict; its
answer, text or what JSON can write, is the result. An exception fails the task.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import site
import sys
import traceback
from collections.abc import Callable
from typing import Any

HOW = "write FILE.py:function, or package.module:function for a module that is installed"
WRONG = 2  # exit code of `--check`


class NoSuchFunction(Exception):
    """The named function does not exist."""


def load(place: str, name: str) -> Callable[[Any], Any]:
    """Return the function `name` of a module: `place` is an absolute path of its file, or the module's name."""
    try:
        module = _from_file(place) if os.path.isabs(place) else importlib.import_module(place)
        found: Callable[[Any], Any] = getattr(module, name)
    except (ImportError, AttributeError, ValueError, OSError, SyntaxError) as wrong:
        raise NoSuchFunction(f"{wrong}; {HOW}. Modules in the working folder are not found by name") from None
    if not callable(found):
        raise NoSuchFunction(f"{name} is not a function; {HOW}")
    return found


def _from_file(path: str) -> Any:
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    sys.path.append(os.path.dirname(path))  # last: a file beside it replaces nothing that is installed
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)
    spec.loader.exec_module(module)
    return module


def _extend_module_path() -> None:
    """Append to `sys.path` what `python -I` leaves out and the user has chosen: PYTHONPATH and user site-packages."""
    sys.path += [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(one)]
    own = site.getusersitepackages()
    if os.path.isabs(own) and os.path.isdir(own) and not os.environ.get("PYTHONNOUSERSITE"):
        site.addsitedir(own)


def main(place: str, name: str, *options: str) -> None:
    _extend_module_path()
    try:
        function = load(place, name)
    except NoSuchFunction as wrong:
        print(wrong, file=sys.stderr)
        sys.exit(WRONG)
    if options == ("--check",):
        return
    task = json.load(sys.stdin)
    try:
        answer = function(task)
    except Exception as wrong:  # its traceback is the reason of the failure, and begins in the user's own code
        traceback.print_exception(wrong.with_traceback(wrong.__traceback__ and wrong.__traceback__.tb_next))
        sys.exit(1)
    if answer is not None:
        print(answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
