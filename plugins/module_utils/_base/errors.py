# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Everything foreseen that can go wrong, as exceptions whose text can be shown as it is: it holds no secrets.

``ConfigurationError``  the options cannot work; no call was made
``NotSetError``         of them, something is lacking
``MissingLibraryError``      nor can it without that Python package
``ConnectionFailedError``    no answer: name resolution, connection, TLS, time-out
``InvalidResponseError``        an answer that cannot be read: truncated, not JSON, a proxy's page
``ServiceError``        the gateway or the service said no

``classify`` says which of them is worth another try, ``is_outage`` which is if the same request went well before.
"""

from __future__ import annotations

import contextlib
import typing as t

from .text import MAX_NAME, quoted, safe


class BackupError(Exception):
    """Base of all. ``str()`` is for people; ``to_dict()`` holds the same for programs."""

    kind = "error"

    def __init__(
        self, message: str, *, hint: str = "", operation: str = ""
    ) -> None:
        """``operation`` completes "Failed to …"."""
        self.message = safe(message)
        super().__init__(self.message)
        self.hint = hint
        self.operation = operation
        self.action = ""
        self.attempts = 0
        self.elapsed = 0.0

    def in_context(
        self,
        operation: str = "",
        *,
        action: str = "",
        attempts: int = 0,
        elapsed: float = 0.0,
        hint: str = "",
    ) -> BackupError:
        """Return this error with what only its caller knows.

        An operation that it names already stays, and the hint comes after its own.
        """
        self.operation = self.operation or operation
        self.action = action or self.action
        self.attempts = attempts or self.attempts
        self.elapsed = elapsed or self.elapsed
        if hint:
            self.hint = (
                f"{self.hint.rstrip('.')}. {hint}" if self.hint else hint
            )
        return self

    def __str__(self) -> str:
        operation = f"Failed to {self.operation}: " if self.operation else ""
        return safe(f"{operation}{self.explanation}")

    @property
    def explanation(self) -> str:
        """The text without the operation, for errors that this one leads to."""
        parts = [self._said()]
        if self.hint:
            parts.append(self.hint)
        if self.attempts > 1:
            parts.append(
                f"Gave up after {self.attempts} attempts in {self.elapsed:.1f} seconds."
            )
        return safe(
            " ".join(
                part if part[-1] in ".!?" else part + "." for part in parts
            )
        )

    def _said(self) -> str:
        return self.message

    def to_dict(self) -> dict[str, t.Any]:
        facts: dict[str, t.Any] = {"kind": self.kind}
        if self.action:
            facts.update(
                action=self.action,
                attempts=self.attempts,
                elapsed=round(self.elapsed, 3),
            )
        return facts


class UnforeseenError(BackupError):
    """An unexpected error, in a text without secrets."""

    kind = "unforeseen"


@contextlib.contextmanager
def foreseen() -> t.Iterator[None]:
    """Turn any other error into a BackupError, as Ansible shows on the controller whatever is raised."""
    try:
        yield
    except BackupError:
        raise
    except Exception as error:  # pylint: disable=broad-except  # whatever it is
        message = f"unexpected error: {type(error).__name__}: {error}"
        raise UnforeseenError(
            message, hint="Report it as a bug of the collection"
        ) from None


class ConfigurationError(BackupError):
    kind = "configuration"


class NotSetError(ConfigurationError):
    """A required value that neither an option nor the environment sets."""


class MissingLibraryError(ConfigurationError):
    """A Python package that is needed for ``reason``; ``trace`` tells why its import failed."""

    def __init__(self, library: str, reason: str, trace: str) -> None:
        super().__init__(
            f"The Python package {library} is needed {reason}, but cannot be imported."
        )
        self.library = library
        self.reason = reason
        self.trace = trace


class ConnectionFailedError(BackupError):
    """``permanent``: nothing that a repetition could change, such as a certificate that is not trusted.

    ``sent``: whether the request may have reached the service.
    """

    kind = "connection"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        permanent: bool = False,
        sent: bool = True,
    ) -> None:
        super().__init__(message, hint=hint)
        self.permanent = permanent
        self.sent = sent


class InvalidResponseError(BackupError):
    kind = "answer"

    def __init__(
        self, message: str, *, status: int, request_id: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.request_id = quoted(request_id, MAX_NAME)

    def _said(self) -> str:
        return self.message + (
            f" (request ID {self.request_id})" if self.request_id else ""
        )

    def to_dict(self) -> dict[str, t.Any]:
        return dict(
            super().to_dict(),
            http_status=self.status,
            request_id=self.request_id,
        )


class RefusedError(BackupError):
    """A refusal by the service that ``responder`` names. ``code`` is its own, empty where it gives none."""

    responder = "service"

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int,
        request_id: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(quoted(message), hint=hint)
        self.code = quoted(code, MAX_NAME)
        self.status = status
        self.request_id = quoted(request_id, MAX_NAME)

    def _said(self, details: str = "") -> str:
        said = describe_refusal(self.responder, self.code, self.message)
        return f"{said}{details} (HTTP {self.status}, request ID {self.request_id or 'not given'})"

    def to_dict(self) -> dict[str, t.Any]:
        return dict(
            super().to_dict(),
            code=self.code,
            message=self.message,
            request_id=self.request_id,
            http_status=self.status,
        )


def describe_refusal(responder: str, code: str, message: str) -> str:
    said = f"the {responder} answered {quoted(code, MAX_NAME) or 'an error without a code'}"
    return said + (f": {quoted(message).rstrip('. ')}" if message else "")
