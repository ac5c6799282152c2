"""Credentials in text: a text that looks like a secret is refused before it reaches a log that cannot forget.

This is a courtesy to the author: it runs where the text is written. The fold does not check it, so anybody who wants to
write a secret can, and a kind of secret that nobody has described is not found.

There are two lists of kinds: `patterns` (of Betterleaks, for many issuers) and `rules` (ours). Each pattern is tried
only if one of its keywords is in the text, which takes a twentieth of the time. No pattern takes more than linear time
on hostile text.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from gitcoord.core.secret_scan import rules
from gitcoord.core.secret_scan.fragments import KeyFragments
from gitcoord.core.secret_scan.rules import Rule, compiled, entropy, is_prefixed_token, is_secret_value

if TYPE_CHECKING:
    from gitcoord.core.format.event import Draft

HIDDEN = "[hidden]"
SAID = r"(?i)\b((?:[\w-]{0,80}(?:token|passw(?:or)?d|secret|api[_-]?key))[\"']?\s{0,9}[=:]\s{0,9}[\"']?)[^\s\"',;]+"
IN_URL = r"(\b[a-z][a-z0-9+.-]{0,30}://)[^\s/@]{1,300}@"
DECODED_MAX = 100  # pieces of base64 that are decoded, in one text
DECODED_DEPTH_MAX = 2
TEXT_MIN = 8  # characters: a shorter text is not scanned

_RUN = r"[A-Za-z0-9_+/=.~$:@%&?-]{16,}"  # a text without such a run holds no token
_MIXED = r"[A-Z0-9]"  # a run without such a character is a path, or joined words
_BASE64 = r"[A-Za-z0-9+/_-]{24,}={0,2}"
_INVISIBLE = "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef]"
_BETWEEN_DIGITS = r"\\u00|\\x|0x|[^0-9a-z]"
_FULL_WIDTH = {code + 0xFEE0: code for code in range(0x21, 0x7F)}
_keywords: dict[str, list[Rule]] = {}


class OnSecret(Enum):
    """What to do with an event that seems to hold a secret."""

    REFUSE = "refuse"  # text of a person or a model: its author is told, and nothing is written
    HIDE = "hide"  # output of a program, or of the network: the event is written without the secret
    ALLOW = "allow"  # somebody has checked it: --allow-secret


class Found(NamedTuple):
    """A kind of secret, and its place in the text that `visible` returns."""

    kind: str
    start: int
    end: int


class OwnSecrets:
    """This node's own keys and tokens, to be found in any spelling.

    They are found as they are, in hexadecimal (`ab cd`, `0xab, 0xcd`, `\\xab\\xcd`, `%ab%cd`), as numbers, in base64,
    base64url, base32 or base85, and with blanks in between. A large part of a key is found in hexadecimal and base64.
    """

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        """Prepare the spellings of `secrets`. Their names say what each is, such as "the key of alice"."""
        self.raw = {name: secret for name, secret in secrets.items() if len(secret) >= TEXT_MIN}
        self._fragments = KeyFragments(self.raw)
        self._plain = [(name, secret.decode()) for name, secret in self.raw.items() if secret.isascii()]
        self._plain += [(name, written) for name, secret in self.raw.items() for written in _written(secret)]
        self._squeezed = [(name, compiled(r"\s").sub("", text)) for name, text in self._plain]
        self._hex = [(name, secret.hex()) for name, secret in self.raw.items()]
        self._numbers = [(name, f",{','.join(map(str, secret))},") for name, secret in self.raw.items()]
        self._base32 = [
            (name, base64.b32encode(secret).decode()[: len(secret) * 8 // 5]) for name, secret in self.raw.items()
        ]
        # The last characters depend on what follows the secret: an Ed25519 key is often kept with its public half.
        self._base64 = [
            (name, base64.b64encode(secret).decode()[: len(secret) * 4 // 3]) for name, secret in self.raw.items()
        ]

    def find(self, text: str) -> Found | None:
        for name, spelled in self._plain:
            if spelled in text:
                return _own(name, text, spelled)
        squeezed = compiled(r"\s").sub("", text)
        low = compiled(_BETWEEN_DIGITS).sub("", squeezed.lower())
        numbers = f",{compiled(r'[^0-9]+').sub(',', text)}," if len(text) > 2 * TEXT_MIN else ""
        upper = compiled(r"[^A-Z2-7]").sub("", squeezed.upper())
        for looked_in, known in (
            (squeezed, self._squeezed),
            (low, self._hex),
            (numbers, self._numbers),
            (upper, self._base32),
        ):
            for name, spelled in known:
                if spelled in looked_in:
                    return _own(name, text.lower(), spelled)
        standard = compiled(r"[^A-Za-z0-9+/_-]").sub("", squeezed).replace("-", "+").replace("_", "/")
        for name, spelled in self._base64:
            if spelled in standard:
                return _own(name, text.replace("-", "+").replace("_", "/"), spelled)
        found = self._fragments.in_base64(standard) or self._fragments.in_hex(low)
        return _own(found[0], text, found[1]) if found else None

    def in_bytes(self, data: bytes) -> str | None:
        whole = next((name for name, secret in self.raw.items() if secret in data), None)
        return whole or self._fragments.in_bytes(data)


def _written(secret: bytes) -> Iterator[str]:
    """Yield rare spellings of a secret. They are searched for without removing blanks."""
    yield base64.b85encode(secret).decode()
    yield base64.a85encode(secret).decode()
    yield str(int.from_bytes(secret))


def _own(name: str, text: str, spelled: str) -> Found:
    """Return the place of a secret; the whole text if it is written with blanks in between."""
    start = text.find(spelled)
    return Found(name, start, start + len(spelled)) if start >= 0 else Found(name, 0, len(text))


NOBODYS = OwnSecrets({})


def visible(text: str) -> str:
    """Return `text` without invisible characters, and with wide letters as plain ones: what a reader would copy."""
    return text if text.isascii() else compiled(_INVISIBLE).sub("", text).translate(_FULL_WIDTH)


def looks_like_credential(text: str, own: OwnSecrets = NOBODYS) -> str | None:
    """Return what kind of secret `text` seems to hold ("github-token"), or None."""
    found = first_secret(text, own)
    return found.kind if found else None


def first_secret(text: str, own: OwnSecrets = NOBODYS) -> Found | None:
    """Return the first secret that `text` seems to hold."""
    return next(_secrets(visible(text), own), None) if len(text) >= TEXT_MIN else None


def secret_in(draft: Draft, own: OwnSecrets = NOBODYS) -> tuple[str, str] | None:
    """Return the kind of the first secret in any field of `draft`, and the place ("data.result, line 3")."""
    for place, value in (
        ("content", draft.content),
        ("data", draft.data),
        ("actor", draft.actor),
        ("type", draft.type),
        ("to", draft.to),
    ):
        if isinstance(value, str):
            found = first_secret(value, own)
            if found is not None:
                return found.kind, _line(place, value, found)
        elif value:
            inner = _in_value(place, value, own)
            if inner is not None:
                return inner
    return None


def _line(place: str, text: str, found: Found) -> str:
    text = visible(text)
    return f"{place}, line {text.count(chr(10), 0, found.start) + 1}" if "\n" in text else place


def _in_value(place: str, value: Any, own: OwnSecrets) -> tuple[str, str] | None:
    """Return the first secret in a JSON value, depth first. A text is scanned with its name, such as `password`."""
    waiting: list[tuple[str, str, Any]] = [(place, "", value)]
    while waiting:
        where, name, one = waiting.pop()
        if isinstance(one, str):
            found = first_secret(one, own)
            if found is not None:
                return found.kind, _line(where, one, found)
            if any([word in name.lower() for word in rules.ASSIGNED_KEYWORDS]):
                named = next(_assigned(f'"{name}": "{one}"'), None)
                if named is not None:
                    return named.kind, where
        elif isinstance(one, Mapping):
            for key, inner in one.items():
                if first_secret(str(key), own):
                    return str(looks_like_credential(str(key), own)), f"a name in {where}"
                waiting.append((f"{where}.{key}", str(key), inner))
        elif isinstance(one, Sequence):
            waiting += [(f"{where}[{number}]", name, inner) for number, inner in enumerate(one)]
    return None


def hidden(draft: Draft, own: OwnSecrets = NOBODYS) -> Draft:
    """Return `draft` with every secret in its content and data hidden."""
    return replace(draft, content=without_secrets(draft.content, own), data=_hidden("", draft.data, own))


def _hidden(name: str, value: Any, own: OwnSecrets) -> Any:
    if isinstance(value, str):
        shown = without_secrets(value, own)
        return HIDDEN if shown == value and _in_value("", {name: value}, own) else shown
    if isinstance(value, Mapping):
        return {without_secrets(str(key), own): _hidden(str(key), inner, own) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [_hidden(name, inner, own) for inner in value]
    return value


def without_secrets(text: str, own: OwnSecrets = NOBODYS) -> str:
    """Return `text` with every secret in it hidden; unchanged if none was found."""
    shown = visible(text)
    places = sorted((one.start, _end(shown, one)) for one in _secrets(shown, own))
    if not places:
        return text
    parts, last = [], 0
    for start, end in places:
        if start >= last:
            parts += [shown[last:start], HIDDEN]
        last = max(last, end)
    return "".join([*parts, shown[last:]])


def _end(text: str, found: Found) -> int:
    """Return the end of a secret. Of a private key, the first line is found, and the key follows below it."""
    return len(text) if "private" in found.kind or "minisign" in found.kind else found.end


def redacted(text: str, own: OwnSecrets = NOBODYS) -> str:
    """Return `text` for a place outside of the log: without secrets, a URL's user, or the value of a password."""
    return compiled(SAID).sub(rf"\1{HIDDEN}", compiled(IN_URL).sub(rf"\1{HIDDEN}@", without_secrets(text, own)))


def _secrets(text: str, own: OwnSecrets, depth: int = 0) -> Iterator[Found]:
    low = text.lower()
    mine = own.find(text) if own.raw else None
    if mine is not None:
        yield mine
    for rule in rules.HEADERS:
        if any([keyword in low for keyword in rule.keywords]):
            yield from _matches(rule, text)
    if any([word in low for word in rules.ASSIGNED_KEYWORDS]):
        yield from _assigned(text)
    if any(compiled(_MIXED).search(run) for run in compiled(_RUN).findall(text)):
        for rule in _by_keyword(low):
            yield from _matches(rule, text)
        for match in compiled(rules.PREFIXED).finditer(text):
            if is_prefixed_token(match[1], match[2]):
                yield Found("prefixed-token", *match.span())
        if depth < DECODED_DEPTH_MAX:
            yield from _in_base64(text, own, depth)


def _by_keyword(low: str) -> list[Rule]:
    """Return the rules with a keyword in a text of small letters."""
    if not _keywords:
        from gitcoord.core.secret_scan.patterns import RULES  # imported here: few texts need them

        for rule in (*rules.TOKENS, *(Rule(*one) for one in RULES)):
            for keyword in rule.keywords:
                _keywords.setdefault(keyword, []).append(rule)
    found = [keyword for keyword in _keywords if keyword in low]
    return list(dict.fromkeys(rule for keyword in found for rule in _keywords[keyword]))


def _matches(rule: Rule, text: str) -> Iterator[Found]:
    for match in compiled(rule.pattern).finditer(text):
        group = rule.group or next((number for number, one in enumerate(match.groups(), start=1) if one), 0)
        if not rule.entropy or entropy(match[group]) > rule.entropy:
            yield Found(rule.kind, *match.span(group))


def _assigned(text: str) -> Iterator[Found]:
    for match in compiled(rules.ASSIGNED).finditer(text):
        number = match.lastindex or 0
        if not match[1] and is_secret_value(match[number]):
            yield Found("assigned-secret", *match.span(number))
    for match in compiled(rules.TOLD).finditer(text):
        if is_secret_value(match[1]) and any(one.isdigit() for one in match[1]):
            yield Found("told-secret", *match.span(1))


def _in_base64(text: str, own: OwnSecrets, depth: int) -> Iterator[Found]:
    """Yield secrets in base64, which hides nothing. An image decodes to no text, and is not scanned."""
    for number, match in enumerate(compiled(_BASE64).finditer(text)):
        if number >= DECODED_MAX:
            return
        spelled = match[0].rstrip("=").replace("-", "+").replace("_", "/")
        try:
            data = base64.b64decode(spelled + "=" * (-len(spelled) % 4))
        except (ValueError, binascii.Error):
            continue
        name = own.in_bytes(data) if own.raw else None
        if name is not None:
            yield Found(name, *match.span())
        elif data.isascii() and b"\0" not in data:
            inner = next(_secrets(data.decode(), own, depth + 1), None)
            if inner is not None:
                yield Found(f"{inner.kind} in base64", *match.span())
