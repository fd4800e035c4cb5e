# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Times as users and services write them."""

from __future__ import annotations

import re
from datetime import datetime

from .values import SMALLEST_MILLISECONDS

#: The last one of the year 9999.
_LARGEST_MILLISECONDS = 253_402_300_799_999

#: Extended and basic format; datetime.fromisoformat of Python 3.9 and 3.10 reads only a part of it.
_ISO_8601 = (
    r"(?P<year>\d{4})-?(?P<month>\d\d)-?(?P<day>\d\d)[Tt ]"
    r"(?P<hour>\d\d):?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
    r"(?:(?P<utc>[Zz])|(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d)?)?"
)


_UNITS = {
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}


def given_milliseconds(value: str, now: int, *, is_end: bool = False) -> int:
    """Epoch milliseconds of a time as users write it: as ``milliseconds`` takes it, so long before now, or a date in UTC.

    ``now``: in epoch milliseconds. ``is_end``: a date is its end, and its beginning otherwise.
    Raises ValueError with what is wrong and what is allowed.
    """
    text = value.strip()
    ago = re.fullmatch(r"-([0-9]{1,9})([smhdw])", text)
    if ago:
        parse_time = now - int(ago[1]) * _UNITS[ago[2]]
        if parse_time < SMALLEST_MILLISECONDS:
            raise ValueError("is before 1973: give a later time")
        return parse_time
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        text += "T23:59:59.999Z" if is_end else "T00:00:00Z"
    try:
        return milliseconds(text)
    except NotATimeError:
        raise ValueError(
            "is not a time: give milliseconds since 1970, ISO 8601 with a zone such as 2026-01-31T00:00:00Z, a date such as"
            " 2026-01-31, or a time before now such as -24h (s, m, h, d or w)"
        ) from None


class NotATimeError(ValueError):
    """Text that is no time at all."""


def milliseconds(value: str) -> int:
    """Epoch milliseconds of epoch milliseconds or of an ISO 8601 time with a zone.

    Raises ValueError with what is wrong and what is allowed.
    """
    text = value.strip()
    number = re.fullmatch(r"([0-9]+)(\.0+)?", text)
    if number:
        if not SMALLEST_MILLISECONDS <= int(number[1]) <= _LARGEST_MILLISECONDS:
            small = int(number[1]) < SMALLEST_MILLISECONDS
            raise ValueError(
                f"is too {'small' if small else 'large'} for milliseconds since 1970"
                + (": multiply seconds by 1000" if small else "")
            )
        return int(number[1])
    parts = re.fullmatch(_ISO_8601, text, re.ASCII)
    try:
        if not parts:
            raise ValueError
        date = "-".join(parts.group("year", "month", "day"))
        clock = f"{parts['hour']}:{parts['minute']}:{parts['second'] or '00'}.{(parts['fraction'] or '')[:6]:0<6}"
        offset = (
            f"{parts['sign']}{parts['hours']}:{parts['minutes'] or '00'}"
            if parts["sign"]
            else ""
        )
        time = datetime.fromisoformat(
            f"{date}T{clock}{'+00:00' if parts['utc'] else offset}"
        )
    except ValueError:
        raise NotATimeError(
            "is not a time: it is neither in milliseconds since 1970 nor in ISO 8601"
        ) from None
    if time.tzinfo is None:
        raise ValueError(
            "has no time zone: append Z for UTC, or an offset such as +08:00"
        )
    if time.year < 1973:
        raise ValueError("is before 1973: give a later time")
    return round(time.timestamp() * 1000)
