"""This node's own secrets: keys in its home, and the keys, tokens and passwords in the environment."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from gitcoord.core.secret_scan.credentials import OwnSecrets
from gitcoord.core.secret_scan.rules import is_secret_value
from gitcoord.store.home import node_key

FILE_BYTES_MAX = 16 * 1024  # of a key in a file: one of RSA with 8192 bits has 6,400
FILES_MAX = 1000  # key files of one node
KEY_BYTES = (32, 64)  # lengths at which decoded hexadecimal or base64 counts as a key
OURS = ("GITCOORD_KEY", "GITCOORD_HMAC_KEY", "GITCOORD_TOKEN", "GITCOORD_ASKPASS_TOKEN", "GITHUB_TOKEN", "GH_TOKEN")
IN_FILES = ("GITCOORD_TOKEN_FILE", "GITCOORD_APP_KEY")  # these may name a file
NAMED = re.compile(r"(?i)(?:token|secret|passw(?:or)?d|passphrase|api_?key|access_?key|private_?key|credentials?)\Z")


def own_secrets(keys: Path, environ: Mapping[str, str]) -> OwnSecrets:
    """Return the secrets in `keys` (a folder of a node's home), in `environ`, and the key of the node itself.

    Unreadable files are left out.
    """
    found: dict[str, bytes] = {}
    for name, text in _texts(keys, environ):
        for number, secret in enumerate(_readings(text)):
            found.setdefault(name if not number else f"{name} as bytes", secret)
    return OwnSecrets(found)


def _texts(keys: Path, environ: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Yield a description of each secret, and its text.

    A value that looks like a path or a word is no secret, unless the variable is ours.
    """
    for path in [*sorted(keys.glob("*"))[:FILES_MAX], *sorted(keys.parent.glob(f"*{node_key.ENDS}"))[:FILES_MAX]]:
        yield f"the key in {path.relative_to(keys.parent).as_posix()}", _content(path)
    for name in IN_FILES:
        if environ.get(name):
            yield f"the file in {name}", _content(Path(environ[name]))
    for name, value in environ.items():
        if name in OURS or NAMED.search(name) and is_secret_value(value):
            yield f"the value of {name}", value.strip().encode("utf-8", "surrogateescape")


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX).strip() if path.is_file() else b""
    except (OSError, ValueError):
        return b""


def _readings(text: bytes) -> Iterator[bytes]:
    """Yield the text itself, and the key that it spells in hexadecimal or base64, if it does."""
    yield text
    for read in (bytes.fromhex, _decoded):
        try:
            key = read(text.decode("ascii"))
        except (ValueError, binascii.Error):
            continue
        if len(key) in KEY_BYTES:
            yield key
            return


def _decoded(text: str) -> bytes:
    return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
