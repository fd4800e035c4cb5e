# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""How the CSV files of a backup write NULL and backslashes: found in the data, or said by an option.

The service documents neither. What can be read in two ways is an error, as one of them would silently change values.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .engine import Grammar
from .errors import InvalidBackupError
from .model import Dialect, Null


@dataclasses.dataclass
class Evidence:
    """What tells of the dialect in one file.

    Columns are names. ``unquoted_text``: text columns with values that are not in quotes.
    ``unknown_escape``: the number of a record with a backslash that escapes nothing.
    ``has_pairs``: whether there are two backslashes in a row. ``has_escapes``: whether there is any
    other backslash in a value. ``valid``: readings of backslashes by which all records are whole.
    """

    member: str
    nulls: dict[Null, set[str]] = dataclasses.field(default_factory=dict)
    text_columns: frozenset[str] = frozenset()
    unquoted_text: set[str] = dataclasses.field(default_factory=set)
    has_quoted_empty: bool = False
    unknown_escape: t.Optional[int] = None
    has_pairs: bool = False
    has_escapes: bool = False
    valid: frozenset[bool] = frozenset((True, False))


def decide(
    evidence: t.Sequence[Evidence],
    grammar: Grammar,
    null: t.Optional[Null],
    has_escapes: t.Optional[bool],
) -> Dialect:
    """Return the dialect. ``null``, ``has_escapes``: what the options say; None to find it.

    Raises InvalidBackupError if it is ambiguous.
    """
    if has_escapes is None:
        has_escapes = _find_escapes(evidence, grammar)
    if null:
        _check_null(evidence, null)
    return Dialect(null or _find_null(evidence, grammar), has_escapes)


def _check_null(evidence: t.Sequence[Evidence], null: Null) -> None:
    """Check that other notations of NULL are in text columns only: they would be values elsewhere."""
    for one in evidence:
        for other, columns in one.nulls.items():
            wrong = columns - one.text_columns
            if other is not null and wrong:
                what = other.token.decode() or "an empty field"
                raise InvalidBackupError(
                    f"csv_null is {null.value}, but {one.member} has {what} without quotes in column {min(wrong)!r}, "
                    "which is not a text column",
                    hint=f"Set csv_null to {other.value}",
                )


def _find_escapes(evidence: t.Sequence[Evidence], grammar: Grammar) -> bool:
    if not grammar.has_escapes:
        return False
    # A backslash before a letter that it does not escape, or records that are whole only without escapes.
    plain = [
        one for one in evidence if one.unknown_escape or one.valid == {False}
    ]
    escaped = [one for one in evidence if one.valid == {True}]
    if plain and escaped:
        raise _ambiguous(
            f"backslashes escape other characters in {escaped[0].member}, but not in {plain[0].member}",
            "csv_escape to backslash or none",
        )
    if plain:
        return False
    if escaped or any(one.has_pairs for one in evidence):
        return True
    unsure = [one for one in evidence if one.has_escapes]
    if unsure:
        # A writer that escapes would have doubled a backslash somewhere, and one that does not
        # would have one before another letter: with so few of them, nobody can tell.
        raise _ambiguous(
            f"a backslash in {unsure[0].member} can be an escape or a character of the value",
            "csv_escape to backslash if a line break is written as \\n in the files, or to none",
        )
    return grammar.has_escapes


def _find_null(evidence: t.Sequence[Evidence], grammar: Grammar) -> Null:
    files = {
        kind: [one for one in evidence if one.nulls.get(kind)] for kind in Null
    }
    found = [kind for kind in Null if files[kind]]
    if not found:
        return grammar.null
    if found == [Null.EMPTY]:
        return _only_empty(files[Null.EMPTY], grammar)
    # Beside one of the words, an empty field is an empty text.
    words = [kind for kind in found if kind is not Null.EMPTY]
    if len(words) == 2:
        raise _ambiguous(
            f"{files[words[0]][0].member} has \\N, and {files[words[1]][0].member} has NULL, both without quotes",
            "csv_null to what stands for NULL",
        )
    null = words[0]
    for one in files[null]:
        both = one.nulls[null] & one.unquoted_text
        # Where text has no quotes, the word can be a text.
        if null is Null.WORD and both:
            raise _ambiguous(
                f"NULL in column {min(both)} of {one.member} can be a text, as other texts of it have no quotes",
                "csv_null to word if it stands for NULL, or to what does",
            )
    for one in files[Null.EMPTY]:
        if one.has_quoted_empty or one.nulls[Null.EMPTY] - one.text_columns:
            raise _ambiguous(
                f"{one.member} has empty fields without quotes that are not empty texts, and "
                f"{files[null][0].member} has {null.token.decode()}",
                "csv_null to what stands for NULL",
            )
    return null


def _only_empty(files: t.Sequence[Evidence], grammar: Grammar) -> Null:
    is_null = any(
        one.has_quoted_empty or one.nulls[Null.EMPTY] - one.text_columns
        for one in files
    )
    if is_null or grammar.null is Null.EMPTY:
        return Null.EMPTY
    column = min(files[0].nulls[Null.EMPTY])
    raise _ambiguous(
        f"an empty field without quotes, in column {column} of {files[0].member}, can be NULL or an empty text",
        "csv_null to empty if it stands for NULL, or to backslash_n or word if it is an empty text",
    )


def _ambiguous(message: str, choice: str) -> InvalidBackupError:
    return InvalidBackupError(
        message, hint=f"Look at the file, and set {choice}"
    )
