"""Rules for secrets that Betterleaks' patterns do not find in prose, and measures of how random a value looks.

Betterleaks scans source code. Here people and agents write sentences, settings and commands. The issuers document the
formats below.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from typing import NamedTuple


class Rule(NamedTuple):
    """A kind of secret. `pattern` is tried if one of `keywords` is in the text in lower case. The match of its first
    group must have more than `entropy`."""

    kind: str
    keywords: tuple[str, ...]
    pattern: str
    entropy: float = 0.0
    group: int = 0


_END = r"(?![A-Za-z0-9])"
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

# Private keys of every kind. Their first line is enough.
HEADERS = (
    Rule("private-key", ("private key",), r"(?i)-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}"),
    Rule("putty-private-key", ("putty-user-key-file",), r"(?i)PuTTY-User-Key-File-\d"),
    Rule(
        "minisign-secret-key",
        ("encrypted secret key", "signify secret key"),
        r"(?i)untrusted comment: [^\n]{0,60}secret key",
    ),
    Rule("netrc-password", ("login",), r"(?i)\blogin\s{1,3}\S{1,80}\s{1,3}password\s{1,3}(?![$<{\[*])(\S{6,})"),
    Rule(
        "curl-user",
        ("curl",),
        r"\bcurl\b[^\n]{0,300}?\s(?:-u|--user)[ =]{0,3}[\"']?[\w.@+-]{1,60}:(?![$<{\[*])([^\s\"']{6,})",
        2.0,
    ),
    Rule(
        "url-with-password",
        ("://",),
        r"(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'<>]{0,80}:"
        r"(?!(?:x-oauth-basic|password|passwd|pass|pwd?|secret|token)@|[$<{%*\[])([^\s/@\"'<>]{3,200})@[\w\[]",
    ),
    Rule(
        "authorization-header",
        ("bearer ", "basic "),
        r"(?i)\b(?:bearer|basic)\s{1,3}((?=[\w~+/.=-]{0,300}\d)[\w~+/.-]{16,}={0,2})",
        3.0,
    ),
    Rule("json-web-key", ('"kty"',), r'"d"\s{0,3}:\s{0,3}"([\w-]{32,})"', 3.5),
)

# Tokens: one run of characters of sixteen or more.
TOKENS = (
    Rule("github-token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"\bgh[pousr]_[A-Za-z0-9_.-]{36,}", 1.5),
    Rule("github-fine-grained-token", ("github_pat_",), r"\bgithub_pat_[A-Za-z0-9_]{36,}", 1.5),
    Rule(
        "gitlab-token",
        (
            "glpat-",
            "gldt-",
            "glrt-",
            "glrtr-",
            "glcbt-",
            "glptt-",
            "glft-",
            "glsoat-",
            "glimt-",
            "glagent-",
            "glwt-",
            "glffct-",
            "gloas-",
        ),
        r"\bgl[a-z]{1,5}-[A-Za-z0-9_=.-]{20,}",
        1.5,
    ),
    Rule(
        "bitbucket-token", ("atbb", "atctt3xffg", "atatt3xffg"), r"\b(?:ATBB|ATCTT3xFfG|ATATT3xFfG)[A-Za-z0-9_=-]{28,}"
    ),
    Rule("azure-devops-token", ("azdo",), r"\b[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}\b"),
    Rule("aws-access-key", ("akia", "asia", "abia", "acca"), r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b", 3.0),
    Rule("aws-session-token", ("fwogzxivyxdz", "iqojb3jpz2lux2"), r"(?:FwoGZXIvYXdz|IQoJb3JpZ2luX2)[A-Za-z0-9+/]{80,}"),
    Rule("aws-mws-token", ("amzn.mws.",), rf"\bamzn\.mws\.{_UUID}"),
    Rule("alibaba-access-key", ("ltai",), r"\bLTAI[A-Za-z0-9]{12,24}\b", 3.0),
    Rule("azure-shared-access-signature", ("sig=",), r"[?&]sig=[A-Za-z0-9%+/]{40,}", 3.5),
    Rule("azure-client-secret", ("q~",), r"\b[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,34}"),
    Rule("google-oauth-token", ("ya29.", "1//0"), r"(?:\bya29\.|\b1//0)[A-Za-z0-9_-]{40,}"),
    Rule("google-client-secret", ("gocspx-",), r"\bGOCSPX-[A-Za-z0-9_-]{20,}"),
    Rule("google-api-key", ("aiza",), r"\bAIza[A-Za-z0-9_-]{35}", 3.0),
    Rule("sk-token", ("sk-",), r"\bsk-(?=[A-Za-z0-9_-]{0,200}\d)[A-Za-z0-9_-]{20,}", 3.3),
    Rule("hugging-face-token", ("hf_", "api_org_"), rf"\b(?:hf|api_org)_[A-Za-z0-9]{{30,}}{_END}", 3.5),
    Rule("crates-io-token", ("cio",), rf"\bcio[A-Za-z0-9]{{32}}{_END}", 4.0),
    Rule("npm-token", ("npm_",), rf"\bnpm_[A-Za-z0-9]{{36}}{_END}", 3.0),
    Rule("pypi-token", ("pypi-age",), r"\bpypi-AgE[A-Za-z0-9_-]{50,}"),
    Rule("nuget-key", ("oy2",), rf"\boy2[a-z0-9]{{43}}{_END}"),
    Rule("jfrog-token", ("akcp", "cmvmd"), r"\b(?:AKCp[A-Za-z0-9]{60,}|cmVmd[A-Za-z0-9]{59})"),
    Rule("slack-token", ("xox", "xapp-"), r"\bx(?:ox[a-z](?:\.xox[bp])?|app)-[A-Za-z0-9-]{20,}", 2.5),
    Rule("slack-webhook", ("hooks.slack.com",), r"hooks\.slack\.com/(?:services|workflows|triggers)/[\w+/-]{30,}"),
    Rule("discord-webhook", ("/api/webhooks/",), r"discord(?:app)?\.com/api/webhooks/\d{10,}/[\w-]{40,}"),
    Rule("discord-bot-token", (".",), rf"\b[MNO][\w-]{{23,27}}\.[\w-]{{6}}\.[\w-]{{27,45}}{_END}", 4.0),
    Rule("teams-webhook", ("webhook.office.com",), r"\.webhook\.office\.com/\S{60,}"),
    Rule("telegram-bot-token", (":aa",), r"\b\d{8,10}:AA[\w-]{32,33}(?![\w-])"),
    Rule("twilio-key", ("sk",), rf"\bSK[0-9a-f]{{32}}{_END}"),
    Rule("sendgrid-key", ("sg.",), r"\bSG\.[\w-]{16,}\.[\w-]{16,}"),
    Rule(
        "stripe-key",
        ("_live_", "_test_", "_prod_", "whsec_"),
        rf"\b(?:[sr]k_(?:live|test|prod)|whsec)_[A-Za-z0-9]{{16,}}{_END}",
        3.0,
    ),
    Rule("square-token", ("sq0", "eaaa"), r"\b(?:sq0[a-z]{3}-[\w-]{22,}|EAAA[\w-]{56,})"),
    Rule("braintree-token", ("access_token$",), r"access_token\$(?:production|sandbox)\$[a-z0-9]+\$[0-9a-f]{32}"),
    Rule("mailgun-key", ("key-",), rf"\bkey-[0-9a-f]{{32}}{_END}"),
    Rule("mailchimp-key", ("-us",), r"\b[0-9a-f]{32}-us\d{1,2}\b"),
    Rule("new-relic-key", ("nrak-",), r"\bNRAK-[A-Z0-9]{27}"),
    Rule("honeycomb-key", ("hc",), r"\bhc[a-z]{2}k_[a-z0-9]{50,}"),
    Rule("airtable-token", ("pat",), r"\bpat[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
    Rule("plaid-token", ("access-",), rf"\baccess-(?:production|development|sandbox)-{_UUID}"),
    Rule("dropbox-token", ("sl.",), r"\bsl\.[\w-]{100,}", 4.0),
    Rule("infisical-token", ("st.",), r"\bst\.(?:a\.)?[\w.-]{50,}", 4.0),
    Rule("asana-token", ("1/",), rf"\b\d/\d{{16}}(?:/\d{{16}})?:[0-9a-f]{{32}}{_END}"),
    Rule("lob-key", ("live_", "test_"), rf"\b(?:live|test)_[0-9a-f]{{35}}{_END}"),
    Rule("sonarqube-token", ("sqp_", "squ_", "sqa_"), rf"\bsq[apu]_[0-9a-f]{{40}}{_END}"),
    Rule("sentry-token", ("sntry",), r"\bsntry[a-z]_[\w+/=.-]{40,}"),
    Rule("mapbox-token", ("sk.ey",), r"\bsk\.ey[\w-]{40,}\.[\w-]{16,}"),
    Rule("vault-token", ("hvs.", "hvb.", "hvr."), r"\bhv[sbr]\.[\w-]{20,}", 3.5),
    Rule("typeform-token", ("tfp_",), r"\btfp_[\w-]{40,}", 3.5),
    Rule("tailscale-key", ("tskey-",), r"\btskey-[a-z]{2,12}-\w{8,}-\w{16,}"),
    Rule("resend-key", ("re_",), rf"\bre_[A-Za-z0-9]{{8}}_[A-Za-z0-9]{{24}}{_END}", 4.0),
    Rule("age-secret-key", ("age-secret-key-",), r"(?i)\bAGE-SECRET-KEY-(?:[A-Z0-9]{1,6}-)?1[A-Z0-9]{40,}"),
    Rule("nostr-key", ("nsec1",), r"\bnsec1[a-z0-9]{58}\b"),
    Rule("wallet-key", ("prv",), r"\b[xyztuv]prv[A-Za-z0-9]{90,}"),
    Rule("json-web-token", ("eyj",), r"(?<![\w-])eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_/-]{16,}\.[A-Za-z0-9_-]{10,}"),
    # The first bytes of "-----BEGIN " at each place of three in base64, and of an OpenSSH key.
    Rule(
        "private-key in base64",
        ("ls0tls1crudjt", "0tls0tqkvhsu4g", "tls0tlujfr0lo", "b3blbnnzac1rzxktdj"),
        r"LS0tLS1CRUdJTi[A-Za-z0-9+/_-]{2}|0tLS0tQkVHSU4g|tLS0tLUJFR0lO|b3BlbnNzaC1rZXktdj[A-Za-z0-9+/]{20,}",
    ),
)

# A short word, then letters of both cases and digits: how most issuers spell a token today.
PREFIXED = r"(?<![\w/.=+-])([a-z][a-z0-9]{1,9}[_-](?:[a-z0-9]{1,10}[_-]){0,2})([A-Za-z0-9]{20,})(?![\w=/+.-])"
PREFIXED_ENTROPY_MIN = 3.9  # of 24 random letters and digits one in a thousand has less
DIGEST_PREFIXES = (
    "sha1",
    "sha2",
    "sha3",
    "sha5",
    "md5",
    "blake",
    "digest",
    "hash",
    "integrity",
    "etag",
    "uid",
    "public",
)
DIGEST_LENGTHS = frozenset((22, 43, 64, 86))  # 16, 32, 64 bytes in base64url, 32 in hexadecimal: what names, not opens

_KINDS_OF_KEY = "api|access|private|account|encryption|signing|hmac|master|admin|auth|service|webhook"
_NAMES = (
    rf"passw(?:or)?d|passphrase|passcode|pwd|secret|token|credentials?|(?:{_KINDS_OF_KEY})[_.-]?key|"
    r"client[_.-]?key(?:-data)?|_auth(?!or)|[\"']auth[\"']|_key(?=[\"']?\s?=)"
)
ASSIGNED = (
    rf"(?i)(public[_.-]?)?({_NAMES})[\w.-]{{0,20}}[\"'\]]{{0,2}}\s{{0,3}}(?:=>|:=|==?|:)\s{{0,4}}"
    r"(?:\"([^\"\n]{6,300})\"|'([^'\n]{6,300})'|`([^`\n]{6,300})`|([^\s\"'`,;&<>|]{6,300}))"
)
TOLD = (
    r"(?i)\b(?:password|passphrase|secret|token|api key)\s{1,3}(?:is|was|=|:)\s{1,3}"
    r"[\"'`]?([^\s\"'`,;]{8,100})"
)
ASSIGNED_KEYWORDS = ("passw", "passphrase", "passcode", "pwd", "secret", "token", "credential", "key", "auth")

_PLACEHOLDER = (
    r"(?i)[$<{%(\[*]|\.{3}|x{4}|\*{3}|…|(?:your|my|the|some|an?)[_-]|example|change[_-]?me|placeholder|redacted|hidden|"
    r"dummy|null\b|none\b|true\b|false\b|not[_ -]|secrets?\.|env[.:]|os\.|self\.|https?:|file:|/|~/|\./|--"
)
_WORDS = r"[A-Za-z]+(?:[ _./:-][A-Za-z]+)*\Z"
_CALL = r"[\w.]*[(\[]"
_DOTTED = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?:[^\w-]|\Z)"
_NUMBER = r"[\d.,:/TZ+-]*(?:[a-z]{1,3})?\Z"
_FILE = r"[\w./-]*\.(?:py|md|txt|json|ya?ml|toml|pem|key|crt|sh|js|ts|go|rs|log)\Z"


@functools.lru_cache(maxsize=None)
def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern when it is first needed: to compile all would double the start of a command."""
    return re.compile(pattern, re.ASCII)


def entropy(text: str) -> float:
    """Return Shannon's entropy of `text`, in bits a character."""
    total = len(text)
    return -sum(count / total * math.log2(count / total) for count in Counter(text).values()) if total else 0.0


def is_secret_value(value: str) -> bool:
    """Return whether `value`, the value of something called a password or a token, looks like a secret.

    Words, references (`$TOKEN`, `os.environ[...]`), paths, numbers and placeholders do not.
    """
    value = value.strip().rstrip(".,;:!?)]}>")
    if len(value) < 8 or len(value.split()) > 2:
        return False
    if any(compiled(pattern).match(value) for pattern in (_PLACEHOLDER, _CALL, _DOTTED, _NUMBER, _FILE, _WORDS)):
        return False
    letters, digits = any(one.isalpha() for one in value), any(one.isdigit() for one in value)
    leader_lines = any(not one.isalnum() and one not in "-_./ :" for one in value)
    return letters and (digits or leader_lines) and entropy(value) >= 2.5


def is_prefixed_token(prefix: str, rest: str) -> bool:
    """Return whether a word and the letters after it look like an issuer's token, not like a digest or a name."""
    return (
        not prefix.startswith(DIGEST_PREFIXES)
        and len(prefix + rest) not in DIGEST_LENGTHS
        and any(one.isupper() for one in rest)
        and any(one.islower() for one in rest)
        and any(one.isdigit() for one in rest)
        and entropy(rest) >= PREFIXED_ENTROPY_MIN
    )
