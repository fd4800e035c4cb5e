# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""JMESPath expressions on results."""

from __future__ import annotations

import traceback
import typing as t

from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import (
    ConfigurationError,
    MissingLibrary,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.text import quoted


def compiled(expression: str) -> t.Callable[[t.Any], t.Any]:
    """A function that applies the expression.

    Raises ConfigurationError where it does not compile, as the function does where it fails on the data.
    """
    try:
        import jmespath
    except ImportError:
        raise MissingLibrary("jmespath", "for the option query", traceback.format_exc()) from None
    # jmespath lets some errors of Python's through.
    failures = (jmespath.exceptions.JMESPathError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
    try:
        parsed = jmespath.compile(expression)
    except failures as error:
        raise ConfigurationError(
            f"query {quoted(expression)!r} is not a JMESPath expression: {_one_line(error)}."
        ) from None

    def apply(data: t.Any) -> t.Any:
        try:
            return parsed.search(data)
        except failures as error:
            raise ConfigurationError(f"query {quoted(expression)!r} fails on the result: {_one_line(error)}.") from None

    return apply


def _one_line(error: Exception) -> str:
    return quoted(error).rstrip(".")
