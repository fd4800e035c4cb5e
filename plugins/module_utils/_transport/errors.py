# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Errors of a service, and which of all errors are worth a repetition."""

from __future__ import annotations

import enum
import re
import typing as t

from .._base.errors import (
    BackupError,
    ConnectionFailedError,
    InvalidResponseError,
    NotSetError,
    RefusedError,
)
from .._base.text import MAX_NAME, quoted


class RetryAction(enum.Enum):
    """What has to change before a request may be sent again."""

    NONE = "give up"
    WAIT = "repeat after a pause"
    THROTTLED = "repeat after a pause, as others have to"
    NEW_NONCE = "repeat with a new nonce, as every repetition has one"
    SET_CLOCK = "repeat once, by the service's clock"
    REFRESH_CREDENTIAL = "repeat once, with a renewed credential"


class ServiceError(RefusedError):
    """``retry_after``: seconds that the service asks to wait; ``clock_offset``: seconds that its clock is ahead.

    ``is_permanent``: the service's own code says that it is no passing fault.
    """

    kind = "service"

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int,
        request_id: str = "",
        retry_after: t.Optional[float] = None,
        clock_offset: t.Optional[float] = None,
        denied: t.Optional[t.Mapping[str, str]] = None,
        is_permanent: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(
            code, message, status=status, request_id=request_id, hint=hint
        )
        self.retry_after = retry_after
        self.clock_offset = clock_offset
        self.denied = {
            name: quoted(value, MAX_NAME)
            for name, value in (denied or {}).items()
        }
        self.is_permanent = is_permanent

    def _said(self, details: str = "") -> str:
        if self.denied:
            details += (
                " ("
                + ", ".join(
                    f"{name} {value}" for name, value in self.denied.items()
                )
                + ")"
            )
        said = super()._said(details)
        if self.retry_after:
            said += f", and asks to wait {self.retry_after:g} seconds"
        return said

    def to_dict(self) -> dict[str, t.Any]:
        return dict(super().to_dict(), access_denied_detail=self.denied)


#: Codes decide before the HTTP status does: the same class comes with different statuses per product. The patterns are
#: compiled when an error comes: every module would wait for it otherwise.
_RETRY_ACTIONS = (
    (r"Throttling", RetryAction.THROTTLED),
    (
        r"(ServiceUnavailable|InternalError|InternalFailure)(\.|$)",
        RetryAction.WAIT,
    ),
    (r"SignatureNonceUsed$", RetryAction.NEW_NONCE),
    (r"InvalidTimeStamp\.Expired$", RetryAction.SET_CLOCK),
    (r"InvalidSecurityToken\.Expired$", RetryAction.REFRESH_CREDENTIAL),
    (
        r"(SignatureDoesNotMatch|IncompleteSignature|InvalidAccessKeyId|InvalidSecurityToken|Forbidden"
        r"|NoPermission|Request\.Forbidden|InvalidAction|InvalidVersion|MissingParameter)",
        RetryAction.NONE,
    ),
)


def classify(error: BackupError) -> RetryAction:
    if isinstance(error, ConnectionFailedError):
        return RetryAction.NONE if error.permanent else RetryAction.WAIT
    if isinstance(error, InvalidResponseError):
        return (
            RetryAction.WAIT
            if error.status < 300 or error.status >= 500 or error.status == 429
            else RetryAction.NONE
        )
    if isinstance(error, ServiceError):
        if error.is_permanent:
            return RetryAction.NONE
        for pattern, remedy in _RETRY_ACTIONS:
            if re.match(pattern, error.code):
                return remedy
        return (
            RetryAction.WAIT
            if error.status >= 500 or error.status == 429
            else RetryAction.NONE
        )
    return RetryAction.NONE


#: Codes that say that the credential, the permission, the object or a parameter is at fault: no waiting cures that.
_NEVER_PASSES = (
    r"signature|accesskey|securitytoken|credential|forbid|permission|authori[sz]|denied|invalid|illegal|missing|malformed"
    r"|not.?found|not.?exist|no.?such|cannot.?find|param|not.?support|unsupport|disable|debt"
)


def is_outage(error: BackupError) -> bool:
    """Whether the error may pass by itself, where the same request went well before, so that it is not to blame."""
    # What was set before is still set: where it is taken from does not answer.
    if classify(error) is not RetryAction.NONE or isinstance(
        error, (InvalidResponseError, NotSetError)
    ):
        return True
    return isinstance(error, ServiceError) and not re.search(
        _NEVER_PASSES, error.code, re.IGNORECASE
    )


def is_ambiguous(error: BackupError) -> bool:
    """Whether the service may have done what it was asked for, although this error came back."""
    if isinstance(error, ConnectionFailedError):
        return error.sent
    if isinstance(error, ServiceError):
        # A nonce is random: if it was used already, then by this very request, which something on the way repeated.
        # Who waited for the service too long, or does not know what went wrong, does not know what it did either.
        lost = (
            r"((.*\.)?(InternalError|InternalFailure|ServiceUnavailable|UnknownError|SignatureNonceUsed"
            r"|\w*Time[Oo]ut))?$"
        )
        return (
            error.status >= 500
            or error.status == 408
            or bool(re.match(lost, error.code))
        )
    return isinstance(error, InvalidResponseError)
