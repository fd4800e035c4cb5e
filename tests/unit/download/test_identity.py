# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects that are replaced while they are fetched, by all that a storage may say of them, or not say."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._download.object_info import ObjectInfo
from stand_in import Fault, StandIn, exports
from stand_in.model import Task

MIB = 1 << 20
SIZE = 9 * MIB
SAID = ("object_etag", "object_crc", "object_modified", "object_version")
#: All that a storage may say together.
COMBINATIONS = [tuple(itertools.compress(SAID, chosen)) for chosen in itertools.product((False, True), repeat=4)]

Result = dict[str, Any]


@pytest.fixture
def export(service: StandIn, export: Task) -> Task:
    """One whose file was there for long."""
    (stored,) = service.objects_of(export)
    stored.modified -= 3600
    return export


@pytest.fixture
def fetch(fetch: Callable[..., Result]) -> Callable[..., Result]:
    return functools.partial(fetch, connections=4)


def say(service: StandIn, said: tuple[str, ...]) -> None:
    for name in SAID:
        setattr(service.habits, name, name in said)


def content(service: StandIn, export: Task) -> bytes:
    stored = service.objects.get(exports.bucket_of(export), exports.keys_of(export)[0])
    assert stored
    return stored.read()


@pytest.mark.parametrize("said", COMBINATIONS, ids=lambda said: " ".join(said) or "nothing")
def test_an_object_replaced_in_mid_transfer_is_never_mixed(
    fetch: Callable[..., Result], service: StandIn, export: Task, tmp_path: Path, said: tuple[str, ...]
) -> None:
    say(service, said)
    first = content(service, export)
    service.inject(Fault("changed", after=3))
    result = fetch()
    assert not result.get("failed"), result
    last = content(service, export)
    assert (tmp_path / "file").read_bytes() == last
    if said:
        assert last != first
        assert result["attempts"] == 2
    else:
        # It came in one piece before it could be replaced.
        assert result["connections"] == 1
        assert [transfer.range for transfer in service.transfers] == ["bytes=0-0", ""]


@pytest.mark.parametrize("said", COMBINATIONS, ids=lambda said: " ".join(said) or "nothing")
@pytest.mark.parametrize("is_replaced", [False, True])
def test_what_an_earlier_run_left_is_of_the_same_object_or_not_used(
    fetch: Callable[..., Result],
    service: StandIn,
    export: Task,
    tmp_path: Path,
    said: tuple[str, ...],
    is_replaced: bool,
) -> None:
    say(service, said)
    service.inject(Fault("truncated", action="GetObject", at=MIB, after=1), Fault("unavailable", action="GetObject"))
    failed = fetch(max_retries=0, connections=1)
    assert failed["failed"]
    service.faults.clear()
    assert (tmp_path / "file.part.json").exists() == bool(said)
    if is_replaced:
        service.objects.change(exports.bucket_of(export), exports.keys_of(export)[0])
    result = fetch()
    assert not result.get("failed"), result
    assert (tmp_path / "file").read_bytes() == content(service, export)
    assert (result["bytes_resumed"] > 0) == (bool(said) and not is_replaced)


def test_one_that_nothing_identifies_comes_in_one_piece(
    fetch: Callable[..., Result], service: StandIn, export: Task, tmp_path: Path
) -> None:
    say(service, ())
    checked = fetch(_ansible_check_mode=True)
    assert len(service.transfers) == 1
    assert checked["bytes_to_transfer"] == SIZE
    service.inject(Fault("truncated", action="GetObject", at=MIB, times=2, after=1))
    result = fetch()
    assert (tmp_path / "file").read_bytes() == content(service, export)
    assert result["attempts"] == 2
    assert [transfer.fault for transfer in service.transfers[1:]].count("truncated") == 2
    assert "cannot be resumed" in str(result["warnings"])
    assert "no ETag, CRC-64 or Last-Modified" in str(result["warnings"])


def test_each_range_is_bound_to_the_object(fetch: Callable[..., Result], service: StandIn) -> None:
    """By headers that no link signs."""
    for said, header in (
        (SAID, "if-match"),
        (("object_etag",), "if-match"),
        (("object_modified",), "if-unmodified-since"),
        (("object_crc",), None),
    ):
        say(service, said)
        before = len(service.transfers)
        fetch(force=True)
        asked = [set(transfer.headers) & {"if-match", "if-unmodified-since"} for transfer in service.transfers[before:]]
        assert asked[0] == set()
        assert all(names == ({header} if header else set()) for names in asked[1:])
        assert not [name for transfer in service.transfers for name in transfer.headers if name.startswith("x-oss-")]


@pytest.mark.parametrize("connections", [1, 4])
def test_a_storage_that_stops_to_say_which_object_it_is(
    fetch: Callable[..., Result], service: StandIn, connections: int
) -> None:
    """After a few tries it is final: each answer will be so."""
    say(service, ("object_etag", "object_modified"))

    def say_nothing(number: int) -> None:
        say(service, ())

    service.habits.rate = say_nothing
    result = fetch(connections=connections, max_retries=3, stall_timeout=86400)
    assert "the first response had ETag and Last-Modified, this one has none of them (HTTP 206" in result["msg"]
    assert "If a proxy removes headers of the storage's responses, let it pass them on" in result["msg"]
    assert result["error"]["kind"] == "answer"
    assert 5 <= len(service.transfers) <= 1 + 4 * connections


@pytest.mark.parametrize("kind", ["whole", "wrong_range"])
def test_a_storage_that_answers_with_other_parts_for_good(
    fetch: Callable[..., Result], service: StandIn, kind: str
) -> None:
    service.inject(Fault(kind, times=10**9, after=1))
    result = fetch(connections=1, max_retries=3, stall_timeout=86400)
    assert ("instead of a range" if kind == "whole" else "a part of a wrong length") in result["msg"]
    assert len(service.transfers) == 5


BASE = ObjectInfo(9, '"E"', 5, "Mon", "md5", "v1", "Normal")
NOTHING = ObjectInfo(9, "", None, "")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (BASE, BASE, True),
        (BASE, BASE._replace(size=8), False),
        (BASE, BASE._replace(etag='"F"'), False),
        (BASE, BASE._replace(crc64=6), False),
        (BASE, BASE._replace(md5="other"), False),
        (BASE, BASE._replace(object_type="Appendable"), False),
        # Put there again, with the same bytes.
        (BASE, BASE._replace(last_modified="Tue", version_id="v2"), True),
        # What only one of them says tells nothing.
        (BASE, NOTHING, None),
        (BASE, NOTHING._replace(crc64=5), True),
        (NOTHING._replace(crc64=0), NOTHING._replace(crc64=0), True),
        (BASE._replace(crc64=None, md5=""), NOTHING._replace(last_modified="Mon"), True),
        (BASE._replace(crc64=None, md5=""), NOTHING._replace(last_modified="Tue"), False),
        (NOTHING._replace(version_id="v1"), NOTHING._replace(version_id="v2"), False),
        # A weak ETag says nothing of bytes where it is the same, but it differs for a reason.
        (NOTHING._replace(etag='W/"E"'), NOTHING._replace(etag='W/"E"'), None),
        (NOTHING._replace(etag='W/"E"'), NOTHING._replace(etag='W/"F"'), False),
        (NOTHING._replace(etag='W/"E"', last_modified="Mon"), NOTHING._replace(etag='"E"', last_modified="Mon"), True),
        (NOTHING, NOTHING, None),
    ],
)
def test_two_answers_are_of_one_object(one: ObjectInfo, other: ObjectInfo, same: bool | None) -> None:
    assert one.is_of(other) is same
    assert other.is_of(one) is same
    assert ObjectInfo(*json.loads(json.dumps(one))) == one


@pytest.mark.parametrize(
    ("info", "is_identified"),
    [
        (NOTHING, False),
        (NOTHING._replace(etag='W/"E"', object_type="Normal"), False),
        (NOTHING._replace(etag='"E"'), True),
        (NOTHING._replace(crc64=0), True),
        (NOTHING._replace(last_modified="Mon"), True),
        (NOTHING._replace(md5="x"), True),
        (NOTHING._replace(version_id="x"), True),
    ],
)
def test_what_identifies_an_object(info: ObjectInfo, is_identified: bool) -> None:
    assert info.is_identified is is_identified
