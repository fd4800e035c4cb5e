# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What a secret looks like in text, and a secret that is known in any encoding.

Only text that may hold one needs this: the patterns are slow to compile, and most runs need none.
"""

from __future__ import annotations

import functools
import re
from urllib.parse import quote

from .secret_words import KEYS, LOGIN, MASK, NAMES, QUERY, SCHEMES, has_any

#: Passes over one text. Nearly all need one, and a second to find nothing more; each one after the first masks what a mask has
#: joined, and only texts that were made for it need many.
_MAX_PASSES = 8


def masked_by_looks(text: str) -> str:
    """The text with a mask for what looks like a secret."""
    for _unused in range(_MAX_PASSES):
        before, text = text, _masked_once(text)
        if text == before:
            break
    return text


def _masked_once(text: str) -> str:
    """One pass. A mask may join what stood apart, so that another pass finds more."""
    for words, pattern, replacement in _PATTERNS:
        if has_any(words, text):
            text = re.sub(pattern, replacement, text)
    return text


def is_secret_name(name: str) -> bool:
    """Whether a field of that name holds a secret."""
    return bool(
        re.fullmatch(rf"(?i)(?:x[-_])?(?:oss|acs)?[-_]?{_NAME}|{_NAMED}", name)
    )


# A secret that is known


@functools.lru_cache(64)
def pattern_of(forms: tuple[str, ...]) -> re.Pattern[str]:
    """Of a secret, by its forms: the first as it is, the others within Base64, each in any encoding."""
    alone, *encoded = ("".join(map(_any_form, form)) for form in forms)
    plus = _any_form("+")
    return re.compile(
        "|".join(
            [alone, *(form.replace(plus, f"(?:{plus}|-)") for form in encoded)]
        )
    )


#: What begins an entity of HTML, also where it was escaped again.
_AMP = "&(?:amp;)*"
_ENTITIES = {
    "&": "amp",
    "<": "lt",
    ">": "gt",
    '"': "quot",
    "'": "apos",
    "+": "plus",
    "/": "sol",
    "=": "equals",
}


@functools.cache
def _any_form(letter: str) -> str:
    """A pattern for a letter as it is, or encoded for an address, HTML or JSON, also more than once."""
    if letter.isascii() and letter.isalnum():
        return letter
    number = ord(letter)
    url = quote(letter, safe="", errors="surrogateescape").replace(
        "%", "%(?:25)*"
    )
    url = url if url.startswith("%") else f"%(?:25)*{number:02x}"
    forms = [
        rf"\\?{re.escape(letter)}",
        f"(?i:{url})",
        f"{_AMP}#0*{number};",
        rf"(?i:{_AMP}#x0*{number:x};|\\(?:u00|x){number:02x})",
    ]
    if letter in _ENTITIES:
        forms.append(f"{_AMP}{_ENTITIES[letter]};")
    if letter == "/":
        forms.append("_")  # in Base64 for addresses
    return f"(?:{'|'.join(forms)})"


# What looks like a secret

_NAME = (
    r"(?:signature(?:provided)?|security[-_]?token|(?:sts|session|auth|access|oss|upload|download)[-_]?token|access[-_]?key(?:[-_]?id|[-_]?secret)?"
    r"|secret[-_]?(?:access[-_]?)?key|secret|password|passwd|x-oss-credential)"
)
#: Names of fields; those of other tokens are for paging, and for asking once.
_NAMED = r"(?:.*(?:signature|secret|password|passwd)|(?!.*(?:next|page|continuation|client)[-_]?token).*token)"
_EQUALS = rf"(?:=|%(?:25)*3d|{_AMP}(?:#0*61|#x0*3d|equals);|\\(?:u00|x)3d)"
_QUOTE = rf"""(?:\\*["']|{_AMP}(?:quot|apos|#0*34|#0*39|#x0*22|#x0*27);|%(?:25)*22)"""
_END = r"""\s"'<>`&,;)\]}\\"""
#: With what is encoded in it. No escapes of what does not print: ``printable`` makes those.
_BARE = rf"""(?:[^{_END}]|{_AMP}(?:\#(?:x?[0-9a-f]+;?)?|(?:plus|sol|equals);)|\\/|\\(?:u00|x)[2-7][0-9a-f])+"""
_DIGITS = rf"(?=[^{_END}]*[0-9+/=%])"

#: Signature="…" and "Signature": "…". Before queries are masked, which end with a quote.
_QUOTED = (
    rf"(?i)({_NAME}{_QUOTE}?\s*(?:{_EQUALS}|:|%(?:25)*3a)\s*(?:\[\s*)?)({_QUOTE})(?:(?!\2).)+(\2)",
    rf"\1\2{MASK}\3",
)
#: A tab does not end it before the last ``=``.
_TOKEN = r"""(?:[^\s"'<>`]|\t(?=[^\s"'<>`]*=))+"""
#: Not the one in a filter of JMESPath, ``tasks[?…]``.
_QUESTION = r"(?i)(?<!\[)(?:\?|%(?:25)*3f|\\(?:u00|x)3f)"
_IS_QUERY = rf"(?i){_EQUALS}"


def _without_query(token: re.Match[str]) -> str:
    """A link keeps its host and path: its query holds the signature."""
    text = token[0]
    for question in re.finditer(_QUESTION, text):
        query = text[question.end() :]
        mark = query.rstrip(".,:;!)]}")
        if mark and (
            re.search(_IS_QUERY, query) or "//" in text[: question.start()]
        ):
            return text[: question.end()] + MASK + query[len(mark) :]
    return text


#: Words without which the pattern finds nothing, the pattern, and what stands in place of what it finds. In this order: what is
#: masked by one is not found by the next. Compiled when they are needed, which is seldom.
_PATTERNS = (
    (NAMES, *_QUOTED),
    (QUERY, _TOKEN, _without_query),
    # Headers: a scheme and what follows.
    (
        SCHEMES,
        r"(?i)\b((?:basic|bearer|oss|acs)\s+)(?-i:(?=.[a-z]*[^a-z\s*]))[a-z0-9+/=._~:-]{8,}",
        rf"\1{MASK}",
    ),
    (
        ("authorization",),
        rf"(?i)(authorization{_QUOTE}?\s*[:=]\s*{_QUOTE}?)(?=\S{{16}})(?![\w-]+hmac)[^{_END}]+",
        rf"\1{MASK}",
    ),
    # <Signature>…, Signature=…, and Signature: …, signature '…' and signature is … if it is no word
    (
        NAMES,
        rf"(?i)((?<!/)\b(?:[a-z]+[-_])*(?:oss)?{_NAME}>\s*)[^<]+",
        rf"\1{MASK}",
    ),
    (NAMES, rf"(?i)({_NAME}{_QUOTE}?\s*{_EQUALS}\s*){_BARE}", rf"\1{MASK}"),
    (
        NAMES,
        rf"(?i)({_NAME}{_QUOTE}?\s*(?::|%(?:25)*3a)\s*){_DIGITS}{_BARE}",
        rf"\1{MASK}",
    ),
    (
        NAMES,
        rf"(?i)({_NAME}\s+({_QUOTE})){_DIGITS}[\w+/=%.-]{{6,}}(\2)",
        rf"\1{MASK}\3",
    ),
    (
        NAMES,
        rf"(?i)({_NAME}\s+(?:is|was)\s+){_DIGITS}[\w+/=%.-]{{8,}}(?=[{_END}]|$)",
        rf"\1{MASK}",
    ),
    (("credential",), rf"(?i)(\bcredential{_EQUALS}){_BARE}", rf"\1{MASK}"),
    # //user:password@host, and without a scheme
    (
        LOGIN,
        r"""(?i)(//|%(?:25)*2f%(?:25)*2f|\\/\\/)[^/\s"'<>?#@]+(@|%(?:25)*40)""",
        rf"\1{MASK}\2",
    ),
    (
        LOGIN,
        r"""(?<![\w/])[\w.%~+-]+:(?!\*+@)[^\s"'<>/@:]+@(?=[\w\[])""",
        f"{MASK}@",
    ),
    # Keys and tokens of Alibaba Cloud
    (
        KEYS,
        r"\b(?:LTAI[0-9A-Za-z]{8,}|STS\.[0-9A-Za-z]{8,}|CAIS[0-9A-Za-z+/=%_-]{16,})",
        MASK,
    ),
)
