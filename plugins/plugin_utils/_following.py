# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.
"""The controller's side of modules whose work can go on in the background.

``module_utils/_plugin/job_protocol.py`` says what both sides say to each other.
"""

from __future__ import annotations

import multiprocessing
import re
import time
import typing as t
import uuid

from ansible.module_utils.basic import FILE_COMMON_ARGUMENTS
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError
from ansible.plugins.action import ActionBase
from ansible_collections.apsaradb.backup.plugins.module_utils._base import text
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import (
    BackupError,
    ConfigurationError,
    describe_refusal,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._base.retry import (
    RetryPolicy,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.job_protocol import (
    JobRequest,
    JobState,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.runner import (
    Runner,
    outcome,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import (
    is_outage,
)
from ansible_collections.apsaradb.backup.plugins.plugin_utils._progress import (
    ProgressLines,
    host_of,
    interval_of,
    is_read,
    show,
)

Facts = dict[str, t.Any]

#: A job whose process is lost is started so often, as on a host that ends all processes of a
#: session with it.
MAX_STARTS = 20

#: Seconds after which news are shown. They are shown later while runs of the module have cost
#: more than this share of the time: one change after a quiet hour is shown soon, many are shown together.
NEWS_AFTER = 5.0
NEWS_SHARE = 0.01

#: The result of a task whose command has ended.
ORPHANED: Facts = {
    "failed": True,
    "msg": "the Ansible run that waited for this has ended.",
    "error": {"kind": "interruption"},
}


def is_orphaned() -> bool:
    """Return whether the command has ended that this process works for.

    A command that is killed ends none of its workers.
    """
    command = multiprocessing.parent_process()
    return command is not None and not command.is_alive()


class FollowingAction(ActionBase):
    """An action plugin that runs the module of its name until there is a result."""

    _supports_check_mode = True
    _supports_async = True

    #: The runner of the module.
    RUNNER: t.ClassVar[type[Runner]]

    def run(
        self, tmp: t.Optional[str] = None, task_vars: t.Optional[Facts] = None
    ) -> Facts:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        if not result.get("skipped"):
            result.update(
                outcome(lambda: self._run(self.validate(), task_vars or {}))
            )
        return result

    def _run(self, options: Facts, task_vars: Facts) -> Facts:
        """Return the module's result. ``options``: those of the task, with defaults."""
        raise NotImplementedError

    def validate(self) -> Facts:
        """Return the options of the task with defaults. Raise ConfigurationError.

        The module does that as well, but only after a connection to its host.
        """
        spec = self.RUNNER.SPEC
        options = spec.shown_options
        for name, option in options.items():
            if option.get("no_log"):
                for each in (name, *option.get("aliases", ())):
                    text.hide(str(self._task.args.get(each) or ""))
        if spec.add_file_common_args:
            options.update(t.cast(t.Any, FILE_COMMON_ARGUMENTS))
        validated = ArgumentSpecValidator(
            options,
            mutually_exclusive=spec.mutually_exclusive,
            required_one_of=spec.required_one_of,
        ).validate(self._task.args)
        messages = [self._message_of(error) for error in validated.errors]
        if messages:
            said = ". ".join(message.rstrip(".") for message in messages)
            raise ConfigurationError(f"{said}.")
        return t.cast(Facts, validated.validated_parameters)

    def _message_of(self, error: t.Any) -> str:
        if isinstance(error, UnsupportedError):
            return f"Unsupported parameters for ({self._task.action}) module: {error.msg}"
        # Ansible's own words say neither the value nor what is allowed.
        found = re.match(
            r"argument '(\w+)' is of type .* convert to bytes", error.msg
        )
        if found:
            value = self._task.args.get(found[1])
            return (
                f"{found[1]} {value!r} is not a size: give a number of bytes, or one with the unit KB, MB or GB, "
                "such as 64KB or 4MB; 1KB has 1024 bytes"
            )
        return str(error.msg)

    def arguments_of(
        self, spec: t.Mapping[str, t.Mapping[str, t.Any]]
    ) -> Facts:
        """Return those arguments of the task that are options of the specification, or aliases of such."""
        names = set(spec)
        for option in spec.values():
            names.update(option.get("aliases", ()))
        return {
            name: value
            for name, value in self._task.args.items()
            if name in names
        }

    def follow(
        self,
        module_args: Facts,
        task_vars: Facts,
        lines: ProgressLines,
        *,
        renew: t.Optional[t.Callable[[], list[str]]] = None,
        is_long: bool = True,
    ) -> Facts:
        """Return the module's result.

        ``lines``: says what to print of the progress. ``renew``: gives new links.
        ``is_long``: whether the work can take so long that progress is of interest.
        """
        if self._task.async_val or self._task.check_mode or not is_long:
            result: Facts = self._execute_module(
                module_args=module_args,
                task_vars=task_vars,
                wrap_async=self._task.async_val,
            )
            return result
        default = self.RUNNER.SPEC.argument_spec["progress_interval"]["default"]
        interval = interval_of(self._task, default)
        host = host_of(self._task, task_vars)

        def execute(arguments: Facts) -> Facts:
            result: Facts = self._execute_module(
                module_args={**module_args, **arguments}, task_vars=task_vars
            )
            return result

        def display(printed: t.Iterable[str]) -> None:
            show(self._display, host, printed)

        links = module_args.pop("_links", None)
        shown_by = display if is_read(self._task) else None
        return _Follower(execute, lines, shown_by, interval, links, renew).run()


class _Follower:
    """Follows one job to its end.

    ``execute``: runs the module with the hidden options that it is given. ``display``: prints lines;
    none where nothing is shown.
    """

    def __init__(
        self,
        execute: t.Callable[[Facts], Facts],
        lines: ProgressLines,
        display: t.Optional[t.Callable[[t.Iterable[str]], None]],
        interval: float,
        links: t.Optional[list[str]],
        renew: t.Optional[t.Callable[[], list[str]]],
    ) -> None:
        self._execute = execute
        self._lines = lines
        self._display = display
        self._interval = interval
        #: Links that the next run hands over.
        self._links = links
        self._first_links = links
        self._renewal = _Renewal(renew) if renew else None
        self._began = self._shown_at = time.monotonic()
        self._directory: t.Optional[str] = None
        self._notes: t.Optional[t.Mapping[str, t.Any]] = None
        self._starts = 0
        #: Seconds that runs of the module took, without those in which they followed the job.
        self._costs = 0.0

    def run(self) -> Facts:
        while True:
            if self._directory is None:
                if self._starts == MAX_STARTS:
                    return _lost()
                self._starts += 1
            before = time.monotonic()
            result = self._execute(self._arguments())
            job = result.pop("_job", None)
            if job is None:
                self._show_last(result.pop("_progress", {}))
                return (
                    self._renewal.explain(result) if self._renewal else result
                )
            state = JobState(**job)
            self._costs += time.monotonic() - before - state.followed
            self._links = None
            self._directory = state.directory
            if state.directory is None:
                self._prepare_restart(state)
            elif state.needs_links and self._renewal:
                self._renew_links(self._renewal)
            if is_orphaned():
                return self._stop()
            self._show(state)

    def _arguments(self) -> Facts:
        elapsed = self._elapsed()
        left = self._shown_at + self._interval - time.monotonic()
        request = JobRequest(
            seconds=max(0.0, left),
            directory=self._directory,
            id=uuid.uuid4().hex,
            elapsed=elapsed,
            is_restarted=self._starts > 1,
            notes=self._notes,
            renews_links=self._renewal is not None,
            links_after=self._renewal.pause if self._renewal else 0.0,
            news=self._lines.news,
            news_after=self._news_after(elapsed) if self._display else None,
        )
        return {
            "_job": request._asdict(),
            **({} if self._links is None else {"_links": self._links}),
        }

    def _news_after(self, elapsed: float) -> float:
        if not self._costs:
            # The first news come with the first look, and are shown at once.
            return 0.0
        return max(NEWS_AFTER, self._costs / NEWS_SHARE - elapsed)

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _prepare_restart(self, state: JobState) -> None:
        self._notes = state.notes
        self._links = self._first_links
        # What the new job reports is counted from the start.
        self._lines.news = 0

    def _renew_links(self, renewal: _Renewal) -> None:
        try:
            self._links = renewal.links()
        except BaseException:
            self._stop()
            raise
        if self._links:
            self._first_links = self._links

    def _show(self, state: JobState) -> None:
        is_time = time.monotonic() - self._shown_at >= self._interval
        has_news = self._display is not None and state.news > self._lines.news
        if is_time or has_news:
            self._shown_at = time.monotonic()
            if self._display:
                self._display(self._lines.of(state.progress, self._elapsed()))

    def _show_last(self, progress: t.Mapping[str, t.Any]) -> None:
        if self._display:
            self._display(self._lines.last(progress, self._elapsed()))

    def _stop(self) -> Facts:
        """End the job, and return what it has."""
        if self._directory is None:
            return dict(ORPHANED)
        request = JobRequest(seconds=0, directory=self._directory, stop=True)
        result = self._execute({"_job": request._asdict()})
        return result if "_job" not in result else dict(ORPHANED)


def _lost() -> Facts:
    return {
        "failed": True,
        "msg": f"The module's process was killed {MAX_STARTS} times.",
        "error": {"kind": "interruption"},
    }


class _Renewal:
    """New links for a work whose own are refused. It goes on meanwhile, and says itself when it has waited long enough."""

    def __init__(self, renew: t.Callable[[], list[str]]) -> None:
        self._renew = renew
        #: Why there are no links, if there are none.
        self._error: t.Optional[BackupError] = None
        self._failures = 0
        self._failed_at = self._again_at = 0.0

    @property
    def pause(self) -> float:
        """Seconds after which to ask again."""
        return max(0.0, self._again_at - time.monotonic())

    def links(self) -> t.Optional[list[str]]:
        """None where they are to be asked for again, and an empty list where they are refused: then the work ends."""
        try:
            found = self._renew()
        except BackupError as error:
            self._error = error
            # The first links came, so that the request is good.
            if not is_outage(error):
                return []
            now = time.monotonic()
            self._failed_at = (
                self._failed_at if self._failures else now - error.elapsed
            )
            self._again_at = now + RetryPolicy().pause(
                self._failures, getattr(error, "retry_after", None)
            )
            self._failures += 1
            return None
        self._error, self._failures = None, 0
        return found

    def explain(self, result: Facts) -> Facts:
        """The result of a work, with the reason why it had no new links if it ended for want of them."""
        error, before = self._error, result.get("error", {})
        if (
            not error
            or not result.get("failed")
            or before.get("kind") != "storage"
        ):
            return result
        said = describe_refusal("storage", before["code"], before["message"])
        message = f"{error} A new link was needed because {said} (HTTP {before['http_status']}, request ID {before['request_id']})."
        if self._failures:
            seconds = time.monotonic() - self._failed_at
            message += f" There was no new link for {seconds:.0f} seconds: raise outage_timeout to tolerate longer outages."
        return text.redacted(
            {
                **result,
                "msg": message,
                "error": {**error.to_dict(), "storage": before},
            }
        )
