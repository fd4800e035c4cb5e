# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The result of a module that restores."""

from __future__ import annotations

import typing as t

from .._base.text import counted
from .._restore.loader import TableProgress
from .._restore.model import State, TableName, TableRecord
from .._restore.restoration import Outcome

Facts = dict[str, t.Any]


def result_of(
    outcome: Outcome, src: str, left_out: t.Sequence[str], elapsed: float
) -> Facts:
    """Return the result, also of a restore that did not end well."""
    tables = _tables_of(outcome)
    loaded = sum(one.size for one in outcome.tables)
    return {
        "changed": outcome.changed,
        "src": src,
        "restore_id": outcome.restore_id,
        "state": outcome.state.value,
        "server": outcome.server,
        "databases": sorted({table["database"] for table in tables}),
        "tables": tables,
        "skipped_tables": list(map(str, outcome.skipped)),
        "totals": {
            "tables": len(tables),
            "rows": sum(table["rows_expected"] for table in tables),
            "bytes": sum(table["bytes"] for table in tables),
            "bytes_loaded": loaded,
            "bytes_per_second": round(loaded / elapsed) if elapsed else 0,
        },
        "dialect": _dialect_of(outcome),
        "replaced": outcome.replaced,
        "resumed_from": outcome.resumed_from,
        "left_out": list(left_out),
        "advice": outcome.advice,
        "elapsed": round(elapsed, 3),
    }


def diff_of(outcome: Outcome, *, predicts: bool) -> dict[str, str]:
    """Return the tables and their rows before and after, for Ansible's diff mode."""
    before, after = [], []
    for one in outcome.tables:
        target = one.plan.target
        rows = outcome.rows_before.get(one.plan.number)
        is_new = rows is None or one.plan.place != target
        if rows is not None:
            before.append(f"{target}: {counted(rows, 'row')}")
        found = one.plan.source.records if predicts else one.rows_found
        if not is_new and found is None:
            found = rows
        if found is not None:
            after.append(f"{target}: {counted(found, 'row')}")
    return {"before": _lines(before), "after": _lines(after)}


def _lines(texts: list[str]) -> str:
    return "".join(f"{text}\n" for text in texts)


def _tables_of(outcome: Outcome) -> list[Facts]:
    if outcome.tables or not outcome.record:
        return [_table(one) for one in outcome.tables]
    return [_known(one) for one in outcome.record.tables.values()]


def _table(progress: TableProgress) -> Facts:
    plan, verified = progress.plan, progress.verified
    return {
        **_names(plan.target),
        "state": progress.state.value,
        "rows_expected": plan.source.records,
        "rows_reported": progress.rows,
        "rows_found": progress.rows_found,
        "bytes": plan.source.size,
        "seconds": round(progress.seconds, 3),
        "warnings": progress.warnings,
        "sampled": verified.sampled if verified else None,
        "key_names": list(verified.keys) if verified else None,
        "checksum": verified.checksum if verified else None,
    }


def _known(record: TableRecord) -> Facts:
    """Return what is known of a table that an earlier run restored."""
    return {
        **_names(record.target),
        "state": State.DONE.value,
        "rows_expected": record.rows_expected,
        "rows_reported": record.rows_expected,
        "rows_found": record.rows_found,
        "bytes": 0,
        "seconds": 0.0,
        "warnings": 0,
        "sampled": None,
        "key_names": None,
        "checksum": None,
    }


def _names(name: TableName) -> Facts:
    return {
        "database": name.database,
        "schema": name.schema or None,
        "name": name.name,
    }


def _dialect_of(outcome: Outcome) -> t.Optional[Facts]:
    dialect = outcome.dialect
    if dialect is None:
        return None
    return {
        "csv_null": dialect.null.value,
        "csv_escape": "backslash" if dialect.has_escapes else "none",
    }
