# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Everything foreseen that can go wrong, as exceptions whose text can be shown as it is: it holds no secrets.

``ConfigurationError``  the options cannot work; no call was made
``NotSetError``         of them, something is lacking
``MissingLibrary``      nor can it without that Python package
``ConnectionFailed``    no answer: name resolution, connection, TLS, time-out
``BrokenAnswer``        an answer that cannot be read: truncated, not JSON, a proxy's page
``ServiceError``        the gateway or the service said no

``remedy_of`` says which of them is worth another try, ``is_outage`` which is if the same request went well before.
"""

from __future__ import annotations

import contextlib
import enum
import re
import typing as t

from ansible_collections.apsaradb.backup.plugins.module_utils._transport.text import MAX_NAME, quoted, safe


class Remedy(enum.Enum):
    """What has to change before a request may be sent again."""

    NONE = "give up"
    WAIT = "repeat after a pause"
    WAIT_IN_TURN = "repeat after a pause, as others have to"
    NEW_NONCE = "repeat with a new nonce, as every repetition has one"
    SET_CLOCK = "repeat once, by the service's clock"
    REFRESH_CREDENTIAL = "repeat once, with a renewed credential"


class BackupError(Exception):
    """Base of all. ``str()`` is for people; ``facts()`` holds the same for programs."""

    kind = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = safe(message)
        super().__init__(self.message)
        self.hint = hint
        self.asked = ""
        self.action = ""
        self.attempts = 0
        self.elapsed = 0.0

    def __str__(self) -> str:
        said = self._said()
        parts = [f"Failed to {self.asked}: {said}" if self.asked else said]
        if self.hint:
            parts.append(self.hint)
        if self.attempts > 1:
            parts.append(f"Gave up after {self.attempts} attempts in {self.elapsed:.1f} seconds.")
        return safe(" ".join(part if part[-1] in ".!?" else part + "." for part in parts))

    def _said(self) -> str:
        return self.message

    def facts(self) -> dict[str, t.Any]:
        facts: dict[str, t.Any] = {"kind": self.kind}
        if self.action:
            facts.update(action=self.action, attempts=self.attempts, elapsed=round(self.elapsed, 3))
        return facts


class UnforeseenError(BackupError):
    """A defect, in words without secrets."""

    kind = "unforeseen"


@contextlib.contextmanager
def foreseen() -> t.Iterator[None]:
    """On the controller, where Ansible shows whatever is raised: have no other than a BackupError raised."""
    try:
        yield
    except BackupError:
        raise
    except Exception as error:  # pylint: disable=broad-except  # whatever it is
        message = f"this failed in a way that was not foreseen: {type(error).__name__}: {error}"
        raise UnforeseenError(message, hint="Report it as a defect of the collection") from None


class ConfigurationError(BackupError):
    kind = "configuration"


class NotSetError(ConfigurationError):
    """Something that is needed is set neither by an option nor by the environment."""


class MissingLibrary(ConfigurationError):
    """A Python package that is needed for ``reason``; ``trace`` tells why its import failed."""

    def __init__(self, library: str, reason: str, trace: str) -> None:
        super().__init__(f"The Python package {library} is needed {reason}, and cannot be imported.")
        self.library = library
        self.reason = reason
        self.trace = trace


class ConnectionFailed(BackupError):
    """``permanent``: nothing that a repetition could change, such as a certificate that is not trusted.

    ``sent``: whether the request may have reached the service.
    """

    kind = "connection"

    def __init__(self, message: str, *, hint: str = "", permanent: bool = False, sent: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.permanent = permanent
        self.sent = sent


class BrokenAnswer(BackupError):
    kind = "answer"

    def __init__(self, message: str, *, status: int, request_id: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.request_id = quoted(request_id, MAX_NAME)

    def _said(self) -> str:
        return self.message + (f" (request ID {self.request_id})" if self.request_id else "")

    def facts(self) -> dict[str, t.Any]:
        return dict(super().facts(), http_status=self.status, request_id=self.request_id)


class Refusal(BackupError):
    """An answer that says no, by whom ``answerer`` names. ``code`` is its own, empty where it gives none."""

    answerer = "service"

    def __init__(self, code: str, message: str, *, status: int, request_id: str = "", hint: str = "") -> None:
        super().__init__(quoted(message), hint=hint)
        self.code = quoted(code, MAX_NAME)
        self.status = status
        self.request_id = quoted(request_id, MAX_NAME)

    def _said(self, details: str = "") -> str:
        said = answered(self.answerer, self.code, self.message)
        return f"{said}{details} (HTTP {self.status}, request ID {self.request_id or 'not given'})"

    def facts(self) -> dict[str, t.Any]:
        return dict(
            super().facts(),
            code=self.code,
            message=self.message,
            request_id=self.request_id,
            http_status=self.status,
        )


def answered(answerer: str, code: str, message: str) -> str:
    said = f"the {answerer} answered {quoted(code, MAX_NAME) or 'an error without a code'}"
    return said + (f": {quoted(message).rstrip('. ')}" if message else "")


class ServiceError(Refusal):
    """``retry_after``: seconds that the service asks to wait; ``clock_offset``: seconds that its clock is ahead.

    ``is_final``: the service's own code says that it is no passing fault.
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
        hint: str = "",
    ) -> None:
        super().__init__(code, message, status=status, request_id=request_id, hint=hint)
        self.retry_after = retry_after
        self.clock_offset = clock_offset
        self.denied = {name: quoted(value, MAX_NAME) for name, value in (denied or {}).items()}
        self.is_final = False

    def _said(self, details: str = "") -> str:
        if self.denied:
            details += " (" + ", ".join(f"{name} {value}" for name, value in self.denied.items()) + ")"
        said = super()._said(details)
        if self.retry_after:
            said += f", and asks to wait {self.retry_after:g} seconds"
        return said

    def facts(self) -> dict[str, t.Any]:
        return dict(super().facts(), access_denied_detail=self.denied)


#: Codes decide before the HTTP status does: the same class comes with different statuses per product. The patterns are
#: compiled when an error comes: every module would wait for it otherwise.
_REMEDIES = (
    (r"Throttling", Remedy.WAIT_IN_TURN),
    (r"(ServiceUnavailable|InternalError|InternalFailure)(\.|$)", Remedy.WAIT),
    (r"SignatureNonceUsed$", Remedy.NEW_NONCE),
    (r"InvalidTimeStamp\.Expired$", Remedy.SET_CLOCK),
    (r"InvalidSecurityToken\.Expired$", Remedy.REFRESH_CREDENTIAL),
    (
        r"(SignatureDoesNotMatch|IncompleteSignature|InvalidAccessKeyId|InvalidSecurityToken|Forbidden"
        r"|NoPermission|Request\.Forbidden|InvalidAction|InvalidVersion|MissingParameter)",
        Remedy.NONE,
    ),
)

_HINTS = (
    (
        r"(SignatureDoesNotMatch|IncompleteSignature)",
        "The access key secret does not belong to the access key ID, or something between here and the service changes"
        " the request: check access_key_secret (or ALIBABA_CLOUD_ACCESS_KEY_SECRET)",
    ),
    (
        r"InvalidAccessKeyId",
        "The access key ID does not exist or is disabled: check access_key_id (or ALIBABA_CLOUD_ACCESS_KEY_ID); a"
        " temporary key needs its security_token as well",
    ),
    (
        r"InvalidSecurityToken|MissingSecurityToken",
        "The temporary credential is expired or its token does not belong to the key: get a new one and give all three"
        " parts of it",
    ),
    (
        r"(Forbidden\.RAM|NoPermission|Request\.Forbidden|\w+\.NoPermission)",
        "Grant the caller the RAM action {ram_action}",
    ),
    (r"InvalidTimeStamp|RequestTimeTooSkewed", "The clock of this host differs from the service's: synchronize it"),
    (
        r"Throttling",
        "Send fewer requests at a time with max_connections, or allow more time with total_timeout",
    ),
    (r"InvalidVersion|InvalidAction", "The host that was asked does not serve this API: check endpoint"),
)


def hint_for(code: str, ram_action: str) -> str:
    """What the user can do about an error of the gateway; empty where nobody can say."""
    for pattern, hint in _HINTS:
        if re.match(pattern, code):
            return hint.format(ram_action=ram_action)
    return ""


def remedy_of(error: BackupError) -> Remedy:
    if isinstance(error, ConnectionFailed):
        return Remedy.NONE if error.permanent else Remedy.WAIT
    if isinstance(error, BrokenAnswer):
        return Remedy.WAIT if error.status < 300 or error.status >= 500 or error.status == 429 else Remedy.NONE
    if isinstance(error, ServiceError):
        if error.is_final:
            return Remedy.NONE
        for pattern, remedy in _REMEDIES:
            if re.match(pattern, error.code):
                return remedy
        return Remedy.WAIT if error.status >= 500 or error.status == 429 else Remedy.NONE
    return Remedy.NONE


#: Codes that say that the credential, the permission, the object or a parameter is at fault: no waiting cures that.
_NEVER_PASSES = (
    r"signature|accesskey|securitytoken|credential|forbid|permission|authori[sz]|denied|invalid|illegal|missing|malformed"
    r"|not.?found|not.?exist|no.?such|cannot.?find|param|not.?support|unsupport|disable|debt"
)


def is_outage(error: BackupError) -> bool:
    """Whether the error may pass by itself, where the same request went well before, so that it is not to blame."""
    # What was set before is still set: where it is taken from does not answer.
    if remedy_of(error) is not Remedy.NONE or isinstance(error, (BrokenAnswer, NotSetError)):
        return True
    return isinstance(error, ServiceError) and not re.search(_NEVER_PASSES, error.code, re.IGNORECASE)


def may_have_had_effect(error: BackupError) -> bool:
    """Whether the service may have done what it was asked for, although this error came back."""
    if isinstance(error, ConnectionFailed):
        return error.sent
    if isinstance(error, ServiceError):
        # A nonce is random: if it was used already, then by this very request, which something on the way repeated.
        # Who waited for the service too long, or does not know what went wrong, does not know what it did either.
        lost = (
            r"((.*\.)?(InternalError|InternalFailure|ServiceUnavailable|UnknownError|SignatureNonceUsed"
            r"|\w*Time[Oo]ut))?$"
        )
        return error.status >= 500 or error.status == 408 or bool(re.match(lost, error.code))
    return isinstance(error, BrokenAnswer)
