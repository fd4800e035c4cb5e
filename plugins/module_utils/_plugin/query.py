# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""JMESPath expressions on results."""

from __future__ import annotations

import traceback
import typing as t

from .._base.errors import ConfigurationError, MissingLibraryError
from .._base.text import quoted

Options = t.Mapping[str, t.Any]
Apply = t.Callable[[t.Any], t.Any]

QUERY_SPEC: dict[str, dict[str, t.Any]] = {
    "query": {"type": "str"},
    "query_only": {"type": "bool", "default": False},
}


def compiled(expression: str) -> t.Callable[[t.Any], t.Any]:
    """A function that applies the expression.

    Raises ConfigurationError where it does not compile, as the function does where it fails on the data.
    """
    try:
        import jmespath
    except ImportError:
        raise MissingLibraryError(
            "jmespath", "for the option query", traceback.format_exc()
        ) from None
    # jmespath lets some errors of Python's through.
    failures = (
        jmespath.exceptions.JMESPathError,
        ArithmeticError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    )
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
            raise ConfigurationError(
                f"query {quoted(expression)!r} fails on the result: {_one_line(error)}."
            ) from None

    return apply


class Query(t.NamedTuple):
    """The options ``query`` and ``query_only``."""

    expression: t.Optional[str]
    function: t.Optional[Apply]
    only: bool

    @classmethod
    def parse(cls, options: Options) -> Query:
        """Compile the expression. Raises ConfigurationError."""
        expression = options["query"]
        if options["query_only"] and not expression:
            raise ConfigurationError(
                "query_only needs query: it returns nothing else."
            )
        return cls(
            expression,
            compiled(expression) if expression else None,
            options["query_only"],
        )

    def apply(
        self, result: dict[str, t.Any], warn: t.Callable[[str], t.Any]
    ) -> dict[str, t.Any]:
        """Return the result with the value of ``query``, or with ``query_only`` that value and little else.

        ``warn`` is told where the value is null: a name that is misspelt gives that, too.
        """
        if not self.function:
            return result
        value = self.function(dict(result))
        if value is None:
            warn(
                f"query {quoted(self.expression)!r} finds nothing in the result and returns null: check the names in it."
            )
        if self.only:
            return {"changed": result["changed"], "query_result": value}
        return {**result, "query_result": value}


def _one_line(error: Exception) -> str:
    return quoted(error).rstrip(".")
