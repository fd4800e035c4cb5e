# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Text that may be shown: without secrets, and without what a terminal would obey.

Services, proxies and servers quote what they were sent. All that leaves the collection passes here: ``safe`` and
``quoted`` for what people read, ``redacted`` and ``visible`` for results. ``hide`` tells of a secret that is used; links and keys of others
are known by their looks.
"""

from __future__ import annotations

import functools
import re
import threading
import typing as t
from base64 import b64encode
from urllib.parse import quote, unquote

MASK = "********"

#: Longest text of others that an error repeats, and longest code or ID.
MAX_TEXT = 400
MAX_NAME = 100

#: No key, token or signature is so short. Common words are, and would be masked wherever they stand.
_SHORTEST = 8

#: Passes over one text. Nearly all need one, and a second to find nothing more; each one after the first masks what a mask has
#: joined, and only texts that were made for it need many.
_MAX_PASSES = 8

#: So many are remembered: keys are renewed, and links, for as long as a process lives.
_MAX_HIDDEN = 64

_hidden: dict[str, None] = {}
#: Guards ``_hidden``, which threads of a transfer and of a client fill at the same time.
_lock = threading.Lock()


def hide(*secrets: t.Optional[str]) -> None:
    """Have ``redacted`` mask these from now on, in whatever encoding they are quoted."""
    for secret in secrets:
        if secret and len(secret) >= _SHORTEST and secret not in _hidden:
            with _lock:
                _hidden[secret] = None
                if len(_hidden) > _MAX_HIDDEN:
                    del _hidden[next(iter(_hidden))]


def hide_login(user: str, password: str) -> None:
    """Hide a password of HTTP, alone and as it is sent."""
    hide(password, b64encode(f"{user}:{password}".encode()).decode())


def hide_link(url: str) -> None:
    """Hide what a link is signed with, and the password in it."""
    for found in re.finditer(_SIGNED, url):
        hide(unquote(found[1]))
    login = re.match(r"[^/]*//([^/?#@]*):([^/?#]*)@", url)
    if login:
        hide_login(unquote(login[1]), unquote(login[2]))


def safe(text: str) -> str:
    """The text without secrets, and all of it to be seen."""
    return printable(redacted(text))


def quoted(text: object, limit: int = MAX_TEXT) -> str:
    """What others say: safe, on one line, and of a length that people read."""
    return printable(" ".join(redacted(str(text)).split()), limit)


def printable(text: str, limit: t.Optional[int] = None) -> str:
    """The text with escapes for all that does not print: what a terminal obeys, turns around, or gives no room."""
    if not text.isprintable() or (not text.isascii() and re.search(_INVISIBLE, text)):
        letters = (
            letter
            if letter.isprintable() and not re.match(_INVISIBLE, letter)
            else _escaped(letter)
            for letter in text
        )
        text = "".join(letters)
    return text if limit is None or len(text) <= limit else text[:limit] + "…"


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


#: Letters and marks by their category, which show nothing all the same.
_INVISIBLE = "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"

T = t.TypeVar("T")


def visible(value: T) -> T:
    """The text, or all texts in lists and dictionaries, as ``printable`` shows it. An ID that this changes is none."""
    result: t.Any = value
    if isinstance(value, str):
        result = printable(value)
    elif isinstance(value, dict):
        result = {visible(name): visible(inner) for name, inner in value.items()}
    elif isinstance(value, (list, tuple)):
        result = [visible(inner) for inner in value]
    return t.cast(T, result)


def redacted(value: T) -> T:
    """The text, or all texts in lists and dictionaries, with secrets masked: those that were hidden, and what looks like one."""
    result: t.Any = value
    if isinstance(value, str):
        result = _redacted_text(value)
    elif isinstance(value, dict):
        result = {
            redacted(name): _masked(inner) if _is_secret(name) else redacted(inner)
            for name, inner in value.items()
        }
    elif isinstance(value, (list, tuple)):
        result = [redacted(inner) for inner in value]
    return t.cast(T, result)


def _masked(value: t.Any) -> t.Any:
    """What stands under the name of a secret: all texts and numbers in it are masked."""
    if isinstance(value, dict):
        return {redacted(name): _masked(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(inner) for inner in value]
    return value if value in (None, "") or isinstance(value, bool) else MASK


def _redacted_text(text: str) -> str:
    if len(text) < _SHORTEST:
        return text
    for secret in tuple(_hidden):
        if len(text) >= len(secret) and any(core in text for core in _cores_of(secret)):
            text = _pattern_of(secret).sub(MASK, text)
    for _unused in range(_MAX_PASSES):
        before, text = text, _masked_by_looks(text)
        if text == before:
            break
    return text


def _masked_by_looks(text: str) -> str:
    """One pass. A mask may join what stood apart, so that another pass finds more."""
    if not _SUSPICIOUS.search(text):
        return text
    text = re.sub(*_QUOTED, text)
    text = re.sub(_TOKEN, _without_query, text)
    for pattern, replacement in _PATTERNS:
        text = re.sub(pattern, replacement, text)
    return text


# What was hidden, in any encoding


def _forms_of(secret: str) -> list[str]:
    """The secret, and what is certain of it within Base64: the letters at its edges belong to what stands beside it, too."""
    forms = [secret]
    encoded = secret.encode("utf-8", "surrogateescape")
    for before in range(3):
        letters = b64encode(bytes(before) + encoded).decode()
        forms.append(letters[(0, 2, 3)[before] : (before + len(encoded)) * 8 // 6])
    return forms


@functools.lru_cache(_MAX_HIDDEN)
def _cores_of(secret: str) -> list[str]:
    """What is the same in all encodings of a form: its longest run of letters and digits. Found much faster than a pattern."""
    return [max(re.findall("[A-Za-z0-9]*", form), key=len) for form in _forms_of(secret)]


@functools.lru_cache(_MAX_HIDDEN)
def _pattern_of(secret: str) -> re.Pattern[str]:
    alone, *check_range = ("".join(map(_any_form, form)) for form in _forms_of(secret))
    plus = _any_form("+")
    return re.compile(
        "|".join([alone, *(form.replace(plus, f"(?:{plus}|-)") for form in check_range)])
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
    url = quote(letter, safe="", errors="surrogateescape").replace("%", "%(?:25)*")
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

_SIGNED = r"(?i)(?:signature|token|credential|accesskeyid)=([^&#]+)"
#: All that is found below has one of these: most fields of a result have none.
_SUSPICIOUS = re.compile(r"[?@=%&:>\\ ]|LTAI|STS\.|CAIS")
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

#: In this order: what is masked by one is not found by the next. Compiled when they are needed, which is seldom.
_PATTERNS = (
    # Headers: a scheme and what follows.
    (
        r"(?i)\b((?:basic|bearer|oss|acs)\s+)(?-i:(?=.[a-z]*[^a-z\s*]))[a-z0-9+/=._~:-]{8,}",
        rf"\1{MASK}",
    ),
    (
        rf"(?i)(authorization{_QUOTE}?\s*[:=]\s*{_QUOTE}?)(?=\S{{16}})(?![\w-]+hmac)[^{_END}]+",
        rf"\1{MASK}",
    ),
    # <Signature>…, Signature=…, and Signature: …, signature '…' and signature is … if it is no word
    (rf"(?i)((?<!/)\b(?:[a-z]+[-_])*(?:oss)?{_NAME}>\s*)[^<]+", rf"\1{MASK}"),
    (rf"(?i)({_NAME}{_QUOTE}?\s*{_EQUALS}\s*){_BARE}", rf"\1{MASK}"),
    (rf"(?i)({_NAME}{_QUOTE}?\s*(?::|%(?:25)*3a)\s*){_DIGITS}{_BARE}", rf"\1{MASK}"),
    (rf"(?i)({_NAME}\s+({_QUOTE})){_DIGITS}[\w+/=%.-]{{6,}}(\2)", rf"\1{MASK}\3"),
    (
        rf"(?i)({_NAME}\s+(?:is|was)\s+){_DIGITS}[\w+/=%.-]{{8,}}(?=[{_END}]|$)",
        rf"\1{MASK}",
    ),
    (rf"(?i)(\bcredential{_EQUALS}){_BARE}", rf"\1{MASK}"),
    # //user:password@host, and without a scheme
    (
        r"""(?i)(//|%(?:25)*2f%(?:25)*2f|\\/\\/)[^/\s"'<>?#@]+(@|%(?:25)*40)""",
        rf"\1{MASK}\2",
    ),
    (r"""(?<![\w/])[\w.%~+-]+:(?!\*+@)[^\s"'<>/@:]+@(?=[\w\[])""", f"{MASK}@"),
    # Keys and tokens of Alibaba Cloud
    (r"\b(?:LTAI[0-9A-Za-z]{8,}|STS\.[0-9A-Za-z]{8,}|CAIS[0-9A-Za-z+/=%_-]{16,})", MASK),
)


def _without_query(token: re.Match[str]) -> str:
    """A link keeps its host and path: its query holds the signature."""
    text = token[0]
    for question in re.finditer(_QUESTION, text):
        query = text[question.end() :]
        mark = query.rstrip(".,:;!)]}")
        if mark and (re.search(_IS_QUERY, query) or "//" in text[: question.start()]):
            return text[: question.end()] + MASK + query[len(mark) :]
    return text


@functools.lru_cache(512)
def _is_secret(name: object) -> bool:
    return isinstance(name, str) and bool(
        re.fullmatch(rf"(?i)(?:x[-_])?(?:oss|acs)?[-_]?{_NAME}|{_NAMED}", name)
    )
