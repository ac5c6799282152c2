"""`gitcoord config`: settings of the fleet, which are events in its log, and of this node, which are in a file."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from gitcoord.cli.common import (
    Noun,
    allow_secret_option,
    as_option,
    echo,
    json_option,
    node_here,
    print_json,
    show_again,
    speaker,
    watch_option,
)
from gitcoord.cli.dry_run import dry_run_option, would, would_write
from gitcoord.cli.tables import print_table
from gitcoord.core.errors import Refused

if TYPE_CHECKING:
    from gitcoord.core.format.event import Draft
    from gitcoord.node.node import Node
    from gitcoord.store.home.records import Config

TIMEOUT_S = 60.0

node_option = click.option("--node", "of_node", is_flag=True, help="Change this node's own setting, not the fleet's")


@click.group("config", cls=Noun)
def command() -> None:
    """Show and change the settings of fleet and node.

    A command's own option comes first, then GITCOORD_… in the environment, then this node's file, then the fleet.

    \b
    Example:
      gitcoord config list
    """


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting in effect here, and its source."""

    name: str
    value: Any
    source: str  # flag, environment, node, fleet, card, default
    scopes: tuple[str, ...]  # where it can be set: fleet, node
    help: str

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": self.value,
            "source": self.source,
            "scopes": list(self.scopes),
            "help": self.help,
        }


@command.command("list")
@watch_option
@json_option
def list_(watch: bool, as_json: bool) -> None:
    """List all settings in effect here, and the source of each.

    \b
    Example:
      gitcoord config list
      gitcoord config list --json
    """
    node = node_here()
    show_again(lambda: settings(node), lambda found: _show(found, as_json), watch=watch)


def _show(found: dict[str, Setting], as_json: bool) -> None:
    if as_json:
        print_json({"schema": "gitcoord.config/1", "settings": [one.as_json() for one in found.values()]})
        return
    print_table(
        ("name", "value", "source", "help"),
        [
            {"name": one.name, "value": _text(one.value), "source": one.source, "help": one.help}
            for one in found.values()
        ],
        wrapped="help",
    )


@command.command("get")
@click.argument("name")
@json_option
def get(name: str, as_json: bool) -> None:
    """Print the value of NAME that is in effect here.

    \b
    Example:
      gitcoord config get recent
    """
    found = settings(node_here())
    if name not in found:
        raise Refused(f"no setting {name!r}; there are: {', '.join(found)}")
    if as_json:
        print_json({"schema": "gitcoord.config/1", "settings": [found[name].as_json()]})
    else:
        echo(_text(found[name].value))


@command.command("set")
@click.argument("name")
@click.argument("value")
@node_option
@as_option
@allow_secret_option
@dry_run_option
@json_option
def set_(name: str, value: str, of_node: bool, actor: str | None, dry_run: bool, as_json: bool) -> None:
    """Set NAME to VALUE for the fleet, or for this clone (--node).

    A list is given as alice,bob; headings as JSON. The fleet's settings are events: they hold for all agents from their
    position in the log on.

    \b
    Example:
      gitcoord config set recent 5
      gitcoord config set headings '{"proposal": "{actor} proposes"}'
      gitcoord config set profile lan --node
    """
    _change(node_here(), name, value, of_node=of_node, actor=actor, dry_run=dry_run, as_json=as_json)


@command.command("unset")
@click.argument("name")
@node_option
@as_option
@dry_run_option
@json_option
def unset(name: str, of_node: bool, actor: str | None, dry_run: bool, as_json: bool) -> None:
    """Reset NAME to its default.

    \b
    Example:
      gitcoord config unset recent
    """
    _change(node_here(), name, None, of_node=of_node, actor=actor, dry_run=dry_run, as_json=as_json)


def settings(node: Node) -> dict[str, Setting]:
    """Return all settings of node and fleet by name, with the values in effect here and their sources."""
    from gitcoord.features.settings import Settings
    from gitcoord.node import config as preferences
    from gitcoord.store.git.url import without_secret
    from gitcoord.store.home.records import Config

    fleet: Settings = node.fleet.states["settings"].settings
    own, found = node.home.config(), {}
    effective = preferences.effective(node.home, os.environ)
    defaults = Config(fleet_id="", remote="")
    for name, (_, words) in preferences.NODE.items():
        value, source = getattr(effective, name), "node"
        if os.environ.get(preferences.variable(name), "").strip():
            source = "environment"
        elif name == "agent" and node.home.worktree_agent is not None:
            source = "work tree"
        elif getattr(own, name) == getattr(defaults, name):
            source = "default"
        scopes: tuple[str, ...] = ("node", "fleet") if name in Settings.model_fields else ("node",)
        if name == "profile" and source == "default":
            value, source = preferences.profile_of(own, node.fleet), "fleet" if fleet.profile else "card"
        if name == "hook" and source == "default":
            value, source = fleet.hook, "fleet" if "hook" in fleet.model_fields_set else "default"
        found[name] = Setting(
            name, without_secret(value) if name in ("remote", "mirror") else value, source, scopes, words
        )
    for name, field in Settings.model_fields.items():
        if name not in found:
            value, source = getattr(fleet, name), "fleet" if name in fleet.model_fields_set else "default"
            found[name] = Setting(name, value, source, ("fleet",), field.description or "")
    return found


def _change(
    node: Node, name: str, text: str | None, *, of_node: bool, actor: str | None, dry_run: bool, as_json: bool
) -> None:
    """Set `name` in its scope (`text` None: to its default), and print the result. Raise Refused."""
    from gitcoord.features.settings import Settings
    from gitcoord.node import config as preferences

    if name not in Settings.model_fields and name not in preferences.NODE:
        raise Refused(f"no setting {name!r}; there are: {', '.join({**preferences.NODE, **Settings.model_fields})}")
    if of_node or name not in Settings.model_fields:
        scope, level = "node", None
        config, value = _node_changed(node, name, text)
        if dry_run:
            to = "back to its default" if text is None else f"to {_text(value)}"
            would("config.set", as_json, changes=[f"set {name} of this node {to}"])
            return
        node.home.save_config(config)
    else:
        scope = "fleet"
        draft, value = _fleet_changed(node, name, text, speaker(node, actor))
        if dry_run:
            would_write(node, "config.set", [draft], as_json)
            return
        level = _write(node, draft)
    if as_json:
        print_json({"schema": "gitcoord.config.set/1", "name": name, "value": value, "scope": scope, "level": level})
        return
    echo(
        f"{name} of this {scope}: {'back to its default' if text is None else _text(value)}"
        + (f" ({level.upper()})" if level else "")
    )


def _node_changed(node: Node, name: str, text: str | None) -> tuple[Config, Any]:
    """Return the node's changed configuration, which is not saved yet, and the setting's value in it."""
    from gitcoord.node import config as preferences
    from gitcoord.node.membership.shared_remote import absolute_remote, checked_mirror
    from gitcoord.store.git.url import without_secret
    from gitcoord.store.home.records import Config

    if name not in preferences.NODE:
        raise Refused(f"{name} is a setting of the fleet: leave --node out")
    config = node.home.config()
    if text is None and name == "remote":
        raise Refused("a node needs a remote: change it with `gitcoord config set remote URL`")
    value = getattr(Config(fleet_id="", remote=""), name) if text is None else preferences.read(name, text)
    if name in ("remote", "mirror"):
        if without_secret(value) != value:
            raise Refused(
                "the remote's URL holds a login, which is not kept in a file: leave it out and set "
                "GITCOORD_TOKEN, or store it in git's credential helper"
            )
        common = node.home.path.parent
        if name == "remote":
            value = absolute_remote(common, value)
        elif value:
            value = checked_mirror(common, value, config.remote)
    setattr(config, name, value)
    return config, value


def _fleet_changed(node: Node, name: str, text: str | None, actor: str) -> tuple[Draft, Any]:
    """Return the event that changes the setting, and the setting's value after it."""
    from gitcoord.features.settings import changed
    from gitcoord.node.operations import submit

    value = None if text is None else _value(name, text)
    changed(node.fleet.states["settings"].settings, name, value)  # raise Refused BEFORE the event is in the log
    submit.check_right(node, actor, "config_changed", re=None, data={"set": {name: value}})
    words = f"{name} = {_text(value)}" if text is not None else f"{name} back to its default"
    return node.draft("config_changed", words, actor=actor, data={"set": {name: value}}), value


def _write(node: Node, draft: Draft) -> str:
    """Write the event, and return the level that it reached."""
    from gitcoord.core.errors import NotConfirmed

    [event] = node.append(draft)
    try:
        return node.confirm(event, "sequenced", timeout_s=TIMEOUT_S, rounds=1)[0]
    except NotConfirmed as wrong:
        echo(f"gitcoord: {wrong}", err=True)
        return node.level(event)[0]


def _value(name: str, text: str) -> Any:
    """Return the value that `text` means for the setting: JSON, a plain word, or a list of words with commas."""
    from gitcoord.features.settings import Settings

    if isinstance(Settings.model_fields[name].default, list) and not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
