"""What workflows with secrets install is a list of files with their hashes, and it is what setup.cfg asks for."""

from __future__ import annotations

import configparser
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gitcoord.github import workflows
from tests.actions.conftest import TOP

LOCKS = (TOP / "gitcoord" / "github" / "requirements.txt", TOP / ".github" / "release" / "requirements.txt")
WITH_SECRETS = [
    TOP / "action.yml",
    *sorted((TOP / "gitcoord" / "github" / "templates").glob("*.yml")),
    TOP / ".github" / "workflows" / "release.yml",
    TOP / ".github" / "workflows" / "advisories.yml",
]
HASH = r"--hash=sha256:[0-9a-f]{64}"


def entries(lock: Path) -> dict[str, tuple[Requirement, list[str]]]:
    """By name: the requirement, and the hashes of its files."""
    found = {}
    for line in lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if line and not line.startswith("#"):
            words, _, rest = line.partition(" --hash")
            one = Requirement(words.strip())
            found[canonicalize_name(one.name)] = (one, re.findall(HASH, f"--hash{rest}"))
    return found


def asked_for() -> list[Requirement]:
    config = configparser.ConfigParser()
    config.read(TOP / "setup.cfg")
    build = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    return [Requirement(one) for one in (*config["options"]["install_requires"].split("\n"), *build) if one]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.parent.name)
def test_each_entry_is_one_version_with_hashes_and_from_no_named_host(lock: Path) -> None:
    found = entries(lock)
    assert len(found) > 20 and "://" not in lock.read_text(encoding="utf-8")
    for one, hashes in found.values():
        assert [each.operator for each in one.specifier] == ["=="] and hashes and one.url is None, one


def test_it_is_what_setup_cfg_asks_for() -> None:
    """Where this fails, run scripts/lock and commit what it writes."""
    found = entries(LOCKS[0])
    for wanted in asked_for():
        locked, _ = found[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(next(iter(locked.specifier)).version), f"{wanted} is locked as {locked}"


def test_nothing_that_is_needed_is_left_out() -> None:
    """By the metadata of what these tests run with, which are the locked versions."""
    found, waiting, seen = entries(LOCKS[0]), [one.name for one in asked_for()], set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        locked, _ = found[name]
        assert locked.specifier.contains(importlib.metadata.version(name)), name
        needed = [Requirement(text) for text in importlib.metadata.requires(name) or ()]
        waiting += [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    assert len(seen) > 20


@pytest.mark.parametrize("file", WITH_SECRETS, ids=lambda path: path.name)
def test_pip_installs_nothing_without_a_hash(file: Path) -> None:
    """But for what was checked out or built here, without what it needs and without building in isolation."""
    value = yaml.safe_load(file.read_text(encoding="utf-8"))
    jobs = value["jobs"].values() if "jobs" in value else [value["runs"]]
    scripts = [step["run"].replace("\\\n", " ") for job in jobs for step in job["steps"] if "run" in step]
    installs = [line for script in scripts for line in script.splitlines() if re.search(r"\bpip\b.* install\b", line)]
    assert installs
    for line in installs:
        ours = "--no-deps" in line and ("--no-build-isolation" in line or line.rstrip().endswith(".whl"))
        assert "--require-hashes" in line or ours, line


def test_the_workflows_of_users_know_the_hash_of_what_builds_it(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    for name in workflows.write(tmp_path, "git+https://git.example.org/o/r@v1"):
        env = next(iter(yaml.safe_load((tmp_path / name).read_text(encoding="utf-8"))["jobs"].values()))["env"]
        assert re.fullmatch(rf"setuptools==[\w.]+( {HASH})+", env["GITCOORD_BUILT_WITH"])
        assert "@" not in env["GITCOORD_BUILT_WITH"]


def test_dependabot_looks_at_every_lock_and_every_workflow() -> None:
    updates = yaml.safe_load((TOP / ".github" / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    folders = {one["package-ecosystem"]: set(one["directories"]) for one in updates}
    assert folders["pip"] == {f"/{lock.parent.relative_to(TOP)}" for lock in LOCKS}
    assert folders["github-actions"] == {"/", "/gitcoord/github/templates"}


def test_a_release_is_built_listed_attested_and_published_with_no_more_rights_than_that_takes() -> None:
    release = yaml.safe_load((TOP / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))
    jobs = release["jobs"]
    assert release["permissions"] == {} and [one.get("needs") for one in jobs.values()] == [
        None,
        "build",
        "attest",
        "publish",
    ]
    assert {name: set(job["permissions"].items()) for name, job in jobs.items()} == {
        "build": {("contents", "read")},
        "attest": {("id-token", "write"), ("attestations", "write")},
        "publish": {("id-token", "write")},
        "announce": {("contents", "write")},
    }
    text = (TOP / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    assert "secrets." not in text and "scripts/sbom" in text and "attest-build-provenance@" in text
    privileged = [step for name in ("attest", "publish") for step in jobs[name]["steps"]]
    assert all("run" not in step and "actions/checkout" not in step["uses"] for step in privileged)


def test_a_release_takes_its_version_from_the_tag_and_its_links_from_the_repository(tmp_path: Path) -> None:
    release = yaml.safe_load((TOP / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))
    (step,) = [
        step for step in release["jobs"]["build"]["steps"] if "TAG" in step.get("env", {}) and "sed" in step["run"]
    ]
    for name in ("setup.cfg", "gitcoord/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(TOP / name, tmp_path / name)
    environment = os.environ | {"TAG": "v7.8.9rc1", "REPOSITORY": "somebody/tool"}
    subprocess.run(["bash", "-euc", step["run"]], cwd=tmp_path, env=environment, check=True)
    assert '\n__version__ = "7.8.9rc1"\n' in (tmp_path / "gitcoord" / "__init__.py").read_text(encoding="utf-8")
    links = (tmp_path / "setup.cfg").read_text(encoding="utf-8")
    assert "https://github.com/somebody/tool/issues" in links and "github.com/OWNER" not in links


# The collection of secrets' patterns


def patterns() -> object:
    loader = SourceFileLoader("secret_patterns_script", str(TOP / "scripts" / "secret-patterns"))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "go, python",
    [
        (r"dp\.pt\.(?i)[a-z]{4}", r"dp\.pt\.(?i:[a-z]{4})"),
        (r"(?i)x(?i)y|z", r"(?i:x(?i:y|z))"),
        (r"(a(?i)b)c", r"(a(?i:b))c"),
        (r"[[:alnum:]_]\z", r"[A-Za-z0-9_]\Z"),
        (r"[^]x[]", r"[^\]x\[]"),
        (r"""k([a-z]{9})(?:\\?['"\x60]|[\s;]|\\[nr]|$)""", "k([a-z]{9})(?![A-Za-z0-9])"),
    ],
)
def test_gos_patterns_are_spelled_as_pythons(go: str, python: str) -> None:
    assert patterns().converted(go) == python  # type: ignore[attr-defined]
    re.compile(python)


def test_rules_that_say_nothing_alone_are_left_out() -> None:
    names = ("aws-token", "auth0-client-id", "generic-api-key")
    rules = [{"id": one, "regex": "x", "keywords": ["X"]} for one in names]
    rules += [
        {"id": "part", "regex": "x", "keywords": ["x"], "skipReport": True},
        {"id": "file", "path": "x"},
        {"id": "random", "regex": "y", "keywords": ["y"], "filter": 'entropy(finding["secret"]) <= 3.5'},
    ]
    assert patterns().chosen(rules) == [  # type: ignore[attr-defined]
        ("aws-token", ("x",), "x", 0.0, 0),
        ("random", ("y",), "y", 3.5, 0),
    ]


@pytest.mark.timeout(600)  # it reads the metadata of a hundred packages: a minute on a busy machine
def test_the_sbom_names_what_is_locked(tmp_path: Path) -> None:
    """Of the tests' own environment, which holds all of that."""
    file = tmp_path / "sbom.json"
    done = subprocess.run(
        [TOP / "scripts" / "sbom", sys.executable, file],
        capture_output=True,
        text=True,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert '"CycloneDX"' in file.read_text(encoding="utf-8") and re.match(r"\d\d+ packages", done.stdout)
