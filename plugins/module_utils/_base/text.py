# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Text that may be shown: without secrets, and without what a terminal would obey.

Services, proxies and servers quote what they were sent. All that leaves the collection passes here: ``safe`` and
``quoted`` for what people read and for results, ``redacted`` where it is shown by others. ``hide`` tells of a secret that is used; links and keys of others
are known by their looks.
"""

from __future__ import annotations

import functools
import re
import threading
import typing as t
from base64 import b64encode
from urllib.parse import unquote

from .secret_words import ALL, MASK, NAMES, has_any

#: Longest text of others that an error repeats, and longest code or ID.
MAX_TEXT = 400
MAX_NAME = 100

#: No key, token or signature is so short. Common words are, and would be masked wherever they stand.
_SHORTEST = 8

#: The largest number of secrets that are remembered: keys and links are renewed as long as a process lives.
_MAX_HIDDEN = 64

#: What the signature of a link looks like.
_SIGNED = r"(?i)(?:signature|token|credential|accesskeyid)=([^&#]+)"
#: All that looks like a secret has one of these: most fields of a result have none.
_SUSPICIOUS = re.compile(r"[?@=%&:>\\ ]|LTAI|STS\.|CAIS")

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
            _shown_name.cache_clear()


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


def quoted(text: object, limit: int = MAX_TEXT) -> str:
    """What others say: safe, on one line, and of a length that people read."""
    return printable(" ".join(redacted(str(text)).split()), limit)


def counted(number: int, what: str) -> str:
    """Return ``1 row``, ``2 rows``; a noun of several words with its last one in the plural: ``2 download tasks``."""
    if number == 1:
        return f"1 {what}"
    for end, plural in (("ry", "ries"), ("x", "xes")):
        if what.endswith(end):
            return f"{number} {what[: -len(end)]}{plural}"
    return f"{number} {what}s"


def printable(text: str, limit: t.Optional[int] = None) -> str:
    """The text with escapes for all that does not print: what a terminal obeys, turns around, or gives no room."""
    if not text.isprintable() or (
        not text.isascii() and re.search(_INVISIBLE, text)
    ):
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


def safe(value: T) -> T:
    """The text, or all texts in lists and dictionaries, without secrets, and all of it to be seen.

    An ID that this changes is none.
    """
    result: t.Any = value
    if isinstance(value, str):
        result = value if _is_plain(value) else printable(_redacted_text(value))
    elif isinstance(value, dict):
        result = {}
        # One look at all of its texts is far faster than one at each, and nearly always enough.
        all_plain = _is_plain(
            "|".join([x for x in value.values() if isinstance(x, str)])
        )
        for name, inner in value.items():
            shown, is_secret = _shown_name(name)
            inner = _masked(inner) if is_secret else inner
            result[shown] = (
                inner if all_plain and isinstance(inner, str) else safe(inner)
            )
    elif isinstance(value, (list, tuple)):
        result = [safe(inner) for inner in value]
    return t.cast(T, result)


def _is_plain(text: str) -> bool:
    """Whether nothing in it needs a second look, as in nearly all fields of a response."""
    return (
        text.isascii()
        and text.isprintable()
        and not _SUSPICIOUS.search(text)
        and not any(_may_hold(text, secret) for secret in tuple(_hidden))
    )


# The same names come with each item of a list.
@functools.lru_cache(512)
def _shown_name(name: object) -> tuple[t.Any, bool]:
    """The name of a field as it is shown, and whether it is that of a secret."""
    return safe(name), _is_secret(name)


def redacted(value: T) -> T:
    """The text, or all texts in lists and dictionaries, with secrets masked: those that were hidden, and what looks like one."""
    result: t.Any = value
    if isinstance(value, str):
        result = _redacted_text(value)
    elif isinstance(value, dict):
        result = {
            redacted(name): _masked(inner)
            if _is_secret(name)
            else redacted(inner)
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
        if _may_hold(text, secret):
            from .secret_patterns import pattern_of

            text = pattern_of(_forms_of(secret)).sub(MASK, text)
    if _SUSPICIOUS.search(text) and has_any(ALL, text):
        from .secret_patterns import masked_by_looks

        text = masked_by_looks(text)
    return text


def _may_hold(text: str, secret: str) -> bool:
    return len(text) >= len(secret) and any(
        core in text for core in _cores_of(secret)
    )


@functools.lru_cache(512)
def _is_secret(name: object) -> bool:
    """Whether a field of that name holds a secret."""
    if not isinstance(name, str) or not has_any(NAMES, name):
        return False
    from .secret_patterns import is_secret_name

    return is_secret_name(name)


# What was hidden, in any encoding


def _forms_of(secret: str) -> tuple[str, ...]:
    """The secret, and what is certain of it within Base64: the letters at its edges belong to what stands beside it, too."""
    forms = [secret]
    encoded = secret.encode("utf-8", "surrogateescape")
    for before in range(3):
        letters = b64encode(bytes(before) + encoded).decode()
        forms.append(
            letters[(0, 2, 3)[before] : (before + len(encoded)) * 8 // 6]
        )
    return tuple(forms)


@functools.lru_cache(_MAX_HIDDEN)
def _cores_of(secret: str) -> list[str]:
    """What is the same in all encodings of a form: its longest run of letters and digits. Found much faster than a pattern."""
    return [
        max(re.findall("[A-Za-z0-9]*", form), key=len)
        for form in _forms_of(secret)
    ]
