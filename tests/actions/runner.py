"""What a runner on GitHub does with the steps of a workflow or an action: expressions, environment, shells, files.

Enough of it for the files of this project; whatever else one of them says is an error here, never passed over.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SHELLS = {None: ["bash", "-e"], "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"]}
STEP_S_MAX = 90
SETUP_PYTHON = "actions/setup-python@"
COMMAND = re.compile(r"::(\w[\w-]*)(?: ([^:]*))?::(.*)")

# What is built here is built from what the tests' own environment has: a step needs no package index.
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_COMPILE": "1"}

# A Python as setup-python gives it: whatever environment it makes has the packages of the tests' own.
PYTHON = """\
#!/bin/sh
"{real}" "$@" || exit
case "$1 $2 $3" in "-I -m venv")
    for folder; do :; done
    for packages in "$folder"/lib/python*/site-packages; do echo '{packages}' > "$packages/offline.pth"; done
esac
"""


def make_python(folder: Path) -> str:
    """Make an interpreter to install into; pip and what gitcoord depends on come from the tests' own environment."""
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = sysconfig.get_path("purelib")
    [own] = (folder / "lib").glob("python*/site-packages")
    (own / "offline.pth").write_text(packages + "\n")
    made, real = folder / "bin" / "python", folder / "bin" / "python-real"
    made.rename(real)
    made.write_text(PYTHON.format(real=real, packages=packages))
    made.chmod(0o755)
    return str(made)


@dataclass
class Step:
    """What came of one. `commands`: (name, properties, text) of those that the runner would carry out."""

    name: str
    code: int
    log: str
    outputs: dict[str, str]
    summary: str
    commands: list[tuple[str, dict[str, str], str]]

    def said(self, level: str) -> list[str]:
        return [text for name, _, text in self.commands if name == level]


@dataclass
class Runner:
    """A machine: `folder` holds its HOME, its RUNNER_TEMP and its workspace. `contexts`: github, inputs, vars …"""

    folder: Path
    contexts: dict[str, Any]
    python: str
    environment: Mapping[str, str] = field(default_factory=dict)
    failed: bool = False
    steps: dict[str, Step] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("home", "temp", "workspace", "bin"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    @property
    def temp(self) -> Path:
        return self.folder / "temp"

    def run(
        self, steps: list[dict[str, Any]], *, shell: str | None = None, environment: Mapping[str, Any] = {}
    ) -> list[Step]:
        """Those that were run, in order; a failed one leaves out all but those whose `if` says `!cancelled()`."""
        done = []
        for number, step in enumerate(steps):
            if "if" in step and not self.evaluate(step["if"].removeprefix("${{").removesuffix("}}")):
                continue
            if self.failed and "cancelled()" not in step.get("if", ""):
                continue
            if "uses" in step:
                self.use(step)
                continue
            one = self.shell(step, number, step.get("shell", shell), environment)
            self.steps[step.get("id", f"step {number}")] = one
            self.failed = self.failed or one.code != 0
            done.append(one)
        return done

    def use(self, step: Mapping[str, Any]) -> None:
        """Only what gives a Python: the one of this runner."""
        assert step["uses"].startswith(SETUP_PYTHON), step
        outputs = {"python-path": self.python}
        self.steps[step.get("id", "uses")] = Step("uses", 0, "", outputs, "", [])
        if step["with"].get("update-environment", True):
            link = self.folder / "bin" / "python"
            link.unlink(missing_ok=True)
            link.write_text(f'#!/bin/sh\nexec "{self.python}" "$@"\n')
            link.chmod(0o755)

    def shell(self, step: Mapping[str, Any], number: int, shell: str | None, more: Mapping[str, Any]) -> Step:
        script, output, summary = (self.temp / f"{number}.{name}" for name in ("sh", "output", "summary"))
        script.write_text(step["run"], encoding="utf-8")
        output.write_text("")
        summary.write_text("")
        path = os.pathsep.join([str(self.folder / "bin"), str(Path(self.python).parent), os.environ["PATH"]])
        environment = {
            **OFFLINE,
            "PATH": path,
            "HOME": str(self.folder / "home"),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "RUNNER_TEMP": str(self.temp),
            "RUNNER_OS": "Linux",
            "GITHUB_WORKSPACE": str(self.folder / "workspace"),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
            "GIT_CONFIG_NOSYSTEM": "1",
            "no_proxy": "127.0.0.1,localhost",
            **self.environment,
            **{name: self.fill(value) for part in (more, step.get("env", {})) for name, value in part.items()},
        }
        done = subprocess.run(
            [*SHELLS[shell], str(script)],
            cwd=self.folder / "workspace",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=STEP_S_MAX,
        )
        log = done.stdout.decode("utf-8", "replace")
        return Step(
            step.get("name", ""),
            done.returncode,
            log,
            read_outputs(output.read_text(encoding="utf-8")),
            summary.read_text(encoding="utf-8"),
            list(commands(log)),
        )

    # Expressions

    def fill(self, text: Any) -> str:
        return re.sub(r"\$\{\{(.*?)\}\}", lambda match: _text(self.evaluate(match[1])), str(text))

    def evaluate(self, words: str) -> Any:
        words = words.strip()
        for sign in ("||", "&&", "==", "!="):
            left, found, right = words.partition(f" {sign} ")
            if found:
                first = self.evaluate(left)
                if sign in ("==", "!="):
                    return (first == self.evaluate(right)) == (sign == "==")
                return first if bool(first) == (sign == "||") else self.evaluate(right)
        if words == "!cancelled()":
            return True
        if match := re.fullmatch(r"'(.*)'", words):
            return match[1]
        if match := re.fullmatch(r"format\('([^']*)', (.*)\)", words):
            return match[1].format(*(self.evaluate(one) for one in match[2].split(",")))
        return self.look_up(words.split("."))

    def look_up(self, names: list[str]) -> Any:
        if names[0] == "steps":
            _, step, kind, name = names
            assert kind == "outputs"
            return self.steps[step].outputs.get(name, "") if step in self.steps else ""
        value = self.contexts
        for name in names:
            value = value.get(name, "") if names[0] in ("vars", "secrets") else value[name]
        return value


def commands(log: str) -> Any:
    """The workflow commands in a log, as the runner reads it."""
    stopped = ""
    for line in log.splitlines():
        if stopped:
            stopped = "" if line == f"::{stopped}::" else stopped
        elif match := COMMAND.fullmatch(line):
            name, said, text = match.groups()
            if name == "stop-commands":
                stopped = text
            else:
                yield name, dict(one.split("=", 1) for one in (said or "").split(",") if one), text


def read_outputs(text: str) -> dict[str, str]:
    found, lines = {}, iter(text.splitlines())
    for line in lines:
        name, longer, mark = line.partition("<<")
        if longer and "=" not in name:
            found[name] = "\n".join(iter(lambda: next(lines), mark))
        else:
            name, sign, value = line.partition("=")
            assert sign, line
            found[name] = value
    return found


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
