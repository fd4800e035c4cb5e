# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What came back: read in bounds, and judged."""

from __future__ import annotations

import json
import re
import time
import typing as t

from .._base.errors import ConnectionFailedError, InvalidResponseError
from .._base.text import MAX_NAME, counted, quoted
from . import tuning
from .errors import ServiceError

if t.TYPE_CHECKING:
    from requests import Response as StreamedResponse

    from .endpoints import Service


# A result has no code, or one of these.
_SUCCESS_CODES = ("", "Success", "200")


class Response(t.NamedTuple):
    """``headers`` by names in lower case."""

    status: int
    headers: t.Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        return self.headers.get(name, "")

    @property
    def request_id(self) -> str:
        return self.header("x-acs-request-id")

    @property
    def clock_offset(self) -> t.Optional[float]:
        """Seconds by which the service's clock is ahead of ours."""
        from email.utils import parsedate_to_datetime  # seldom needed

        try:
            return (
                parsedate_to_datetime(self.header("date")).timestamp()
                - time.time()
            )
        except (TypeError, ValueError, IndexError):
            return None

    @property
    def retry_after(self) -> t.Optional[float]:
        """Seconds; the gateway's header counts milliseconds, the standard one seconds."""
        for name, unit in (("x-acs-retry-after", 0.001), ("retry-after", 1.0)):
            if re.fullmatch(r"[0-9]{1,9}", self.header(name)):
                return int(self.header(name)) * unit
        return None

    @property
    def is_html(self) -> bool:
        return (
            "html" in self.header("content-type")
            or self.body[:200].lstrip()[:1] == b"<"
        )

    @property
    def summary(self) -> str:
        """Kind, size and title of a body that cannot be read: never the body itself."""
        kind = (
            quoted(self.header("content-type").split(";")[0], MAX_NAME)
            or "no content type"
        )
        text = f"{kind}, {counted(len(self.body), 'byte')}"
        title = re.search(
            r"<title>\s*([^<]{1,4096})",
            # Titles stand in the head of a page. A regular expression is not to run over megabytes.
            self.body[:20_000].decode("utf-8", "replace"),
            re.IGNORECASE,
        )
        return text + (f", titled {quoted(title.group(1))!r}" if title else "")


def read(response: StreamedResponse, host: str) -> Response:
    """The whole answer, within tuning.MAX_BYTES. Raises ConnectionFailedError, and what requests raises."""
    body = bytearray()
    for chunk in _chunks(response):
        body += chunk
        if len(body) > tuning.MAX_BYTES:
            response.close()
            raise ConnectionFailedError(
                f"the response of {host} is larger than {tuning.MAX_BYTES} bytes"
            )
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Response(response.status_code, headers, bytes(body))


def _chunks(response: StreamedResponse) -> t.Iterator[bytes]:
    """As they arrive, where urllib3 can do that; it collects larger ones otherwise."""
    read1 = getattr(response.raw, "read1", None)
    if read1 is None:
        yield from response.iter_content(tuning.READ_SIZE)
        return
    while True:
        chunk = read1(tuning.READ_SIZE, decode_content=True)
        if not chunk:
            return
        yield chunk


def parse(answer: Response, service: Service, action: str) -> dict[str, t.Any]:
    """The body of an answer to the action of a service if it is a success. Raises InvalidResponseError or ServiceError.

    Business errors come with HTTP 200 and ``Success: "false"``. A true ``Success`` may have an error code beside it
    that means nothing; only where ``Success`` is absent do HTTP status and ``Code`` decide.
    """
    status = answer.status
    if 300 <= status < 400:
        raise InvalidResponseError(
            f"the host answered HTTP {status}, a redirect; signed requests do not follow redirects",
            status=status,
            request_id=answer.request_id,
            hint="Check endpoint and proxy",
        )
    is_xml = "xml" in answer.header("content-type")
    body = _xml(answer.body) if is_xml else _json(answer.body)
    if (
        body is None
        # The service is asked for JSON; the gateway alone answers in XML, and errors only.
        or (is_xml and not body.get("Code"))
        or not ({"Success", "Code", "RequestId", "Data"} & body.keys())
        or (status >= 400 and not body.get("Code"))
    ):
        raise InvalidResponseError(
            f"the host answered HTTP {status} with an unexpected body ({answer.summary})",
            status=status,
            request_id=answer.request_id,
            hint="A proxy or a wrong endpoint may have answered instead of the service"
            if answer.is_html
            else "",
        )
    success = body.get("Success")
    code = str(body.get("Code") or body.get("ErrCode") or "")
    if status < 300 and (
        _is_true(success)
        if success not in (None, "")
        else code in _SUCCESS_CODES
    ):
        return body
    raise _service_error(answer, body, service, action)


def _service_error(
    answer: Response, body: t.Mapping[str, t.Any], service: Service, action: str
) -> ServiceError:
    # Long, and seldom needed.
    from .hints import hint_for

    code = str(body.get("Code") or body.get("ErrCode") or "")
    code = "" if code in _SUCCESS_CODES else code
    message = str(body.get("Message") or body.get("ErrMessage") or "")
    if code.startswith(("SignatureDoesNotMatch", "IncompleteSignature")):
        # What follows the first sentence repeats the whole request, a security token included.
        message = re.split(r"[.:]", message)[0]
    return ServiceError(
        code,
        message,
        status=answer.status,
        request_id=str(body.get("RequestId") or answer.request_id),
        retry_after=answer.retry_after,
        clock_offset=answer.clock_offset,
        denied=_denied(body.get("AccessDeniedDetail")),
        is_permanent=bool(re.match(service.final_codes, code)),
        hint=service.hints.get(code)
        or hint_for(code, f"{service.ram_prefix}:{action}"),
    )


def _is_true(success: object) -> bool:
    return str(success).strip().lower() == "true"


def _json(body: bytes) -> t.Optional[dict[str, t.Any]]:
    try:
        content = json.loads(body)
    # RecursionError: some thousands of nested lists, which no service sends.
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _xml(body: bytes) -> t.Optional[dict[str, t.Any]]:
    """The elements of an ``<Error>``."""
    from xml.etree import ElementTree  # seldom needed, and slow to import

    try:
        # It loads nothing from elsewhere, and the size of the body is bounded.
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        return None
    return {
        element.tag.rpartition("}")[2]: (element.text or "").strip()
        for element in root
    }


def _denied(detail: object) -> dict[str, str]:
    if not isinstance(detail, dict):
        return {}
    names = (
        "AuthAction",
        "AuthPrincipalDisplayName",
        "NoPermissionType",
        "PolicyType",
    )
    return {name: str(detail[name]) for name in names if detail.get(name)}
