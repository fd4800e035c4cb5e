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
from .checks import Options
from .options import completed

Facts = t.Mapping[str, t.Any]


#: Ctrl-C, the end of a session, and the usual way to end a process.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptedRunError(BaseException):
    """Like KeyboardInterrupt, for any signal that asks the module to end."""


class ModuleSpec(t.NamedTuple):
    """Arguments of AnsibleModule: the options, and what holds between them."""

    argument_spec: t.Mapping[str, t.Mapping[str, t.Any]]
    mutually_exclusive: t.Sequence[t.Sequence[str]] = ()
    required_one_of: t.Sequence[t.Sequence[str]] = ()
    add_file_common_args: bool = False

    @property
    def shown_options(self) -> dict[str, t.Mapping[str, t.Any]]:
        """The options without the hidden ones, whose names begin with an underscore."""
        options = self.argument_spec.items()
        return {
            name: option for name, option in options if not name.startswith("_")
        }


class Runner:
    """One run of a module, from its options to its result. Each module has a subclass."""

    SPEC: t.ClassVar[ModuleSpec]

    def __init__(
        self, *, warn: t.Callable[[str], t.Any], check_mode: bool = False
    ) -> None:
        self._warn = warn
        self._check_mode = check_mode

    @classmethod
    def of(cls, module: Module) -> Runner:
        return cls(warn=warner(module), check_mode=module.check_mode)

    def complete(self, options: Options) -> Options:
        """Add what the environment or a default says of options that are not set."""
        return completed(options)

    def parse(self, options: Options) -> t.Any:
        """Check the completed options before any call, and return them as a typed value.

        Raise ConfigurationError.
        """
        raise NotImplementedError

    def run(self, request: t.Any) -> Facts:
        """Do what the request says, and return the result. Raise any BackupError."""
        raise NotImplementedError

    def partial_result(self) -> Facts:
        """Return what is known of a run that failed."""
        return {}

    def interruption_note(self) -> str:
        """Return a sentence for an interruption, as where the effect of a request is not known."""
        return ""

    def outcome(self, options: Options) -> dict[str, t.Any]:
        """Return the result of the module; ``failed`` is set in it if it is an error."""

        def run() -> Facts:
            return self.run(self.parse(self.complete(options)))

        return whole_outcome(
            until_signalled(run), self.partial_result, self.interruption_note
        )


def run_module(runner_class: type[Runner]) -> t.NoReturn:
    """End the process with the result of the module, or with the error that says why there is none."""
    module = Module(runner_class.SPEC)
    finish(
        module,
        runner_class.of(module).outcome({**module.params, **module.hidden}),
    )


class Module(AnsibleModule):
    """AnsibleModule without the hidden options.

    It would show them in errors and invocations, and the sanity tests want documentation of all
    that it knows.
    """

    #: Set by AnsibleModule, from what Ansible says.
    _remote_tmp: str

    def __init__(self, spec: ModuleSpec) -> None:
        shown = spec.shown_options
        #: The hidden options and their values.
        self.hidden = dict.fromkeys(set(spec.argument_spec) - set(shown))
        super().__init__(  # type: ignore[no-untyped-call]
            supports_check_mode=True,
            **spec._replace(argument_spec=shown)._asdict(),
        )

    @property
    def diff_mode(self) -> bool:
        """Whether Ansible is to show differences."""
        return bool(self._diff)

    @property
    def remote_tmp(self) -> str:
        """The directory for files of modules, as Ansible's shell plugin names it."""
        return self._remote_tmp

    def _load_params(self) -> None:
        super()._load_params()  # type: ignore[no-untyped-call]
        for name in self.hidden:
            self.hidden[name] = self.params.pop(name, None)


def outcome(
    run: t.Callable[[], Facts],
    partial_result: t.Callable[[], Facts] = dict,
    interruption_note: t.Callable[[], str] = str,
) -> dict[str, t.Any]:
    """Return what ``run`` returns, or a result with ``failed`` for an error, without secrets."""
    try:
        return dict(run())
    except MissingLibraryError as error:
        message = missing_required_lib(error.library, reason=error.reason)
        return _failure(message, error.to_dict(), exception=error.trace)
    except BackupError as error:
        return _failure(str(error), error.to_dict(), **partial_result())
    except InterruptedRunError as interruption:
        message = (
            f"Interrupted by {interruption}. {interruption_note()}".rstrip()
        )
        return _failure(message, {"kind": "interruption"}, **partial_result())


def whole_outcome(
    run: t.Callable[[], Facts],
    partial_result: t.Callable[[], Facts] = dict,
    interruption_note: t.Callable[[], str] = str,
) -> dict[str, t.Any]:
    """Do the same in a process of its own, also for unexpected errors: Ansible would print them with secrets."""
    try:
        return outcome(run, partial_result, interruption_note)
    except Exception as error:  # pylint: disable=broad-except  # whatever it is
        message = f"Unexpected error: {type(error).__name__}: {error}"
        return _failure(
            safe(message),
            {"kind": "unforeseen"},
            exception=traceback.format_exc(),
            **partial_result(),
        )


def _failure(message: str, error: Facts, **more: t.Any) -> dict[str, t.Any]:
    return redacted(
        {"failed": True, "msg": message, "error": dict(error), **more}
    )


def warner(module: AnsibleModule) -> t.Callable[[str], None]:
    """Return a function that prints warnings of the module."""
    return lambda text: module.warn(safe(text))


def finish(module: AnsibleModule, result: dict[str, t.Any]) -> t.NoReturn:
    """Print the result, and end the process."""
    for warning in result.pop("warnings", ()):
        warner(module)(warning)
    if not result.pop("failed", False):
        module.exit_json(**result)
    try:
        module.fail_json(**result)
    finally:
        if result["error"]["kind"] == "interruption":
            # Without waiting for the requests of other threads, which can take minutes.
            sys.stdout.flush()
            os._exit(1)


def until_signalled(run: t.Callable[[], Facts]) -> t.Callable[[], Facts]:
    """Return a function that does the same, and raises InterruptedRunError at a signal.

    Later signals are ignored: they must not disturb the cleanup, nor the output of the result.
    """

    def interruptible() -> Facts:
        for number in _SIGNALS:
            signal.signal(number, _interrupt)
        try:
            return run()
        finally:
            _ignore_signals()

    return interruptible


def _ignore_signals() -> None:
    # By a function that does nothing: with SIG_IGN, Python complains of signals that just arrived.
    for number in _SIGNALS:
        signal.signal(number, lambda *_unused: None)


def _interrupt(number: int, frame: object) -> t.NoReturn:
    _ignore_signals()
    raise InterruptedRunError(signal.Signals(number).name)
