# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Samples of a backup, compared by value with the rows in PostgreSQL."""

from __future__ import annotations

import itertools
import re
import typing as t

from .._base.text import printable
from . import tuning
from .errors import VerificationError
from .model import Sample, TablePlan
from .postgresql_connection import Connection
from .postgresql_names import place_of, structure_of
from .postgresql_tokens import quote

#: What is special within the quotes of a value of a row.
_SPECIAL = re.compile(r'["\\]')


def compare_samples(connection: Connection, table: TablePlan) -> int:
    """Compare the samples of a table with its rows. Returns their number. Raises VerificationError.

    Types are looked for where the transaction does.
    """
    sampled = 0
    columns_of = {file.number: file.columns for file in table.source.files}
    in_order = sorted(
        table.source.samples, key=lambda one: (columns_of[one.file], one.file)
    )
    for columns, samples in itertools.groupby(
        in_order, key=lambda one: columns_of[one.file]
    ):
        has_key = bool(table.structure.primary_key) and set(
            table.structure.primary_key
        ) <= set(columns)
        # Without a key, each sample is compared with all rows.
        if columns and (
            has_key or table.source.size <= tuning.MAX_SAMPLED_WITHOUT_KEY
        ):
            for some in _in_groups(samples):
                sampled += _compare(connection, table, columns, some, has_key)
    return sampled


def _in_groups(samples: t.Iterable[Sample]) -> t.Iterator[list[Sample]]:
    """Yield as many samples at a time as are good for one statement."""
    group: list[Sample] = []
    size = 0
    for sample in samples:
        group.append(sample)
        size += sum(len(value) for value in sample.values if value)
        if size >= tuning.SAMPLES_SIZE:
            yield group
            group, size = [], 0
    if group:
        yield group


def _compare(
    connection: Connection,
    table: TablePlan,
    columns: t.Sequence[str],
    samples: t.Sequence[Sample],
    has_key: bool,
) -> int:
    """Have the server read the samples by itself, as rows of the table, and compare them."""
    every = [column.name for column in table.structure.columns]
    number = "sample"
    while number in every:
        number += "_"
    place = place_of(table)
    rows = ", ".join(
        f"({i}, {_text(_row(every, columns, sample))}::{place})"
        for i, sample in enumerate(samples)
    )
    names = f"v.{quote(number)}, (v.read).*"
    read = f"(SELECT {names} FROM (VALUES {rows}) v ({quote(number)}, read))"
    only = "" if structure_of(table).is_partitioned else "ONLY "
    source = f"{only}{place}"
    if has_key:
        key = table.structure.primary_key
        query = _by_key(read, source, columns, quote(number), key)
    else:
        query = _by_all(read, source, columns, quote(number))
    wrong = connection.execute(
        query,
        operation=f"compare samples of {table.place.printable}",
        has_data=True,
    )
    if wrong:
        raise _difference(table, samples[wrong[0][0]], wrong[0][1])
    return len(samples)


def _row(
    every: t.Sequence[str], columns: t.Sequence[str], sample: Sample
) -> str:
    """Write a sample as a row of the table, in which columns that are not in the file are NULL."""
    values = dict(zip(columns, sample.values))
    return f"({','.join(_field(values.get(name)) for name in every)})"


def _field(value: t.Optional[bytes]) -> str:
    if value is None:
        return ""
    return f'"{_SPECIAL.sub(_twice, value.decode("utf-8"))}"'


def _twice(match: re.Match[str]) -> str:
    return match[0] * 2


def _differs(column: str) -> str:
    # As text: it has the same bytes only for the same value, of types without equality, too.
    name = quote(column)
    return f's.{name}::text COLLATE "C" IS DISTINCT FROM t.{name}::text COLLATE "C"'


def _by_key(
    samples: str,
    place: str,
    columns: t.Sequence[str],
    number: str,
    key: t.Sequence[str],
) -> str:
    same = " AND ".join(f"t.{quote(name)} = s.{quote(name)}" for name in key)
    different = [
        f"CASE WHEN {_differs(name)} THEN {_text(name)} END" for name in columns
    ]
    return (
        f"SELECT * FROM (SELECT s.{number}, CASE WHEN t.ctid IS NOT NULL THEN "
        f"array_to_string(ARRAY[{', '.join(different)}]::text[], ', ') END AS columns "
        f"FROM {samples} s LEFT JOIN {place} t ON {same}) AS compared "
        f"WHERE columns IS DISTINCT FROM '' ORDER BY 1 LIMIT 1"
    )


def _by_all(
    samples: str, place: str, columns: t.Sequence[str], number: str
) -> str:
    different = " OR ".join(map(_differs, columns))
    return (
        f"SELECT s.{number}, NULL FROM {samples} s WHERE NOT EXISTS "
        f"(SELECT 1 FROM {place} t WHERE NOT ({different})) ORDER BY 1 LIMIT 1"
    )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _difference(
    table: TablePlan, sample: Sample, columns: t.Optional[str]
) -> VerificationError:
    member = next(
        file.member for file in table.source.files if file.number == sample.file
    )
    what = (
        f"differs in {printable(columns)} from the row in"
        if columns
        else "is not in"
    )
    return VerificationError(
        f"record {sample.record} of {printable(member)} {what} {table.place.printable}"
    )
