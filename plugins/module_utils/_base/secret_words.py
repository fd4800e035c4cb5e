# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Words of which one stands in all that looks like a secret: most text has none, and needs no patterns."""

from __future__ import annotations

import typing as t

MASK = "********"

# In lower case.
#: Of the names of secrets.
NAMES = ("signature", "token", "key", "secret", "passw", "credential")
#: Of headers that log in.
SCHEMES = ("basic", "bearer", "oss", "acs")
#: What begins the query of a link.
QUERY = ("?", "3f")
#: What ends the login of an address.
LOGIN = ("@", "40")
#: What keys and tokens of Alibaba Cloud begin with.
KEYS = ("ltai", "sts.", "cais")

ALL = (*NAMES, *SCHEMES, *QUERY, *LOGIN, *KEYS, "authorization")


def has_any(words: t.Sequence[str], text: str) -> bool:
    # Patterns take some letters for ASCII ones that lower() leaves as they are.
    if not text.isascii():
        return True
    text = text.lower()
    return any(word in text for word in words)
