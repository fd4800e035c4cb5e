# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The signed call: one kept-alive session, each answer judged, each failure repeated while that makes sense."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
import typing as t
from datetime import datetime, timezone

from .._base.errors import BackupError, ConnectionFailedError
from .._base.requests_import import requests
from .._base.text import hide
from .._base.version import VERSION
from . import response as answer
from . import tuning
from .errors import RetryAction, ServiceError, classify, is_ambiguous
from .session import Session
from .signing import Acs3Auth, canonical_query

if t.TYPE_CHECKING:
    from .._base.http_options import HttpOptions
    from .credential import Credential, CredentialSource
    from .endpoints import Service


USER_AGENT = "apsaradb.backup/{} Python/{}.{}.{}".format(
    VERSION, *sys.version_info[:3]
)


class Client:
    """Calls the operations of one service at one host. Threads may share it.

    ``deadline``: the time, by ``time.monotonic``, after which nothing is asked any more.
    """

    def __init__(
        self,
        service: Service,
        base_url: str,
        credentials: CredentialSource,
        options: HttpOptions,
    ) -> None:
        self.service = service
        self.base_url = base_url
        self.max_connections = options.max_connections
        self._credentials = credentials
        self._options = options
        #: Held while an expired credential is replaced: by one thread, for all of them.
        self._lock = threading.Lock()
        #: Seconds of the monotonic clock after which nothing is requested any more.
        self.deadline = math.inf
        #: Seconds that the service's clock is ahead. Threads may set it at the same time: to the same.
        self._clock_offset = 0.0
        self._cancelled = threading.Event()
        self._session = Session(
            base_url,
            options,
            {"User-Agent": USER_AGENT, "Accept": "application/json"},
        )

    def cancel(self) -> None:
        """End the calls of other threads: they request nothing any more, and pauses are cut short."""
        self._cancelled.set()

    def close(self) -> None:
        self._session.close()

    def call(
        self,
        action: str,
        parameters: t.Mapping[str, str],
        *,
        operation: str,
        at_most_once: bool = False,
    ) -> dict[str, t.Any]:
        """The answer of one operation.

        ``operation`` completes "Failed to …" in errors. ``at_most_once``: not repeated where it may have had an effect.
        Raises any BackupError.
        """
        policy = self._options.retry
        began = time.monotonic()
        end = min(
            began + policy.timeout,
            max(self.deadline, began) + tuning.DEADLINE_GRACE,
        )
        attempts = 0
        corrected: list[RetryAction] = []
        while True:
            attempts += 1
            credential = self._credentials.get()
            # Before anything is sent: whatever the service quotes of it, no error shows it.
            hide(*credential)
            try:
                if (
                    self._cancelled.is_set()
                    or began > self.deadline + tuning.DEADLINE_GRACE
                ):
                    raise ConnectionFailedError(
                        "the time limit for all requests has passed", sent=False
                    )
                return self._send(
                    action, parameters, credential, end - time.monotonic()
                )
            except BackupError as error:
                elapsed = time.monotonic() - began
                error.in_context(
                    operation, action=action, attempts=attempts, elapsed=elapsed
                )
                if at_most_once and is_ambiguous(error):
                    raise
                pause = self._pause_before_repeating(
                    error, credential, corrected
                )
                # A request that would begin after the end is not worth the wait.
                if pause is None or time.monotonic() + pause >= min(
                    end, self.deadline
                ):
                    raise
                # A pause that cancel() of another thread ends at once.
                if self._cancelled.wait(pause):
                    raise

    def _pause_before_repeating(
        self,
        error: BackupError,
        credential: Credential,
        corrected: list[RetryAction],
    ) -> t.Optional[float]:
        """Seconds, or none if it is over. Corrects what the error says is wrong; ``corrected`` is what was already."""
        remedy = classify(error)
        if remedy in (RetryAction.WAIT, RetryAction.THROTTLED):
            policy = self._options.retry
            # A service that has us wait in turn is there, and its time is bounded by the total.
            # With max_retries 0, not even that is repeated.
            if error.attempts > policy.retries and (
                remedy is RetryAction.WAIT or not policy.retries
            ):
                return None
            return policy.pause(
                error.attempts - 1, getattr(error, "retry_after", None)
            )
        corrected.append(remedy)
        times = corrected.count(remedy)
        if remedy is RetryAction.NEW_NONCE and times <= tuning.MAX_NONCES:
            return 0.0
        if (
            remedy is RetryAction.SET_CLOCK
            and times == 1
            and self._set_clock(t.cast(ServiceError, error))
        ):
            return 0.0
        if (
            remedy is RetryAction.REFRESH_CREDENTIAL
            and times == 1
            and self._renewed(credential)
        ):
            return 0.0
        return None

    def _set_clock(self, error: ServiceError) -> bool:
        if error.clock_offset is None:
            return False
        self._clock_offset = error.clock_offset
        return True

    def _renewed(self, expired: Credential) -> bool:
        with self._lock:
            # Another thread may have replaced it, while this one waited for the lock.
            return (
                self._credentials.get() != expired
                or self._credentials.refresh()
            )

    def _send(
        self,
        action: str,
        parameters: t.Mapping[str, str],
        credential: Credential,
        left: float,
    ) -> dict[str, t.Any]:
        now = datetime.fromtimestamp(
            time.time() + self._clock_offset, timezone.utc
        )
        request = requests.Request(
            "POST",
            f"{self.base_url}/?{canonical_query(parameters)}",
            auth=Acs3Auth(
                credential,
                action=action,
                version=self.service.version,
                date=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                # The service takes each one once: 128 random bits are those of no other thread or host.
                nonce=os.urandom(16).hex(),
            ),
        )
        return answer.parse(
            self._session.send(request, left), self.service, action
        )
