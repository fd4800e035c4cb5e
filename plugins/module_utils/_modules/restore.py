# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What the modules that restore have in common: options, progress and result.

Their action plugin is told ``src``, ``phase``, ``done`` and ``total`` bytes, ``tables_done``, ``tables``, ``activity`` and
the seconds ``elapsed`` since the phase began.
"""

from __future__ import annotations

import contextlib
import time
import typing as t

from .._archive.members import open_members
from .._base.errors import BackupError, ConfigurationError
from .._base.text import printable
from .._plugin.checks import (
    Choices,
    Options,
    check_choice,
    check_path,
    check_range,
    path_exists,
)
from .._plugin.job_protocol import JOB_SPEC
from .._plugin.job_runner import JobRunner
from .._plugin.runner import Module
from .._restore.engine import Grammar, Server
from .._restore.errors import InvalidBackupError, VerificationError
from .._restore.model import Null, State
from .._restore.planning import PlanOptions, Selection
from .._restore.progress import Progress
from .._restore.restoration import Outcome, Request, Restoration
from .restore_result import diff_of, result_of

_AUTO = "auto"
_POLICIES = Choices(("error", "skip", "replace"))
_DEFER = Choices(("auto", "always", "never"))
_NULLS = Choices(("auto", *(null.value for null in Null)))

#: Options of both modules.
RESTORE_SPEC: dict[str, dict[str, t.Any]] = {
    "src": {"type": "path", "required": True},
    "databases": {"type": "list", "elements": "str", "default": []},
    "tables": {"type": "list", "elements": "str", "default": []},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "rename": {"type": "dict", "default": {}},
    "on_existing": {
        "type": "str",
        "default": "error",
        "choices": _POLICIES,
    },
    "parallel": {"type": "int", "default": 4},
    "piece_size": {"type": "bytes", "default": "2MB"},
    "defer_indexes": {"type": "str", "default": "auto", "choices": _DEFER},
    "csv_null": {"type": "str", "default": "auto", "choices": _NULLS},
    "sample": {"type": "int", "default": 10},
    "checksum": {"type": "bool", "default": False},
    "show_data": {"type": "bool", "default": False},
    **JOB_SPEC,
}


class RestoreRequest(t.NamedTuple):
    """What a module is to restore. ``src``: an absolute path."""

    src: str
    request: Request
    server: Server


class RestoreRunner(JobRunner):
    """A run of one of the modules. Each has a subclass for its engine."""

    GRAMMAR: t.ClassVar[type[Grammar]]
    #: What exports of the engine never contain.
    LEFT_OUT: t.ClassVar[tuple[str, ...]]

    def __init__(self, *, diff_mode: bool = False, **more: t.Any) -> None:
        super().__init__(**more)
        self._diff_mode = diff_mode
        self._outcome: t.Optional[Outcome] = None
        self._src = ""
        self._began = 0.0
        self._phase = ""
        self._phase_began = 0.0

    @classmethod
    def of(cls, module: Module) -> RestoreRunner:
        return cls(
            diff_mode=module.diff_mode,
            check_mode=module.check_mode,
            remote_tmp=module.remote_tmp,
        )

    def complete(self, options: Options) -> Options:
        # Nothing of a restore is in the environment.
        return options

    def server_of(self, options: Options) -> Server:
        """Return the server of the options. Nothing is sent to it. Raises ConfigurationError."""
        raise NotImplementedError

    def data_options_of(self, options: Options) -> dict[str, t.Any]:
        """Return the options of the engine that change what is in the tables."""
        return {}

    def has_escapes(self, options: Options) -> t.Optional[bool]:
        """Return whether backslashes escape in CSV files; None to find out."""
        return False

    def parse(self, options: Options) -> RestoreRequest:
        check_range(options, "progress_interval", 1, 86400, " seconds")
        null = check_choice("csv_null", options["csv_null"], _NULLS)
        defer = check_choice("defer_indexes", options["defer_indexes"], _DEFER)
        data_options = {
            "csv_null": null,
            "has_escapes": self.has_escapes(options),
            **self.data_options_of(options),
        }
        plan_options = PlanOptions(
            check_range(
                options, "piece_size", 64 << 10, 64 << 20, " bytes, such as 2MB"
            ),
            _names_in(options["rename"], self.GRAMMAR()),
            None if defer == _AUTO else defer == "always",
            data_options,
            options["checksum"],
        )
        request = Request(
            Selection(
                *(
                    tuple(options[name])
                    for name in ("databases", "tables", "exclude")
                )
            ),
            plan_options,
            check_range(options, "sample", 2, 10_000),
            None if null == _AUTO else Null(null),
            data_options["has_escapes"],
            check_choice("on_existing", options["on_existing"], _POLICIES),
            check_range(options, "parallel", 1, 32),
            self._diff_mode,
        )
        return RestoreRequest(
            check_path(options, "src"), request, self.server_of(options)
        )

    def run(self, request: RestoreRequest) -> dict[str, t.Any]:
        self._began = self._phase_began = time.monotonic() - self.job.elapsed
        self._src = request.src
        if not path_exists(request.src):
            return self._without_source()
        operation = f"restore {request.src}"
        try:
            with contextlib.ExitStack() as stack:
                members = stack.enter_context(
                    contextlib.closing(open_members(request.src))
                )
                stack.callback(request.server.close)
                restoration = Restoration(
                    members,
                    self.GRAMMAR(),
                    request.server,
                    request.request,
                    self._report,
                )
                self._outcome = restoration.outcome
                if self._check_mode:
                    restoration.predict()
                else:
                    restoration.run()
        except BackupError as error:
            # Running it again does not cure a damaged backup.
            is_damage = isinstance(
                error, (InvalidBackupError, VerificationError)
            )
            error.in_context(
                operation, hint="" if is_damage else self._resume_hint()
            )
            raise
        for warning in self._outcome.warnings:
            self._warn(warning)
        return self.partial_result()

    def _without_source(self) -> dict[str, t.Any]:
        if not self._check_mode:
            raise ConfigurationError(
                f"src {self._src!r} does not exist: give the path of an archive or a directory on this host."
            )
        # An earlier task may bring it.
        self._warn(
            f"{printable(self._src)} does not exist now. Without check mode, this fails unless an earlier task creates it."
        )
        self._outcome = Outcome(changed=True)
        return self.partial_result()

    def partial_result(self) -> dict[str, t.Any]:
        if self._outcome is None:
            return {}
        elapsed = time.monotonic() - self._began
        result = result_of(self._outcome, self._src, self.LEFT_OUT, elapsed)
        if self._diff_mode:
            result["diff"] = diff_of(self._outcome, predicts=self._check_mode)
        return result

    def interruption_note(self) -> str:
        hint = self._resume_hint()
        return f"{hint}." if hint else ""

    def _resume_hint(self) -> str:
        outcome = self._outcome
        if outcome and outcome.record and outcome.state is not State.DONE:
            return "What is loaded is kept: run it again to continue"
        return ""

    def _report(self, progress: Progress) -> None:
        self.job.check()
        if progress.phase != self._phase:
            self._phase, self._phase_began = progress.phase, time.monotonic()
        elapsed = round(time.monotonic() - self._phase_began, 3)
        self.job.report(
            {**progress._asdict(), "src": self._src, "elapsed": elapsed}
        )


def check_file(options: Options, name: str) -> t.Optional[str]:
    """Check that the file of an option can be read: drivers ignore some that cannot. Returns its path."""
    path = options[name]
    if path is None:
        return None
    try:
        with open(path, "rb"):
            return str(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(
            f"{name} {path!r} cannot be read: {reason}. Give the path of a file on this host."
        ) from None


def _names_in(
    rename: t.Mapping[str, t.Any], grammar: Grammar
) -> dict[str, str]:
    for old, new in rename.items():
        if not isinstance(new, str) or not new.strip() or new != new.strip():
            raise ConfigurationError(
                f"rename gives {old!r} the name {new!r}: give a text without blanks around it, such as {old}_test."
            )
        parts = new.split(".") if "." in old else [new]
        if max(map(grammar.name_length, parts)) > grammar.longest_name:
            raise ConfigurationError(
                f"rename gives {old!r} the name {new!r}: give one of at most {grammar.longest_name} {grammar.name_unit}."
            )
    return dict(rename)
