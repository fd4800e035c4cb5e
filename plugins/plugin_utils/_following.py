# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.
"""The controller's side of a module whose work goes on while its progress is printed; ``_plugin/background_job.py`` says how."""

from __future__ import annotations

import multiprocessing
import time
import typing as t
import uuid

from ansible.plugins.action import ActionBase
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import (
    BackupError,
    describe_refusal,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._base.retry import (
    RetryPolicy,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._base.text import redacted
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import (
    is_outage,
)
from ansible_collections.apsaradb.backup.plugins.plugin_utils._progress import (
    host_of,
    interval_of,
    is_read,
    show,
)

Facts = dict[str, t.Any]

DEFAULT_INTERVAL = 30.0
#: Options that the module has from its action plugin only.
BETWEEN = ("job", "links", "names")
#: A work whose process got lost is started again so often, as on a host that ends all processes of a session with it.
MAX_STARTS = 20

#: The result of a task whose command has ended.
ORPHANED: Facts = {
    "failed": True,
    "msg": "Ansible, which waited for this, is gone.",
    "error": {"kind": "interruption"},
}


def is_orphaned() -> bool:
    """Whether the command has ended that this process works for. It may have been killed, and then ends none of its workers."""
    command = multiprocessing.parent_process()
    return command is not None and not command.is_alive()


class FollowingAction(ActionBase):
    """An action plugin that runs the module of its name until there is a result."""

    _supports_check_mode = True
    _supports_async = True

    def follow(  # noqa: C901
        self,
        module_args: Facts,
        task_vars: t.Optional[Facts],
        lines: t.Callable[[Facts, float], t.Iterable[str]],
        renew: t.Optional[t.Callable[[], list[str]]] = None,
        is_long: bool = True,
    ) -> Facts:
        """The module's result.

        ``lines``: what to print of the work's progress, and of the seconds since its start. ``renew``: gives new links.
        ``is_long``: whether it can take so long that progress is of interest.
        """
        unsupported = [name for name in BETWEEN if name in self._task.args]
        if unsupported:
            message = f"Unsupported parameters for ({self._task.action}) module: {', '.join(unsupported)}"
            return {"failed": True, "msg": message, "error": {"kind": "configuration"}}
        if self._task.async_val:
            return self._clean(
                self._execute_module(
                    module_args=module_args, task_vars=task_vars, wrap_async=True
                )
            )
        if self._task.check_mode or not is_long:
            return self._clean(
                self._execute_module(module_args=module_args, task_vars=task_vars)
            )
        began = time.monotonic()
        directory: t.Optional[str] = None
        start: Facts = {"id": uuid.uuid4().hex}
        links: t.Optional[list[str]] = None
        renewal = _Renewal(renew) if renew else None
        starts = 1
        shown = began
        interval = interval_of(self._task, DEFAULT_INTERVAL)
        while True:
            left = max(0.0, shown + interval - time.monotonic())
            job = {
                "seconds": left,
                "directory": directory,
                "renews_links": renewal is not None,
                **start,
            }
            if renewal:
                job["links_after"] = renewal.pause
            given = dict(module_args, job=job)
            if directory is not None:
                given.pop("links", None)
            if links is not None:
                given["links"] = links
            result: Facts = self._execute_module(module_args=given, task_vars=task_vars)
            state = result.get("_job")
            if not state:
                return self._clean(renewal.explain(result) if renewal else result)
            links = None
            directory = state["directory"]
            if directory is None:
                start = {"id": uuid.uuid4().hex, "notes": state["notes"]}
                starts += 1
                if starts > MAX_STARTS:
                    return {
                        "failed": True,
                        "msg": f"The module's work was ended from outside {MAX_STARTS} times.",
                        "error": {"kind": "interruption"},
                    }
            elif state["needs_links"] and renewal:
                try:
                    links = renewal.links()
                except BaseException:
                    self._stop(module_args, task_vars, directory)
                    raise
            if is_orphaned():
                return self._clean(self._stop(module_args, task_vars, directory))
            if time.monotonic() - shown >= interval:
                shown = time.monotonic()
                if is_read(self._task):
                    show(
                        self._display,
                        host_of(self._task, task_vars),
                        lines(state.get("progress") or {}, shown - began),
                    )

    def _stop(
        self, module_args: Facts, task_vars: t.Optional[Facts], directory: t.Optional[str]
    ) -> Facts:
        """End the work, and return what it has."""
        if directory is None:
            return dict(ORPHANED)
        job = {"seconds": 0, "directory": directory, "stop": True}
        result: Facts = self._execute_module(
            module_args=dict(module_args, job=job), task_vars=task_vars
        )
        return result

    @staticmethod
    def _clean(result: Facts) -> Facts:
        """Without what is between the module and this plugin."""
        arguments = result.get("invocation", {}).get("module_args", {})
        for name in BETWEEN:
            arguments.pop(name, None)
        return result


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
            self._failed_at = self._failed_at if self._failures else now - error.elapsed
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
        if not error or not result.get("failed") or before.get("kind") != "storage":
            return result
        said = describe_refusal("storage", before["code"], before["message"])
        message = f"{error} A new link was needed, as {said} (HTTP {before['http_status']}, request ID {before['request_id']})."
        if self._failures:
            seconds = time.monotonic() - self._failed_at
            message += f" There was none for {seconds:.0f} seconds: raise total_timeout to live through more."
        return redacted(
            {**result, "msg": message, "error": {**error.to_dict(), "storage": before}}
        )
