"""Credentials for GitHub, from the environment: a token, a workflow's token, or an app's installation.

They are never in an argument, a URL, a log or a file. An installation's token is valid for an hour, and is renewed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gitcoord.core.errors import BadCredentials
from gitcoord.store.git.credentials import own_token

if TYPE_CHECKING:
    from github import Auth

KEY_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class App:
    """An installation of a GitHub app, and the app's key."""

    id: str
    installation: int
    key: str = field(repr=False)  # PEM


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials for the API. `label` names them in messages, without their value."""

    kind: Literal["token", "workflow", "app"]
    label: str
    token: str = field(default="", repr=False)
    app: App | None = None
    is_ours: bool = True  # they were set for gitcoord; GITHUB_TOKEN may belong to another program

    @property
    def may_check(self) -> bool:
        """Return whether check runs may be written. GitHub permits that to apps, and a workflow's token is an app's."""
        return self.kind != "token"

    def auth(self) -> Auth.Auth:
        """Return PyGithub's object for these credentials, which renews an installation's token.

        Raise BadCredentials for an invalid key.
        """
        from github import Auth
        from jwt import PyJWTError

        if self.app is None:
            return Auth.Token(self.token)
        as_app = Auth.AppAuth(self.app.id, self.app.key)
        try:
            as_app.create_jwt()  # fails here for a bad key, and not with the first request
        except (PyJWTError, ValueError) as wrong:
            raise BadCredentials(
                "GITCOORD_APP_KEY is no private key that can sign: download a new one from the app's page on GitHub"
            ) from wrong
        return Auth.AppInstallationAuth(as_app, self.app.installation)


def find(environ: Mapping[str, str]) -> Credentials | None:
    """Return the credentials in the environment: an app's, otherwise gitcoord's token, otherwise GITHUB_TOKEN.

    Return None if there are none. Raise BadCredentials if they are incomplete or cannot be read.
    """
    if environ.get("GITCOORD_APP_ID"):
        app = _app(environ)
        return Credentials("app", f"the app {app.id} (installation {app.installation})", app=app)
    own = own_token(environ)
    if own:
        where = "GITCOORD_TOKEN" if environ.get("GITCOORD_TOKEN") else "the file that GITCOORD_TOKEN_FILE names"
        return Credentials("token", f"the token in {where}", own)
    found = environ.get("GITHUB_TOKEN", "").strip()
    if found and environ.get("GITHUB_ACTIONS") == "true":
        return Credentials("workflow", "the workflow's token", found)
    return Credentials("token", "the token in GITHUB_TOKEN", found, is_ours=False) if found else None


def required(environ: Mapping[str, str]) -> Credentials:
    """Return the credentials as `find` does. Raise BadCredentials if there are none."""
    found = find(environ)
    if found is None:
        raise BadCredentials(
            "GitHub's API needs credentials: set GITCOORD_TOKEN (or GITHUB_TOKEN), or for an app "
            "GITCOORD_APP_ID, GITCOORD_APP_KEY and GITCOORD_APP_INSTALLATION"
        )
    return found


def _app(environ: Mapping[str, str]) -> App:
    installation = environ.get("GITCOORD_APP_INSTALLATION", "").strip()
    if not installation.isdigit():
        raise BadCredentials(
            "GITCOORD_APP_ID is set, but GITCOORD_APP_INSTALLATION is not a number: set it to the number at the end "
            "of the installation's address on GitHub"
        )
    key = environ.get("GITCOORD_APP_KEY", "")
    if not key:
        raise BadCredentials(
            "GITCOORD_APP_ID is set, but GITCOORD_APP_KEY is not: set it to the app's private key, or to its file"
        )
    return App(environ["GITCOORD_APP_ID"].strip(), int(installation), _pem(key))


def _pem(key: str) -> str:
    """Return the key. The variable may have the path of its file, or its lines with `\\n` between them."""
    if "PRIVATE KEY" in key:
        return key.replace("\\n", "\n")
    try:
        with Path(key).expanduser().open(encoding="ascii") as file:
            text = file.read(KEY_BYTES_MAX)
    except (OSError, ValueError) as wrong:
        reason = wrong.strerror if isinstance(wrong, OSError) else "it is not text"
        raise BadCredentials(
            f"GITCOORD_APP_KEY is neither a private key nor the path of one that can be read ({reason})"
        ) from None
    if "PRIVATE KEY" not in text:
        raise BadCredentials(
            "the file that GITCOORD_APP_KEY names holds no private key: download one from the app's page on GitHub"
        )
    return text
