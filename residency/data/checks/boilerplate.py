"""Answers that refuse, or speak as an assistant's model does: a tuned model would learn to say so."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from residency.core.records import Example
from residency.data.checks.registry import row_check
from residency.data.checks.spans import any_in
from residency.data.labels import LONGEST


def _any_of(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(phrases), re.MULTILINE)


_MODEL = (
    r"(?:an? )?(?:ai|a\.i\.|artificial intelligence|(?:large |ai )?language model|llm)(?![\w-])"
    r"(?: (?:language )?(?:model|assistant|chat ?bot|system|program))?"
)
_MADE_BY = r"(?:created|developed|trained|made|built) by"
_CLAUSE = r"(?:^|[.!?;:,(\"“*-]\s*|\b(?:but|sorry|however|that|and|since|because|while|unfortunately) )"
_AS_AN_AI = _any_of(
    rf"{_CLAUSE}as {_MODEL}(?: {_MADE_BY} [\w ]+)?(?:[,;]| (?:i|my|we)\b)",
    rf"\bas {_MODEL}(?: {_MADE_BY} [\w ]+)?,? (?:i|my)\b",
    rf"\b(?:i'm|i am|being) (?:just |only |merely |simply |after all )?{_MODEL}"
    rf"(?=[,.;:!)]| and\b| but\b| so\b| without\b| {_MADE_BY}\b|$)",
    rf"\bi (?:was|am|have been) {_MADE_BY} (?:openai|anthropic|google|meta|microsoft)\b",
    r"\bi(?:'m| am) (?:chat)?gpt\b",
    r"\bmy (?:knowledge cut-?off|training data|last (?:knowledge )?update)\b",
    r"\bi (?:don't|do not) have (?:(?:any )?(?:personal )?(?:feelings|emotions|consciousness)"
    r"|(?:any )?personal (?:opinions?|experiences?|beliefs?|preferences?))\b",
    r"\bals (?:eine? )?(?:ki(?:-\w+)?|(?:gro(?:ß|ss)es )?sprachmodell|künstliche intelligenz)"
    r"(?: (?:habe|kann|bin|darf|verfüge|besitze)\b| ?,)",
    r"\ben tant qu(?:'(?:ia|intelligence artificielle)|e mod[èe]le de langage)",
    r"\bcomo (?:una? |um )?(?:ia|inteligencia artificial|modelo de (?:lenguaje|linguagem))(?:,| n[oã]o?\b)",
    r"\bin quanto (?:ia|intelligenza artificiale|modello linguistico)\b",
)
_MODEL_WORDS = (
    *(" ai ", " ai,", " ai.", " ai-", "a.i.", " llm", "ntellig", "ntelig", "language model", "sprachmodell"),
    *(
        "gpt",
        "by openai",
        "by anthropic",
        "by google",
        "by meta",
        "by microsoft",
        "cutoff",
        "cut-off",
        "my last",
    ),
    *("training data", "personal ", "feelings", "emotions", "consciousness", "als ki", " ia", "'ia"),
    *("langage", "lenguaje", "linguagem", "linguistico"),
)
"""One of these stands in every phrase above; looking for words is ten times faster."""

_CANNOT = (
    r"\bi(?:'m| am)? (?:really |truly |simply |afraid (?:that )?i )?"
    r"(?:cannot|can't|can not|could not|couldn't|won't|will not|would not|am unable to|unable to|not able to"
    r"|not allowed to|not permitted to|not going to|not willing to|must decline to|have to decline to"
    r"|refuse to)"
    r"(?: be able to| in good conscience)?"
)
_UNFIT = (
    r"(?:that kind of|this kind of|such|any (?:content|instructions?|information|advice|help)|content"
    r"|instructions|information (?:that|on how|about how)|explicit|harmful|illegal"
    r"|(?:medical|legal|financial) advice)"
)
_ASKED = r"(?:request|question|topic|matter|task|prompt|query|information|conversation|subject)s?"
_REFUSAL = _any_of(
    rf"{_CANNOT} (?:fulfil?l|comply with|engage (?:in|with)|participate in)\b",
    rf"{_CANNOT} assist (?:you )?(?:with|in) (?:such|any|your|creating|writing|making|planning)\b",
    rf"{_CANNOT} (?:provide|create|generate|write|produce|give|offer|share|discuss|support|promote|condone"
    rf"|facilitate|encourage)(?: you)?(?: with)? {_UNFIT}\b",
    r"\bagainst my (?:\w+ )?(?:guidelines|programming|principles|polic(?:y|ies))\b",
    r"\b(?:request|prompt|question|this|that|which) (?:violates?|goes against|is against) "
    r"(?:my|openai|(?:our |the )?(?:content|usage) polic)",
    r"\bi (?:must|have to|need to) (?:respectfully )?(?:decline|refuse)"
    r"(?: to\b| (?:this|that|your) request|[.,;!]|$)",
    r"\bi respectfully (?:decline|refuse)\b",
    r"\bit would (?:not be|be) (?:in)?appropriate for me to\b",
    r"\bi (?:cannot|can't) and (?:will not|won't)\b",
    r"\bi (?:do not|don't) (?:feel comfortable|think i should)\b",
    r"\bmy (?:guidelines|programming|principles|polic(?:y|ies)) "
    r"(?:do not|don't|does not|doesn't|forbids?|prevents?)\b",
    r"\bi(?:'m| am) not (?:comfortable|programmed|designed) "
    r"(?:to|with|providing|writing|creating|discussing)\b",
    r"\bich kann (?:dir |ihnen )?(?:leider )?(?:dabei|damit|bei dieser anfrage) (?:leider )?nicht "
    r"(?:weiter)?(?:helfen|behilflich)",
    r"\b(?:dabei|damit) kann ich (?:dir |ihnen )?(?:leider )?nicht (?:weiter)?helfen",
    r"\bich kann (?:dir |ihnen )?nicht dabei helfen",
    r"\bje ne peux pas (?:vous |t')?(?:aider|répondre) (?:avec|à) (?:cela|ça|cette demande|\w+er\b)",
    r"\bno puedo (?:ayudar(?:te|le)? con (?:eso|esa solicitud|esto)|compartir (?:información|esa))",
)
"""What a general assistant says and an agent does not."""
_BARE_REFUSAL = _any_of(
    rf"{_CANNOT} (?:help|assist|guide)(?: you)? (?:with|in|to|by) \w+",
    rf"{_CANNOT} help you (?:\w+ )?\w+",
    rf"{_CANNOT} (?:provide|give|offer) (?:\w+ )?(?:advice|guidance|tips|instructions|help|assistance) "
    r"(?:on|for|with|about)\b",
    r"\bi(?:'d| would) (?:rather|prefer) not(?: to)? (?:write|help|answer|share|provide|discuss)\b",
    r"\bi(?:'m| am) not going to (?:provide|give|write|create|say|share) (?:it|that|this)\b",
    rf"{_CANNOT} (?:help|assist|do|answer|respond to|discuss|continue with|talk about|write|make|provide"
    r"|provide (?:any )?(?:assistance|guidance|help|support|advice))(?: you)?(?: with| in| on| about)?"
    rf"(?: (?:that|this|it|these|those|your|such))?(?: (?:particular |specific )?{_ASKED})?"
    r"(?: at this time| here| for you)?\s*(?:[.!,;]|$)",
)
_SERVICE = re.compile(
    r"\b(?:we|us|our|ours|team|colleagues?|department|please|refund\w*|orders?|accounts?|warrant\w*|deliver\w*"
    r"|but you can|invoices?|call|phone|chat|e-?mails?|branch|shop|store|security reasons)\b"
)
"""Words of an agent who cannot do one thing and offers another: then a bare 'I can't' is no refusal."""
_REFUSAL_WORDS = (
    *("can't", "cannot", "can not", "could not", "couldn't", "won't", "will not", "would not", "unable to"),
    *("m not ", "decline", "refuse", "against ", "violat", "appropriate for me"),
    *("prefer not", "rather not", "feel comfortable", "think i should", "my guidelines", "my p"),
    *("ich kann", "kann ich", "je ne peux pas", "no puedo"),
)

_QUOTED = re.compile(r"\"[^\"\n]*\"|“[^”\n]*”|(?<!\w)'(?:[^'\n]|(?<=\w)'(?=\w))*'(?!\w)")
_EDGES = ' ,.;:!-*("“\n'


@row_check(
    "as-an-ai",
    "warning",
    meaning="the answer speaks as a language model does. A tuned model learns to say so too.",
    fix="Write the answer as the product should give it, or remove the row.",
    suspicion=0.8,
)
def as_an_ai(example: Example) -> str | None:
    """Phrases such as `as an AI language model`."""
    return _once(_as_an_ai, example.answer)


@row_check(
    "refusal",
    "warning",
    meaning="the answer refuses as a general assistant does. A tuned model learns to refuse the task.",
    fix="Write the answer wanted, or remove the row; keep it only where the product is to refuse.",
    suspicion=0.7,
)
def refusal(example: Example) -> str | None:
    """An assistant's refusal; an agent who cannot do one thing and offers another is none."""
    return _once(_refusal, example.answer)


def _as_an_ai(answer: str) -> str | None:
    answer = _plain(answer)
    return _quoted(_AS_AN_AI.search(answer)) if any_in(_MODEL_WORDS, answer) else None


def _refusal(answer: str) -> str | None:
    answer = _plain(answer)
    if not any_in(_REFUSAL_WORDS, answer):
        return None
    answer = _QUOTED.sub("", answer)  # what stands in quotes is said by somebody else
    found = _REFUSAL.search(answer)
    if not found and not _SERVICE.search(answer):
        found = _BARE_REFUSAL.search(answer)
    return _quoted(found)


def _once(look: Callable[[str], str | None], answer: str) -> str | None:
    """What is seen in an answer; short ones are often labels, and looked at once."""
    return _of_short(look, answer) if len(answer) < LONGEST else look(answer)


@lru_cache(maxsize=4096)
def _of_short(look: Callable[[str], str | None], answer: str) -> str | None:
    return look(answer)


def _plain(answer: str) -> str:
    return answer.lower().replace("’", "'")


def _quoted(found: re.Match[str] | None) -> str | None:
    return f"'{found.group().strip(_EDGES)}'" if found else None
