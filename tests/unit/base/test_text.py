# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may be shown: every form of a secret is masked, what is useful stays, and a terminal is told nothing."""

from __future__ import annotations

import base64
import html
import json
import string
from collections.abc import Callable
from urllib.parse import parse_qsl, quote

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._base.text import (
    MASK,
    counted,
    hide,
    hide_link,
    hide_login,
    printable,
    quoted,
    redacted,
    safe,
)
from hypothesis import example, given
from hypothesis import strategies as st

SECRET = "aB3+secret/of=key&0123456789"
SIGNATURE = "vjbyPxybdZaNmGa%2ByT272YEAiv4%3D"
V1 = f"OSSAccessKeyId=TESTkeyid0123456&Expires=1767225600&Signature={SIGNATURE}&security-token=CAIStoken%2B0123456789"
V4 = (
    "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-date=20260101T000000Z&x-oss-expires=7200"
    "&x-oss-credential=TESTkeyid0123456%2F20260101%2Fcn-hangzhou%2Foss%2Faliyun_v4_request&x-oss-signature=77dc0ffee0123456789"
    "&x-oss-security-token=CAIStoken%2B0123456789"
)
#: What must not be left of a link, in any encoding.
PARTS = ("TESTkeyid", "vjbyPxybdZaNmGa", "CAIStoken", "77dc0ffee")


def twice(value: str) -> str:
    return quote(quote(value, safe=""), safe="")


ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "percent": lambda value: quote(value, safe=""),
    "percent in small letters": lambda value: quote(value, safe="").replace("%2B", "%2b").replace("%2F", "%2f"),
    "percent twice": twice,
    "HTML": html.escape,
    "HTML by numbers": lambda value: "".join(c if c.isalnum() else f"&#{ord(c)};" for c in value),
    "HTML by hexadecimal numbers": lambda value: "".join(c if c.isalnum() else f"&#x{ord(c):X};" for c in value),
    "JSON": lambda value: json.dumps(value).replace("/", "\\/"),
    "JSON of Go": lambda value: value.replace("&", "\\u0026").replace("=", "\\u003d"),
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_a_hidden_secret_in_any_encoding(encode: Callable[[str], str]) -> None:
    hide(SECRET)
    assert redacted(f"before {encode(SECRET)} after") in (f"before {MASK} after", f'before "{MASK}" after')


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "i", "id", "id:", "user:"])
@pytest.mark.parametrize("after", ["", ":", ":x"])
@pytest.mark.parametrize("url_encoded", [False, True])
def test_a_hidden_secret_within_base64(
    encode: Callable[[bytes], bytes], before: str, after: str, url_encoded: bool
) -> None:
    secret = "~~~?>" + SECRET
    hide(secret)
    encoded = encode(f"{before}{secret}{after}".encode()).decode()
    masked = redacted(quote(encoded, safe="") if url_encoded else encoded)
    assert MASK in masked
    assert len(masked) <= len(MASK) + len(before) * 2 + len(after) * 2 + 12


def test_a_login_as_it_is_sent() -> None:
    hide_login("user", "hunter2")
    header = base64.b64encode(b"user:hunter2").decode()
    assert redacted(f"got {header}") == f"got {MASK}"


@pytest.mark.parametrize("query", [V1, V4], ids=["V1", "V4"])
def test_the_signature_of_a_link_alone(query: str) -> None:
    link = f"https://b.oss-cn-hangzhou.aliyuncs.com/dt-1/a.tar.gz?{query}"
    hide_link(link)
    said = redacted("no vjbyPxybdZaNmGa+yT272YEAiv4=, 77dc0ffee0123456789, CAIStoken+0123456789")
    left = {part for part in PARTS if part in said}
    assert left == ({"77dc0ffee"} if query is V1 else {"vjbyPxybdZaNmGa"})


HOST = "b.oss-cn-hangzhou.aliyuncs.com"
LINKS: dict[str, Callable[[str], str]] = {
    "https": lambda query: f"https://{HOST}/dt-1/a.tar.gz?{query}",
    "in capitals": lambda query: f"HTTP://{HOST.upper()}/dt-1/a.tar.gz?{query.replace('Signature', 'SIGNATURE')}",
    "no scheme": lambda query: f"{HOST}/dt-1/a.tar.gz?{query}",
    "protocol-relative": lambda query: f"//{HOST}/dt-1/a.tar.gz?{query}",
    "with a login": lambda query: f"https://user:CAIStoken-pass@{HOST}/dt-1/a.tar.gz?{query}",
    "in an attribute": lambda query: f'<a href="https://{HOST}/dt-1/a.tar.gz?{html.escape(query)}">',
    "in brackets": lambda query: f"(see <https://{HOST}/dt-1/a.tar.gz?{query}>)",
    "query alone": lambda query: query,
    "fragment": lambda query: f"https://{HOST}/dt-1/a.tar.gz#{query}",
    "JSON": lambda query: json.dumps({"PublicUrl": f"http://{HOST}/dt-1/a.tar.gz?{query}", "Code": "No"}),
    "JSON of Go": lambda query: f'{{"Url":"http://{HOST}/dt-1/a.tar.gz?{query}"}}'.replace("&", "\\u0026"),
    "JSON in JSON": lambda query: json.dumps(json.dumps({"Url": f"http://{HOST}/dt-1/a.tar.gz?{query}"})),
    "percent": lambda query: quote(f"http://{HOST}/dt-1/a.tar.gz?{query}", safe=""),
    "percent twice": lambda query: twice(f"http://{HOST}/dt-1/a.tar.gz?{query}"),
    "HTML": lambda query: html.escape(f"http://{HOST}/dt-1/a.tar.gz?{query}"),
    "quotes": lambda query: f"http://{HOST}/a?" + "&".join(f'{n}="{v}"' for n, v in parse_qsl(query)),
    "apostrophes": lambda query: f"http://{HOST}/a?Expires=1&" + "&".join(f"{n}='{v}'" for n, v in parse_qsl(query)),
    "escapes of Python": lambda query: f"http://{HOST}/a?{query}".translate(
        {ord(c): f"\\x{ord(c):02x}" for c in "?=&%+/"}
    ),
    "HTML by numbers, twice": lambda query: html.escape(f"http://{HOST}/a?{query}".replace("=", "&#61;")),
    "a tab within a name": lambda query: (
        f"http://{HOST}/a?{query.replace('ature', chr(9) + 'ature').replace('oken', chr(9) + 'oken')}"
    ),
    "HTML twice": lambda query: html.escape(html.escape(f"http://{HOST}/dt-1/a.tar.gz?{query}")),
}


@pytest.mark.parametrize("query", [V1, V4], ids=["V1", "V4"])
@pytest.mark.parametrize("write", LINKS.values(), ids=LINKS)
def test_a_signed_link(write: Callable[[str], str], query: str) -> None:
    said = safe(f"Cannot read {write(query)}, code NoSuchKey.")
    assert not [part for part in PARTS if part.casefold() in said.casefold()], said
    assert said.startswith("Cannot read ")
    assert said.endswith("code NoSuchKey.")


SHOWN: dict[str, str] = {
    f'{{"AccessKeySecret": "{SECRET}", "Code": "No"}}': f'{{"AccessKeySecret": "{MASK}", "Code": "No"}}',
    f"SecurityToken={SECRET[:17]}, code No": f"SecurityToken={MASK}, code No",
    "access_key_secret: 0123abcd code No": f"access_key_secret: {MASK} code No",
    "<SignatureProvided>a b+c=</SignatureProvided><Code>No</Code>": f"<SignatureProvided>{MASK}</SignatureProvided><Code>No</Code>",
    "Proxy-Authorization: Basic dXNlcjpwYXNz is wrong": f"Proxy-Authorization: Basic {MASK} is wrong",
    "Authorization: OSS TESTkeyid:frJIUN8DYpKDtOLCwo//yllqDzg= is wrong": f"Authorization: OSS {MASK} is wrong",
    "Authorization: ACS3-HMAC-SHA256 Credential=TESTkeyid,SignedHeaders=host;date,Signature=77dc0ffee no": (
        f"Authorization: ACS3-HMAC-SHA256 Credential={MASK},SignedHeaders=host;date,Signature={MASK} no"
    ),
    "http://user:pa%40ss@proxy:3128/ refused": f"http://{MASK}@proxy:3128/ refused",
    "user:hunter2@proxy.example:3128 refused": f"{MASK}@proxy.example:3128 refused",
    "key LTAI5tAbCdEfGhIjKlMnOpQr is gone": f"key {MASK} is gone",
    "key STS.NUgYrLnoC37mZZCNnAbez is gone": f"key {MASK} is gone",
    "signature 'vjby+ZdZaN=' does not match": f"signature '{MASK}' does not match",
    'the Signature "vjby+ZdZaN=" is wrong': f'the Signature "{MASK}" is wrong',
    "the signature is vjby+ZdZaN=, code No": f"the signature is {MASK}, code No",
    "Signature&amp;#61;vjby&amp;#43;ZdZaN&amp;#61; no": f"Signature&amp;#61;{MASK} no",
    "Signature=vjby&#43;ZdZaN&#x3D; no": f"Signature={MASK} no",
    r"Signature\x3dvjby\x2bZdZaN\u003d no": rf"Signature\x3d{MASK} no",
    '{"Signature": ["vjbyZdZaN"]}': f'{{"Signature": ["{MASK}"]}}',
    '{"uploadToken": "vjbyZdZaN", "ossToken": 12345678}': f'{{"uploadToken": "{MASK}", "ossToken": {MASK}}}',
}


@pytest.mark.parametrize("said", SHOWN)
def test_what_looks_like_a_secret(said: str) -> None:
    assert safe(said) == SHOWN[said]


@pytest.mark.parametrize(
    "said",
    [
        "Check access_key_secret (or ALIBABA_CLOUD_ACCESS_KEY_SECRET); a temporary key needs its security_token as well.",
        "security_token: temporary keys need it",
        "SignatureDoesNotMatch: Specified signature does not match our calculation",
        "give a host such as dbs-api.cn-hangzhou.aliyuncs.com, or https://host[:port].",
        "Basic Authentication required",
        "Check the signature and the token",
        "the signature is wrong, and the security_token is not valid",
        "signature 'OSS' is not accepted, nor is password \"wrong\"",
        "query 'download_tasks[?count==`3`].task_id' fails",
        "Is it there? If so, progress=false helps",
        "put /srv/x.4711.2026-01-31@12:00:00~ in its place",
        "network=vpc works inside a VPC only: request ID 0A1B2C3D-1111-2222",
        "https://api.alibabacloud.com/document/Dbs",
    ],
)
def test_what_is_no_secret_stays(said: str) -> None:
    assert safe(said) == said


def test_short_words_are_not_hidden() -> None:
    hide("a", "new", "secret", None, "")
    assert redacted("create a new secret") == "create a new secret"


def test_all_that_is_nested() -> None:
    link = f"http://{HOST}/a?{V1}"
    value = {
        "a": [{"b": (link, 1, None, True)}],
        "Signature": "abc",
        "security_token": "x",
        "DownloadSignature": ["abc", {"x": "abc", "y": 1.5}],
        "upload_token": 123,
        "ossToken": (1, None, True, ""),
        "NextToken": "abc",
        link: {"OSSAccessKeyId": "y"},
    }
    shown = f"http://{HOST}/a?{MASK}"
    assert redacted(value) == {
        "a": [{"b": [shown, 1, None, True]}],
        "Signature": MASK,
        "security_token": MASK,
        "DownloadSignature": [MASK, {"x": MASK, "y": MASK}],
        "upload_token": MASK,
        "ossToken": [MASK, None, True, ""],
        "NextToken": "abc",
        shown: {"OSSAccessKeyId": MASK},
    }


CONTROL = "\x1b\x07\x00\x7f\x9b\u00ad\u200b\u200f\u202e\u2066\u2028\ufeff\u3164\ufe0f\ud800\ue000\U000e0041"


@pytest.mark.parametrize("letter", CONTROL, ids=ascii)
def test_what_a_terminal_would_obey(letter: str) -> None:
    shown = printable(f"a{letter}b")
    assert letter not in shown
    assert shown == "a" + letter.encode("unicode_escape").decode() + "b"


def test_what_people_read_stays() -> None:
    said = "Größe 大小 حجم आकार é, \u201cquoted\u201d — 3 % of 5 €"
    assert safe(said) == said


def test_what_others_say_is_on_one_line_and_bounded() -> None:
    assert quoted("  one\r\n two\t\x1b[31mred ") == "one two \\x1b[31mred"
    assert quoted("x" * 1000) == "x" * 400 + "…"


def test_a_secret_is_masked_before_the_rest_is_cut_off() -> None:
    hide(SECRET)
    assert SECRET[:8] not in quoted("x" * 390 + SECRET)


@example(["://", "://", "v", "`", "S", "@", "G", "r", "%3F", "3"])
@given(
    st.lists(
        st.sampled_from(
            [
                *string.printable[:95],
                *("%3F", "%3D", "Signature", "://", "&amp;", "Basic ", MASK),
                *("\\x3d", "&amp;#61;", "&#34;", "signature is ", "signature '"),
            ]
        ),
        max_size=40,
    )
)
def test_what_is_masked_stays_as_it_is(pieces: list[str]) -> None:
    once = safe("It said: " + "".join(pieces))
    assert safe(once) == once


@given(st.text(max_size=40))
def test_all_that_is_shown_prints(said: str) -> None:
    assert safe(said).isprintable()


NAMES = [
    *("signature", "SignatureProvided", "security_token", "STS-Token", "sessiontoken", "auth_token", "AccessToken"),
    *("ossToken", "uploadToken", "download-token", "access_key", "AccessKeyId", "access-key-secret", "SECRETKEY"),
    *(
        "secret_access_key",
        "secret",
        "PassWord",
        "passwd",
        "x-oss-credential",
        "\u017fecret",
        "acce\u017f\u017f\u212aey",
    ),
]
ALONE = [
    *(f"{name}=abc" for name in NAMES),
    *("credential=abc", "Basic dXNlcjpwYXNz", "bearer  dXNlcjpwYXNz", "OSS dXNlcjpwYXNz:", "acs dXNlcjpwYXNz:"),
    *("ba\u017fic dXNlcjpwYXNz", "authorization: dXNlcjpwYXNzd29yZA"),
    *("https://user@host", "%2f%2fuser%40host", "%252F%252Fuser%2540host", "user:word@host"),
    *(
        "host/a?b=c",
        "host/a%3fb=c",
        "host/a%253Fb=c",
        "a\\u003fb=c",
        "a LTAI5tAbCdEfGh",
        "a STS.NUgYrLnoC37",
        "a CAIS0123456789abcdef",
    ),
]


@pytest.mark.parametrize("said", ALONE, ids=ascii)
def test_each_word_that_tells_of_a_secret(said: str) -> None:
    """Without any other word that does."""
    assert MASK in redacted(said)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_of_secrets(name: str) -> None:
    assert redacted({name: "abc"}) == {name: MASK}


def test_one_field_with_a_secret_does_not_hide_behind_others() -> None:
    """Nor do they look like one only because they stand beside each other."""
    hide("0123456789abcdef")
    item = {"a": "x01234567", "b": "89abcdef", "c": "plain", "d": 7, "e": None, "f": ["key 0123456789abcdef"]}
    assert safe(item) == {**item, "f": [f"key {MASK}"]}
    assert safe({**item, "g": "is 0123456789abcdef", "h": "\x1b[m"}) == {
        **item,
        "f": [f"key {MASK}"],
        "g": f"is {MASK}",
        "h": "\\x1b[m",
    }
    for at in range(3):
        fields = ["plain", "text", "here"]
        fields[at] = "0123456789abcdef"
        assert list(safe(dict(zip("xyz", fields))).values())[at] == MASK


@pytest.mark.parametrize(
    ("number", "what", "said"),
    [
        *[(1, "row", "1 row"), (0, "row", "0 rows"), (2, "download task", "2 download tasks")],
        *[(2, "directory", "2 directories"), (1, "retry", "1 retry"), (3, "index", "3 indexes")],
    ],
)
def test_a_number_of_things(number: int, what: str, said: str) -> None:
    assert counted(number, what) == said
