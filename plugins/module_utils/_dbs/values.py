# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Times, numbers and names of the API."""

from __future__ import annotations

import functools
import re
import typing as t
from datetime import datetime, timezone

#: Epoch times below this are in seconds: in milliseconds it is March of 1973.
SMALLEST_MILLISECONDS = 100_000_000_000

#: How long a link may be valid, in seconds.
MIN_DURATION, MAX_DURATION, DEFAULT_DURATION = 300, 86400, 7200


def iso8601(epoch_ms: t.Optional[int]) -> t.Optional[str]:
    """UTC, to the second."""
    if epoch_ms is None:
        return None
    try:
        # Far faster than strftime.
        time = datetime.fromtimestamp(epoch_ms // 1000, timezone.utc)
        return time.replace(tzinfo=None).isoformat() + "Z"
    except (OverflowError, OSError, ValueError):
        return None


def integer(value: object) -> t.Optional[int]:
    """Of an integer or a string of digits; none of anything else."""
    if isinstance(value, bool):
        return None
    if not isinstance(value, (int, float, str)):
        return None
    try:
        return int(value)
    except (OverflowError, ValueError):
        return None


def epoch_milliseconds(value: object) -> t.Optional[int]:
    """Of a time that a service gives, where some say milliseconds and mean seconds."""
    number = integer(value)
    return (
        number * 1000
        if number is not None and abs(number) < SMALLEST_MILLISECONDS
        else number
    )


@functools.lru_cache(maxsize=512)
def snake_case(name: str) -> str:
    """``TaskId`` to ``task_id``, ``ExportOSSPath`` to ``export_oss_path``."""
    return re.sub(
        r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name
    ).lower()
