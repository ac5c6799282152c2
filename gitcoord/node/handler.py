"""A Python function that does tasks, called in a process of its own: `python -m gitcoord.node.handler SPEC FOLDER`.

It is given the task as a dict; its answer, text or what JSON can write, is the result. What it raises fails the task.
"""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

from gitcoord.core.errors import Refused


def load(spec: str, folder: str) -> Callable[[Any], Any]:
    """The function that `package.module:function` names, looked for in `folder` first. Raises Refused."""
    module, _, name = spec.partition(":")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Callable[[Any], Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as wrong:
        raise Refused(f"--handler {spec}: {wrong}; it is written as package.module:function") from None
    if not callable(found):
        raise Refused(f"--handler {spec}: {name} is no function")
    return found


def main(spec: str, folder: str) -> None:
    function, task = load(spec, folder), json.load(sys.stdin)
    try:
        answer = function(task)
    except Exception as wrong:  # its trace is the reason of the failure, and begins in the user's own code
        traceback.print_exception(wrong.with_traceback(wrong.__traceback__ and wrong.__traceback__.tb_next))
        sys.exit(1)
    if answer is not None:
        print(answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
