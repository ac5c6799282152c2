"""Runs `gitcoord` commands as processes of their own that need no start: forked from one that has loaded everything.

Reads one request a line, answers one a line (JSON). A child is answered when all is open that it needs, since a tracer
that attaches sooner would count those calls as the command's; it waits on a pipe until its tracer, if any, is there:
`{"cwd", "arguments", "out", "err", "fault"}` → `{"pid"}`, then a line "go" → `{"code"}`.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import pkgutil
import sys
from typing import Any

import gitcoord

PR_SET_PTRACER, ANYBODY = 0x59616D61, -1


def load_everything() -> None:
    for module in pkgutil.walk_packages(gitcoord.__path__, "gitcoord."):
        if not module.name.startswith(("gitcoord.simulation", "gitcoord.__main__")):
            importlib.import_module(module.name)
    for name in ("git.repo", "gitdb", "psutil", "rich.console"):
        importlib.import_module(name)


def child(request: dict[str, Any], prepared: int, go: int) -> None:
    os.chdir(request["cwd"])
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(ANYBODY), 0, 0, 0)
    os.write(prepared, b"!")
    os.read(go, 1)
    if request.get("layer"):
        from tests.faults.layer import install

        install(**request["layer"])
    from gitcoord.cli.main import main

    main(request["arguments"])


def serve() -> None:
    load_everything()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        (prepared, told), (waiting, go) = os.pipe(), os.pipe()
        pid = os.fork()
        if not pid:
            code = 70
            try:
                child(json.loads(line), told, waiting)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0
            finally:
                sys.stdout.flush()
                os._exit(code)
        os.close(told)  # so that the end of a child that cannot prepare is seen
        assert os.read(prepared, 1), f"{line} could not be prepared"
        print(json.dumps({"pid": pid}), flush=True)
        assert sys.stdin.readline() == "go\n"
        os.write(go, b"!")
        for end in (prepared, waiting, go):
            os.close(end)
        print(json.dumps({"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}), flush=True)


if __name__ == "__main__":
    serve()
