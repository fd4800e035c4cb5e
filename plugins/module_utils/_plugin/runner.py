# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What is the same in the ``main()`` of all modules."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from .._base.errors import BackupError, MissingLibraryError
from .._base.text import redacted, safe
from .options import completed

Facts = t.Mapping[str, t.Any]


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptedRunError(BaseException):
    """Like KeyboardInterrupt, for any signal that asks the module to end."""


def exit_with(
    module: AnsibleModule,
    answer: t.Callable[[], Facts],
    partial_result: t.Callable[[], Facts] = dict,
    interruption_note: t.Callable[[], str] = str,
) -> t.NoReturn:
    """End a module that asks the service with the answer, or with the error that says why there is none, and what was known ``partial_result``.

    Its options are completed before. ``interruption_note``: a sentence for an interruption, as where something was sent whose
    effect is not known.
    """
    finish(module, whole_outcome(until_signalled(with_options(module, answer)), partial_result, interruption_note))


def with_options(module: AnsibleModule, answer: t.Callable[..., Facts]) -> t.Callable[..., Facts]:
    """The same, after the module's options were completed."""

    def complete(*arguments: t.Any) -> Facts:
        module.params.update(completed(module.params))
        return answer(*arguments)

    return complete


def outcome(
    answer: t.Callable[[], Facts],
    partial_result: t.Callable[[], Facts] = dict,
    interruption_note: t.Callable[[], str] = str,
) -> dict[str, t.Any]:
    """The module's result; ``failed`` is set in it if there is no answer. No secrets are in a failure."""
    try:
        return dict(answer())
    except MissingLibraryError as error:
        message = missing_required_lib(error.library, reason=error.reason)
        return _failure(message, error.to_dict(), exception=error.trace)
    except BackupError as error:
        return _failure(str(error), error.to_dict(), **partial_result())
    except InterruptedRunError as interruption:
        message = f"Interrupted by {interruption}. {interruption_note()}".rstrip()
        return _failure(message, {"kind": "interruption"}, **partial_result())


def whole_outcome(
    answer: t.Callable[[], Facts],
    partial_result: t.Callable[[], Facts] = dict,
    interruption_note: t.Callable[[], str] = str,
) -> dict[str, t.Any]:
    """The same of a module, which nobody catches errors of: one that was not foreseen may quote secrets, too."""
    try:
        return outcome(answer, partial_result, interruption_note)
    except Exception as error:  # pylint: disable=broad-except  # whatever it is
        message = f"The module failed in a way that was not foreseen: {type(error).__name__}: {error}"
        return _failure(safe(message), {"kind": "unforeseen"}, exception=traceback.format_exc(), **partial_result())


def _failure(message: str, error: Facts, **more: t.Any) -> dict[str, t.Any]:
    return redacted({"failed": True, "msg": message, "error": dict(error), **more})


def warner(module: AnsibleModule) -> t.Callable[[str], None]:
    """A function that gives warnings of the module."""
    return lambda text: module.warn(safe(text))


def finish(module: AnsibleModule, result: dict[str, t.Any]) -> t.NoReturn:
    for warning in result.pop("warnings", ()):
        warner(module)(warning)
    if not result.pop("failed", False):
        module.exit_json(**result)
    try:
        module.fail_json(**result)
    finally:
        if result["error"]["kind"] == "interruption":
            # Requests of other threads are not waited for.
            sys.stdout.flush()
            os._exit(1)


def until_signalled(answer: t.Callable[[], Facts]) -> t.Callable[[], Facts]:
    """The same, but ended by Interrupted when a signal asks for it.

    None disturbs what is done thereafter, which is to clear up, and to say what came of it.
    """

    def interruptible() -> Facts:
        for number in _SIGNALS:
            signal.signal(number, _interrupt)
        try:
            return answer()
        finally:
            _ignore_signals()

    return interruptible


def _ignore_signals() -> None:
    """By a function that does nothing: Python complains of those that are under way when SIG_IGN is set."""
    for number in _SIGNALS:
        signal.signal(number, lambda *_unused: None)


def _interrupt(number: int, frame: object) -> t.NoReturn:
    _ignore_signals()
    raise InterruptedRunError(signal.Signals(number).name)
