"""A poisoned folder: what Python, git or a shell might take from a checkout lies in it, and tells that it was run."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Mapping
from pathlib import Path

PROGRAMS = ("git", "sh", "bash", "python", "python3", "gitcoord", "ssh", "dirname", "od", "tee", "env", "pip")
TEXTS = {
    ".env": "GITCOORD_REMOTE=/nowhere\nGITCOORD_AGENT=mallory\nGITCOORD_TOKEN=stolen\n",
    "pyvenv.cfg": "home = .\ninclude-system-site-packages = false\n",
    "pip.conf": "[global]\nindex-url = http://127.0.0.1:9/\n",
    "setup.cfg": "[metadata]\nname = mallory\n",
    "pyproject.toml": "[build-system]\nrequires = ['mallory']\nbuild-backend = 'backend'\n",
}


def module_names() -> list[str]:
    """Return what is imported here: the standard library, what is installed, and what Python looks for at its start."""
    installed = (name for name in importlib.metadata.packages_distributions() if not name.startswith("_"))
    started = ("sitecustomize", "usercustomize", "gitcoord", "simplejson", "brotli", "_strptime", "_pydecimal")
    return sorted(
        name
        for name in {*sys.stdlib_module_names, *installed, *started}
        if name.isidentifier() and (not name.startswith("_") or name in started)
    )


class Poison:
    """The files in `folder`; `ran` tells which of them were run."""

    def __init__(self, folder: Path, mark: Path) -> None:
        self.folder, self.mark = folder, mark
        folder.mkdir(parents=True, exist_ok=True)
        module = folder / "poison.txt"
        module.write_text(f"open({str(mark)!r}, 'a').write(__file__ + '\\n')\n")
        for name in module_names():
            if name in ("gitcoord", "pip"):
                (folder / name).mkdir(exist_ok=True)
                for file in ("__init__.py", "__main__.py"):
                    os.link(module, folder / name / file)
            else:
                os.link(module, folder / f"{name}.py")  # a link: there are hundreds
        for name in PROGRAMS:
            if not (folder / name).is_dir():
                (folder / name).write_text(f"#!/bin/sh\necho {name} >> '{mark}'\nexit 1\n")
                (folder / name).chmod(0o755)
        for name, text in TEXTS.items():
            (folder / name).write_text(text)

    @property
    def ran(self) -> list[str]:
        """Return what was run, in order."""
        return self.mark.read_text().splitlines() if self.mark.exists() else []


def careless(environ: Mapping[str, str], *, python: bool = True) -> dict[str, str]:
    """Return an environment in which entries of PATH and PYTHONPATH mean the working folder."""
    more = {"PYTHONPATH": f"{os.pathsep}.", "PYTHONUSERBASE": "."} if python else {}
    return {**environ, "PATH": os.pathsep.join(["", ".", environ["PATH"]]), **more}
