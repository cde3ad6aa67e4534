"""Secrets: keys, tokens and passwords that a tuned model would carry with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import cast

from residency.core.records import Example
from residency.data.checks.registry import row_check
from residency.data.checks.spans import Span, any_in, has_digit, merge_overlaps, tell_masked

_LONG = re.compile(r"[\w+/=.-]{20}")
_PASSWORD_WORDS = ("pass", "wort", "pwd", "contrase", "key", "secret", "token")

_BLOCK = r"[A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("private key", re.compile(rf"-----BEGIN {_BLOCK}[\s\S]*?(?:-----END {_BLOCK}|\Z)")),
    ("GitHub token", re.compile(r"\bgithub_pat_\w{22,}")),
    ("Google API key", re.compile(r"\bAIza[\w-]{35}")),
    ("Google OAuth secret", re.compile(r"\bGOCSPX-[\w-]{28}|\bya29\.[\w-]{30,}")),
    ("Hugging Face token", re.compile(r"\bhf_[A-Za-z0-9]{30,}")),
    ("Stripe key", re.compile(r"\b[sr]k_(?:test|live)_[A-Za-z0-9]{16,}|\bwhsec_[A-Za-z0-9+/]{24,}")),
    ("Slack token", re.compile(r"\bxapp-\d-[A-Z0-9]+-\d+-[a-z0-9]+")),
    ("npm token", re.compile(r"\bnpm_[A-Za-z0-9]{36}\b")),
    ("DigitalOcean token", re.compile(r"\bdo[opr]_v1_[a-f0-9]{64}\b")),
    ("Shopify token", re.compile(r"\bshp(?:at|ss|ca|pa)_[a-fA-F0-9]{32}\b")),
    ("Databricks token", re.compile(r"\bdapi[a-f0-9]{32}\b")),
)
_API_KEY = re.compile(r"(?P<value>\bsk-(?=(?:proj|ant|or|svcacct)-|[\w-]*[A-Za-z0-9]{16})[\w-]{20,})")
_BEARER = re.compile(r"\b[Bb]earer\s+(?P<value>[A-Za-z0-9._~+/-]{20,}=*)")
_LOGIN = re.compile(r"://[^\s:/@?#]*:(?P<value>[^\s/@?#]+)@(?=[\w.-])")
_PASSWORD = re.compile(
    r"(?:pass(?:word|wd|phrase|code)?|passwort|kennwort|mot de passe|contraseña|pwd|api[ _-]?key|"
    r"secret(?:[ _-]?(?:access[ _-]?)?key)?|account[ _-]?key|access[ _-]?(?:key|token)|token)"
    r"[\"'`]?\s*(?:is now|is|:=|=>|=|:|lautet|ist|est|es)\s*[\"'`]?"
    r"(?P<value>[^\s\"'`,;<>{}()\[\]]{6,})",
    re.IGNORECASE,
)
"""The values of these four may also be an ordinary word: they count only where they look made up."""

_NOT_USED = ("PrivateKeyDetector", "ArtifactoryDetector", "BasicAuthDetector", "IPPublicDetector")
"""detect-secrets' detectors that are ours above, or fire on words in capitals or on what is no secret."""
_PLACEHOLDER = re.compile(
    r"(.)\1{5}|your|example\.|placeholder|changeme|redacted|dummy|://|\.{3}|\*{3}", re.IGNORECASE
)


@row_check(
    "secrets",
    "error",
    meaning="a key, token or password. A tuned model carries it to everybody who may use the model.",
    fix="Revoke it, for it has left its place, and write a placeholder such as [API_KEY].",
    suspicion=0.9,
)
def secrets(example: Example) -> str | None:
    """Every secret in any turn, masked."""
    return tell_masked(example, find_secrets)


def find_secrets(text: str) -> list[Span]:
    """Keys, tokens and passwords, in the order of the text. Nothing is sent anywhere to be verified."""
    if not has_digit(text) and "PRIVATE KEY" not in text:  # every other secret looked for holds one
        return []
    spans: list[Span] = []
    if _LONG.search(text) or "PRIVATE KEY" in text:
        spans += _issued(text)
        spans += _made_up("API key", _API_KEY, text)
        spans += _made_up("bearer token", _BEARER, text)
    if "://" in text and "@" in text:
        spans += _made_up("password in a URL", _LOGIN, text)
    if any_in(_PASSWORD_WORDS, text.lower()):
        spans += _made_up("password", _PASSWORD, text)
    return merge_overlaps(spans) if spans else spans


def _issued(text: str) -> Iterator[Span]:
    for kind, form in (*_FORMS, *_issued_forms()):
        for match in form.finditer(text):
            if kind != "JSON Web Token" or _is_jwt(match.group()):
                yield Span(kind, *match.span())


def _made_up(kind: str, form: re.Pattern[str], text: str) -> Iterator[Span]:
    for match in form.finditer(text):
        value = match.group("value").rstrip(".!?:")
        if _is_made_up(value):
            yield Span(kind, match.start("value"), match.start("value") + len(value))


@cache
def _issued_forms() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """The forms of tokens that detect-secrets knows, by what they open."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.base import BasePlugin, RegexBasedDetector

    detectors = cast(Mapping[str, type[BasePlugin]], get_mapping_from_secret_type_to_class())
    forms: list[tuple[str, re.Pattern[str]]] = []
    for kind, detector in detectors.items():
        if issubclass(detector, RegexBasedDetector) and detector.__name__ not in _NOT_USED:
            forms += [(kind, form) for form in detector().denylist]
    return tuple(forms)


def _is_jwt(text: str) -> bool:
    from detect_secrets.plugins.jwt import JwtTokenDetector

    return JwtTokenDetector.is_formally_valid(text)


def _is_made_up(value: str) -> bool:
    """Letters and digits mixed, as in no word, and no placeholder."""
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return mixed and len(set(value)) > 5 and not _PLACEHOLDER.search(value)
