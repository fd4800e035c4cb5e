# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What is the same in the ``main()`` of all modules."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import BackupError, MissingLibrary


class Interrupted(BaseException):
    """Like KeyboardInterrupt, for any signal that asks the module to end."""


def exit_with(
    module: AnsibleModule,
    answer: t.Callable[[], t.Mapping[str, t.Any]],
    so_far: t.Callable[[], t.Mapping[str, t.Any]] = dict,
    in_doubt: t.Callable[[], str] = str,
) -> t.NoReturn:
    """End the module with the answer, or with the error that says why there is none, and what was known ``so_far``.

    ``in_doubt``: a sentence for an interruption, where something was sent whose effect is not known.
    """
    try:
        with _ended_by_signals():
            result = answer()
    except MissingLibrary as error:
        module.fail_json(
            msg=missing_required_lib(error.library, reason=error.reason), error=error.facts(), exception=error.trace
        )
    except BackupError as error:
        module.fail_json(msg=str(error), error=error.facts(), **so_far())
    except Interrupted as interruption:
        try:
            message = f"Interrupted by {interruption}. {in_doubt()}".rstrip()
            module.fail_json(msg=message, error={"kind": "interruption"}, **so_far())
        finally:
            # Requests of other threads are not waited for.
            sys.stdout.flush()
            os._exit(1)
    module.exit_json(**result)


@contextlib.contextmanager
def _ended_by_signals() -> t.Iterator[None]:
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: object) -> t.NoReturn:
    raise Interrupted(signal.Signals(number).name)
