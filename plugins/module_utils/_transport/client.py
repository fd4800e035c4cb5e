# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The signed call: one kept-alive session, each answer judged, each failure repeated while that makes sense."""

from __future__ import annotations

import json
import math
import platform
import re
import threading
import time
import typing as t
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from xml.etree import ElementTree

from ansible_collections.apsaradb.backup.plugins.module_utils._transport._requests import (
    REQUESTS_IMPORT_ERROR,
    HTTPAdapter,
    requests,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import (
    BackupError,
    BrokenAnswer,
    ConnectionFailed,
    MissingLibrary,
    Remedy,
    ServiceError,
    hint_for,
    may_have_had_effect,
    remedy_of,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.retry import RetryPolicy
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.signature import Acs3Auth, canonical_query
from ansible_collections.apsaradb.backup.plugins.module_utils._version import VERSION

if t.TYPE_CHECKING:
    from ansible_collections.apsaradb.backup.plugins.module_utils._transport.credentials import (
        Credential,
        CredentialSource,
    )
    from ansible_collections.apsaradb.backup.plugins.module_utils._transport.endpoint import Service

#: A request that is begun before the deadline may end so many seconds after it.
DEADLINE_GRACE = 5.0

USER_AGENT = f"apsaradb.backup/{VERSION} Python/{platform.python_version()}"


@dataclass(frozen=True)
class ConnectionOptions:
    """``connect_timeout`` and ``read_timeout`` in seconds; ``max_connections`` at the same time."""

    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    validate_certs: bool = True
    ca_path: t.Optional[str] = None
    max_connections: int = 8
    retry: RetryPolicy = field(default_factory=RetryPolicy)


class Client:
    """Calls the operations of one service at one host. Threads may share it.

    ``deadline``: the time, by ``time.monotonic``, after which nothing is repeated.
    """

    def __init__(
        self, service: Service, base_url: str, credentials: CredentialSource, options: ConnectionOptions
    ) -> None:
        if REQUESTS_IMPORT_ERROR is not None:
            raise MissingLibrary("requests", "to call the service", REQUESTS_IMPORT_ERROR)
        self.service = service
        self.base_url = base_url
        self.max_connections = options.max_connections
        self._credentials = credentials
        self._options = options
        self._lock = threading.Lock()
        self.deadline = math.inf
        self._clock_offset = 0.0
        self._cancelled = threading.Event()
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json"})
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=options.max_connections, pool_block=True)
        self._session.mount(base_url, adapter)
        # Given with each request: what stands in the session loses to REQUESTS_CA_BUNDLE.
        verify = (options.ca_path or True) if options.validate_certs else False
        self._settings = self._session.merge_environment_settings(base_url, {}, False, verify, None)

    def cancel(self) -> None:
        """Let calls of other threads end with what they have: nothing is repeated any more."""
        self._cancelled.set()

    def close(self) -> None:
        self._session.close()

    def call(
        self, action: str, parameters: t.Mapping[str, str], *, asked: str, at_most_once: bool = False
    ) -> dict[str, t.Any]:
        """The answer of one operation.

        ``asked`` completes "Failed to …" in errors. ``at_most_once``: not repeated where it may have had an effect.
        Raises any BackupError.
        """
        policy = self._options.retry
        began = time.monotonic()
        attempts = 0
        corrected: set[Remedy] = set()
        while True:
            end = min(began + policy.total_timeout, max(self.deadline, began) + DEADLINE_GRACE)
            attempts += 1
            credential = self._credentials.get()
            try:
                return self._send(action, parameters, credential, end - time.monotonic())
            except BackupError as error:
                error.asked, error.action = asked, action
                error.attempts, error.elapsed = attempts, time.monotonic() - began
                if at_most_once and may_have_had_effect(error):
                    raise
                pause = self._pause_before_repeating(error, credential, corrected)
                if pause is None or time.monotonic() + pause >= min(end, self.deadline):
                    raise
                if self._cancelled.wait(pause):
                    raise

    def _pause_before_repeating(
        self, error: BackupError, credential: Credential, corrected: set[Remedy]
    ) -> t.Optional[float]:
        """Seconds, or none if it is over. Corrects what the error says is wrong; ``corrected`` is what was already."""
        remedy = remedy_of(error)
        if remedy is Remedy.NONE or remedy in corrected or error.attempts > self._options.retry.retries:
            return None
        if remedy is Remedy.SET_CLOCK:
            corrected.add(remedy)
            return 0.0 if self._set_clock(t.cast(ServiceError, error)) else None
        if remedy is Remedy.REFRESH_CREDENTIAL:
            corrected.add(remedy)
            return 0.0 if self._renewed(credential) else None
        if remedy is Remedy.NEW_NONCE:
            return 0.0
        return self._options.retry.pause(error.attempts - 1, getattr(error, "retry_after", None))

    def _set_clock(self, error: ServiceError) -> bool:
        if error.clock_offset is None:
            return False
        self._clock_offset = error.clock_offset
        return True

    def _renewed(self, expired: Credential) -> bool:
        with self._lock:
            return self._credentials.get() != expired or self._credentials.refresh()

    def _send(
        self, action: str, parameters: t.Mapping[str, str], credential: Credential, left: float
    ) -> dict[str, t.Any]:
        now = datetime.fromtimestamp(time.time() + self._clock_offset, timezone.utc)
        request = self._session.prepare_request(
            requests.Request(
                "POST",
                f"{self.base_url}/?{canonical_query(parameters)}",
                auth=Acs3Auth(
                    credential,
                    action=action,
                    version=self.service.version,
                    date=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    nonce=uuid.uuid4().hex,
                ),
            )
        )
        left = max(left, 0.001)
        timeouts = (min(self._options.connect_timeout, left), min(self._options.read_timeout, left))
        try:
            response = self._session.send(request, timeout=timeouts, allow_redirects=False, **self._settings)
        except OSError as error:  # requests' own exceptions are such, and a CA bundle that is not there is another
            raise _connection_failed(error, self.base_url, timeouts) from None
        try:
            return _judged(response)
        except ServiceError as error:
            # Redacted first: the answer to a bad signature repeats the whole request, a security token included.
            error.message = _shortened(credential.redact(error.message))
            ram_action = f"{self.service.ram_prefix}:{action}"
            error.hint = self.service.hints.get(error.code) or hint_for(error.code, ram_action)
            error.clock_offset = _clock_offset(response)
            raise
        except BrokenAnswer as error:
            error.message = credential.redact(error.message)
            raise


def _judged(response: requests.Response) -> dict[str, t.Any]:
    """The answer if it is a success.

    Business errors come with HTTP 200 and ``Success: "false"``. A true ``Success`` may have an error code beside it
    that means nothing; only where ``Success`` is absent do HTTP status and ``Code`` decide.
    """
    status = response.status_code
    if 300 <= status < 400:
        raise BrokenAnswer(
            f"the host answered HTTP {status}, a redirect, and signed requests are not forwarded",
            status=status,
            hint="Check endpoint and proxy",
        )
    body = _json(response) if "xml" not in response.headers.get("Content-Type", "") else _xml(response)
    if body is None or (status >= 400 and not body.get("Code")):
        raise BrokenAnswer(
            f"the host answered HTTP {status} with a body that is not the service's ({_described(response)})",
            status=status,
            hint="A proxy or a wrong endpoint may have answered in the service's place" if _is_page(response) else "",
        )
    success = body.get("Success")
    code = str(body.get("Code") or body.get("ErrCode") or "")
    if status < 300 and (_is_true(success) if success not in (None, "") else code in ("", "Success", "200")):
        return body
    raise ServiceError(
        code or "an error without a code",
        str(body.get("Message") or body.get("ErrMessage") or ""),
        status=status,
        request_id=str(body.get("RequestId") or response.headers.get("x-acs-request-id") or ""),
        retry_after=_retry_after(response),
        denied=_denied(body.get("AccessDeniedDetail")),
    )


def _is_true(success: object) -> bool:
    return str(success).strip().lower() == "true"


def _json(response: requests.Response) -> t.Optional[dict[str, t.Any]]:
    try:
        body = json.loads(response.content)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _xml(response: requests.Response) -> t.Optional[dict[str, t.Any]]:
    """The elements of an ``<Error>``."""
    try:
        root = ElementTree.fromstring(response.content)
    except ElementTree.ParseError:
        return None
    return {element.tag: (element.text or "").strip() for element in root}


def _denied(detail: object) -> dict[str, str]:
    if not isinstance(detail, dict):
        return {}
    names = ("AuthAction", "AuthPrincipalDisplayName", "NoPermissionType", "PolicyType")
    return {name: str(detail[name]) for name in names if detail.get(name)}


def _retry_after(response: requests.Response) -> t.Optional[float]:
    """Seconds; the gateway's header counts milliseconds, the standard one seconds."""
    for name, unit in (("x-acs-retry-after", 0.001), ("Retry-After", 1.0)):
        value = response.headers.get(name, "")
        if value.isdecimal():
            return int(value) * unit
    return None


def _shortened(text: str) -> str:
    """One line of a length that people read."""
    text = " ".join(text.split())
    return text if len(text) <= 400 else text[:400] + "…"


def _clock_offset(response: requests.Response) -> t.Optional[float]:
    """Seconds by which the service's clock is ahead of ours."""
    try:
        return parsedate_to_datetime(response.headers["Date"]).timestamp() - time.time()
    except (KeyError, TypeError, ValueError):
        return None


def _is_page(response: requests.Response) -> bool:
    return "html" in response.headers.get("Content-Type", "") or response.content[:200].lstrip()[:1] == b"<"


def _described(response: requests.Response) -> str:
    """Kind, size and title of a body that cannot be read: never the body itself."""
    kind = response.headers.get("Content-Type", "").split(";")[0] or "no content type"
    text = f"{kind}, {len(response.content)} bytes"
    title = re.search(r"<title>\s*([^<]{1,200})", response.content[:20_000].decode("utf-8", "replace"), re.IGNORECASE)
    return text + (f", titled {title.group(1).strip()!r}" if title else "")


def _connection_failed(error: Exception, base_url: str, timeouts: tuple[float, float]) -> BackupError:
    """One sentence for what requests, urllib3 and the system say in nested ones."""
    host = base_url.split("://")[1]
    text = _chain_text(error)
    if isinstance(error, requests.exceptions.ProxyError):
        return ConnectionFailed(
            f"the proxy for {host} could not be used",
            hint=f"Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the host that runs the module ({_last_cause(text)})",
            # urllib3 1 also calls it a proxy's error if the connection breaks later.
            sent=not re.search("Failed to establish a new connection|Tunnel connection failed|refused|resolve", text),
        )
    if isinstance(error, requests.exceptions.SSLError):
        return ConnectionFailed(
            f"the certificate of {host} is not trusted or TLS cannot be agreed on ({_last_cause(text)})",
            hint="If a proxy or a private authority signs certificates here, name its CA bundle in ca_path",
            permanent="CERTIFICATE_VERIFY_FAILED" in text,
            sent="CERTIFICATE_VERIFY_FAILED" not in text,
        )
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return ConnectionFailed(
            f"{host} accepted no connection within {timeouts[0]:g} seconds",
            hint="Check network, firewall and endpoint, or raise connect_timeout",
            sent=False,
        )
    if isinstance(error, requests.exceptions.ReadTimeout) or "timed out" in text:
        return ConnectionFailed(
            f"{host} did not answer within {timeouts[1]:g} seconds", hint="Raise read_timeout if it is only slow"
        )
    if "resolve" in text or "getaddrinfo" in text or "Name or service not known" in text:
        return ConnectionFailed(
            f"the name of {host} could not be resolved",
            hint="Check DNS, region and endpoint; inside a VPC use network=vpc",
            sent=False,
        )
    if "refused" in text:
        return ConnectionFailed(f"{host} refused the connection", hint="Check endpoint, port and firewall", sent=False)
    if "CA certificate bundle" in text:
        return ConnectionFailed(
            f"the CA bundle cannot be read ({_last_cause(text)})",
            hint="Check ca_path and REQUESTS_CA_BUNDLE",
            permanent=True,
            sent=False,
        )
    return ConnectionFailed(f"the connection to {host} broke ({_last_cause(text)})")


def _chain_text(error: t.Optional[BaseException]) -> str:
    texts = []
    while error is not None:
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    return " | ".join(texts)


def _last_cause(text: str) -> str:
    """The innermost reason, without addresses and queries."""
    cause = text.split(" | ")[-1]
    cause = re.sub(r"https?://\S+", "…", cause)
    cause = re.sub(r"\s*\(_ssl\.c:\d+\)|\[SSL[^\]]*\]\s*|<[^>]* object at 0x[^>]*>:?\s*", "", cause)
    return _shortened(cause).rstrip(".")
