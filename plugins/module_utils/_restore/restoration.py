# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""A restore from its source to verified tables.

1. The fingerprint of the source names the restore. One that is done, and whose tables have their rows, is left alone.
2. The first pass reads the source: ``survey``. What it refuses, it refuses before anything is changed.
3. The plan is checked against the server.
4. The second pass loads: ``loader``. What the server has recorded as loaded is not loaded again.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._archive.members import Members
from .._base.text import counted
from .._files.errors import DestinationError
from .engine import Grammar, Server
from .errors import RestoreConflictError, VerificationError
from .feeder import Feeder
from .layout import data_place
from .loader import Loader, TableProgress, progress_of
from .model import (
    Dialect,
    Null,
    Plan,
    RestoreRecord,
    State,
    TableName,
)
from .planning import (
    PlanOptions,
    Selection,
    at_places,
    beside,
    listed,
    make_plan,
    restore_id_of,
)
from .progress import OnProgress, ProgressReporter
from .survey import SurveyOptions, survey


class Request(t.NamedTuple):
    """What to restore, and how. ``on_existing``: ``error``, ``skip`` or ``replace``. ``threads``: sessions that load.

    ``counts_before``: whether to count the rows of tables that exist.
    """

    selection: Selection
    options: PlanOptions
    samples: int
    null: t.Optional[Null]
    has_escapes: t.Optional[bool]
    on_existing: str
    threads: int
    counts_before: bool = False


@dataclasses.dataclass
class Outcome:
    """The result of a restore, or how far it came. ``resumed_from``: pieces that an earlier run loaded."""

    restore_id: str = ""
    state: State = State.PLANNED
    changed: bool = False
    server: str = ""
    tables: list[TableProgress] = dataclasses.field(default_factory=list)
    skipped: list[TableName] = dataclasses.field(default_factory=list)
    record: t.Optional[RestoreRecord] = None
    dialect: t.Optional[Dialect] = None
    resumed_from: int = 0
    #: Rows of tables before the restore, by the numbers of the tables; None for tables that did not exist.
    rows_before: dict[int, t.Optional[int]] = dataclasses.field(
        default_factory=dict
    )
    #: Names that replaced tables or databases have now, by those that they had.
    replaced: dict[str, str] = dataclasses.field(default_factory=dict)
    advice: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)


class Restoration:
    """One restore. ``outcome`` holds what is known of it, also after an error."""

    def __init__(
        self,
        members: Members,
        grammar: Grammar,
        server: Server,
        request: Request,
        watch: OnProgress,
    ) -> None:
        self.outcome = Outcome()
        self._members = members
        self._grammar = grammar
        self._server = server
        self._request = request
        self._reporter = ProgressReporter(watch)
        #: The record of a restore that was done, and whose tables are all gone.
        self._gone: t.Optional[RestoreRecord] = None

    def predict(self) -> Outcome:
        """Do all that changes nothing. ``outcome.changed`` says whether a run would change something."""
        plan = self._prepare()
        if plan:
            self.outcome.tables = progress_of(plan, self.outcome.record)
        return self.outcome

    def run(self) -> Outcome:
        """Restore. Raises BackupError."""
        outcome, server = self.outcome, self._server
        plan = self._prepare(keeps_others_out=True)
        if not plan or not outcome.changed:
            return outcome
        if self._gone:
            server.forget(self._gone)
        record = outcome.record
        if record and record.state is State.PARTIAL:
            # Before a table is added, which makes it unfinished again.
            server.set_state(plan.restore_id, State.LOADING)
        if record is None or any(
            one.number not in record.tables for one in plan.tables
        ):
            server.begin(plan)
        record = outcome.record = record or RestoreRecord(
            plan.restore_id, State.LOADING, plan.piece_size
        )
        if record.state is not State.SWAPPING:
            outcome.state = State.LOADING
            server.create(plan, record, self._request.threads)
            outcome.resumed_from = len(record.pieces)
            self._load(plan, record)
            server.complete(plan)
        if plan.replaced or record.state is State.SWAPPING:
            outcome.state = State.SWAPPING
            # After the swap, tables are not where they were loaded: a run that finds this state only continues the swap.
            server.set_state(plan.restore_id, State.SWAPPING)
            outcome.replaced = server.swap(plan)
        # Last of all: after a kill before it, a run does the last steps again.
        server.set_state(
            plan.restore_id, State.PARTIAL if outcome.skipped else State.DONE
        )
        outcome.state = State.DONE
        return outcome

    def _prepare(self, *, keeps_others_out: bool = False) -> t.Optional[Plan]:
        """Return the plan; None if the restore was done before."""
        outcome, request, server = self.outcome, self._request, self._server
        options = request.options
        fingerprint = self._members.fingerprint(self._tick_reading)
        outcome.restore_id = restore_id_of(
            fingerprint, request.selection, options
        )
        outcome.server = server.open()
        record = outcome.record = server.find(outcome.restore_id)
        if record and record.state is State.DONE:
            if self._confirm(record):
                return None
            self._gone, record = record, None
            outcome.record = None
        if record:
            # Pieces of another size would be other pieces.
            options = options._replace(piece_size=record.piece_size)
        plan = self._plan(options)
        remarks = server.check(plan)
        outcome.advice = remarks.advice
        outcome.warnings += remarks.warnings
        if keeps_others_out:
            server.lock(plan)
            if not self._gone:
                record = outcome.record = self._find_again(plan)
        plan = self._arrange(plan, record)
        self._check_space(plan, record)
        if request.counts_before:
            outcome.rows_before = server.count(RestoreRecord.of(plan))
        outcome.changed = bool(plan.tables) and not self._lacks_nothing(
            plan, record
        )
        return plan

    def _lacks_nothing(
        self, plan: Plan, record: t.Optional[RestoreRecord]
    ) -> bool:
        """Say whether all tables are restored but those that are skipped now, as before."""
        return bool(
            record
            and record.state is State.PARTIAL
            and self.outcome.skipped
            and all(one.number in record.tables for one in plan.tables)
            and self._confirm(record)
        )

    def _find_again(self, plan: Plan) -> t.Optional[RestoreRecord]:
        """Find the record, now that no other run can change it: one may have been at work since the plan was begun."""
        record = self._server.find(plan.restore_id)
        if record and (
            record.state is State.DONE or record.piece_size != plan.piece_size
        ):
            raise RestoreConflictError(
                "another run of the same restore was at work until now",
                hint="Run it again",
            )
        return record

    def _plan(self, options: PlanOptions) -> Plan:
        request = self._request
        backup = survey(
            self._members,
            self._grammar,
            SurveyOptions(
                options.piece_size,
                request.samples,
                request.null,
                request.has_escapes,
                request.selection.selects,
            ),
            self._tick_reading,
        )
        request.selection.check(backup.names)
        self.outcome.dialect = backup.dialect
        self.outcome.warnings += backup.warnings
        return make_plan(backup, request.selection, options)

    def _confirm(self, record: RestoreRecord) -> bool:
        """Check that the tables of a restore that is done still have their rows.

        Returns whether there is any: all of them may have been dropped, to be restored again.
        """
        counts = self._server.count(record)
        if record.tables and all(count is None for count in counts.values()):
            return False
        for number, table in record.tables.items():
            found = counts.get(number)
            if found != table.rows_found:
                what = (
                    "no longer exists"
                    if found is None
                    else f"has {counted(found, 'row')}"
                )
                raise RestoreConflictError(
                    f"{table.target} {what}, and had {counted(table.rows_found or 0, 'row')} when this backup was restored",
                    hint="Set rename to restore under another name, or drop all tables of this restore to restore them again",
                )
        self.outcome.state = State.DONE
        return True

    def _arrange(self, plan: Plan, record: t.Optional[RestoreRecord]) -> Plan:
        """Decide on tables that exist: nothing is loaded into those that this module did not create."""
        ours = record.tables if record else {}
        tables = tuple(
            dataclasses.replace(one, place=ours[one.number].place)
            if one.number in ours
            else one
            for one in plan.tables
        )
        plan = at_places(dataclasses.replace(plan, tables=tables))
        existing = [
            one for one in self._server.existing(plan) if one.number not in ours
        ]
        policy = self._request.on_existing
        databases = {one.target.database for one in existing}
        if (
            existing
            and policy == "replace"
            and databases.isdisjoint(
                one.target.database for one in ours.values()
            )
        ):
            plan = beside(plan, databases)
            self._server.check_swap(plan)
        elif existing and policy == "skip":
            self.outcome.skipped = [one.target for one in existing]
            left = tuple(one for one in plan.tables if one not in existing)
            plan = dataclasses.replace(plan, tables=left)
        elif existing:
            names = [str(one.target) for one in existing]
            raise RestoreConflictError(
                f"these tables exist, and this restore did not create them: {listed(names)}",
                hint="Set rename to restore under another name, or on_existing to skip or replace. If an earlier restore "
                "created them, with another backup or other options, run that one again, or drop them",
            )
        return plan

    def _check_space(
        self, plan: Plan, record: t.Optional[RestoreRecord]
    ) -> None:
        """Refuse a restore that needs more space than the server has, by what is left to load."""
        space = self._server.space()
        left = sum(
            one.plan.source.size * one.pieces_left / max(1, one.pieces)
            for one in progress_of(plan, record)
        )
        needed = round(left * space.factor)
        if space.free is not None and space.free < needed:
            raise DestinationError(
                f"the disk of the server has {counted(space.free, 'byte')} free, and the restore needs about {needed}",
                hint="Free some space, or restore fewer tables",
            )

    def _load(self, plan: Plan, record: RestoreRecord) -> None:
        tables = self.outcome.tables = progress_of(plan, record)
        loader = Loader(
            plan, tables, self._server.session, self._request.threads
        )
        try:
            feeder = Feeder(
                plan,
                record,
                loader,
                self._grammar.has_escapes,
                self._tick_loading,
            )
            if any(one.pieces_left for one in tables):
                for member, content in self._members.iterate(
                    self._tick_loading
                ):
                    feeder.take(
                        member.printable,
                        data_place(member) is not None,
                        content,
                    )
                self._check_unchanged(plan)
            feeder.flush()
            while not loader.is_done:
                loader.wait()
                self._tick_loading()
        finally:
            loader.close()

    def _check_unchanged(self, plan: Plan) -> None:
        # The source compares its checksum with that of the first pass itself.
        if (
            self._members.fingerprint(self._tick_loading)
            != plan.backup.fingerprint
        ):
            raise VerificationError("the source was changed while it was read")

    def _tick_reading(self) -> None:
        self._reporter.reading(self._members)

    def _tick_loading(self) -> None:
        self._reporter.loading(self.outcome.tables)
