# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage side: signed links, ranges, checksums, faults; and the official OSS client, which cannot tell the difference."""

from __future__ import annotations

import hashlib
import http.client
import io
import tarfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import alibabacloud_oss_v2 as oss
import pytest
from exports import mysql_tables
from stand_in import AccessKey, Fault, StandIn, StoredObject, demo
from stand_in.archive import gz, zst
from stand_in.crc64 import crc64, crc64_by_table
from stand_in.exports import link
from stand_in.objects import CHUNK

KEY = "backups/a b+é/1.tar.gz"


class Linked:
    """A task's object and a kept-alive connection on which to ask for it by a signed link."""

    def __init__(self, service: StandIn, content: bytes | int | Path = 1000) -> None:
        self.service = service
        self.task = service.add_task("rm-bp1abc", task_id="dt-1")
        self.stored = service.put_object(self.task, content)
        self.connection = http.client.HTTPConnection(urlsplit(service.url).netloc)

    def url(self) -> str:
        url = link(self.service, self.task, 300, internal=False)
        return url.removeprefix(self.service.url)

    def ask(self, url: str = "", method: str = "GET", **headers: str) -> http.client.HTTPResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, url or self.url(), headers=named)
        return self.connection.getresponse()

    def error(self, url: str = "", method: str = "GET", **headers: str) -> tuple[int, str]:
        answer = self.ask(url, method, **headers)
        root = ElementTree.fromstring(answer.read())
        return answer.status, root.findtext("Code", "")

    def replace(self, content: bytes | int | Path) -> StoredObject:
        self.stored = self.service.put_object(self.task, content)
        return self.stored


@pytest.fixture(params=["v1", "v4"])
def linked(request: pytest.FixtureRequest, service: StandIn) -> Iterator[Linked]:
    service.habits.presign = request.param
    linked = Linked(service)
    yield linked
    linked.connection.close()


@pytest.fixture
def official_oss(service: StandIn) -> Callable[..., oss.Client]:
    def client(version: str = "v4", key: AccessKey | None = None) -> oss.Client:
        config = oss.config.load_default()
        key = key or service.key
        config.credentials_provider = oss.credentials.StaticCredentialsProvider(key.id, key.secret, key.token)
        config.region, config.endpoint, config.signature_version = "cn-hangzhou", service.url, version
        config.retry_max_attempts = 1
        return oss.Client(config)

    return client


def test_the_checksum_is_that_of_the_standard() -> None:
    assert crc64(b"123456789") == crc64_by_table(b"123456789") == 0x995DC9BBDF1939FA
    assert crc64(b"6789", crc64(b"12345")) == crc64_by_table(b"6789", crc64_by_table(b"12345")) == crc64(b"123456789")


def test_a_whole_object(linked: Linked) -> None:
    answer = linked.ask()

    assert (answer.status, answer.read()) == (200, linked.stored.read())
    assert answer.headers["ETag"] == linked.stored.etag
    assert answer.headers["x-oss-hash-crc64ecma"] == str(crc64(linked.stored.read()))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Last-Modified"].endswith("GMT")
    assert len(answer.headers["x-oss-request-id"]) == 24
    assert linked.service.transfers[0].sent == 1000

    linked.service.habits.object_crc = False
    answer = linked.ask()
    assert "x-oss-hash-crc64ecma" not in answer.headers
    assert len(answer.read()) == 1000


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=990-", (990, 1000)),
        ("bytes=-5", (995, 1000)),
        ("bytes=0-999", (0, 1000)),
        ("bytes=0-1000", None),
        ("bytes=1000-", None),
        ("bytes=-1001", None),
        ("bytes=-0", None),
        ("bytes=5-4", None),
        ("bytes=0-1,4-5", None),
        ("bytes=-", None),
        ("lines=0-1", None),
    ],
)
def test_a_range_beyond_the_object_gets_everything(service: StandIn, wanted: str, part: tuple[int, int] | None) -> None:
    linked = Linked(service)

    answer = linked.ask(Range=wanted)
    data = answer.read()

    assert answer.headers["x-oss-hash-crc64ecma"] == str(linked.stored.crc64), "of the whole object"
    if part is None:
        assert (answer.status, data, answer.headers["Content-Range"]) == (200, linked.stored.read(), None)
    else:
        start, stop = part
        assert (answer.status, data) == (206, linked.stored.read()[start:stop])
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/1000"
    assert service.transfers[0].range == wanted
    linked.connection.close()


def test_an_empty_object(service: StandIn) -> None:
    linked = Linked(service, b"")
    answer = linked.ask(Range="bytes=0-0")
    assert (answer.status, answer.read(), answer.headers["x-oss-hash-crc64ecma"]) == (200, b"", "0")
    linked.connection.close()


def test_what_breaks_a_link(linked: Linked) -> None:
    url = linked.url()
    path, query = url.split("?")

    head = linked.ask(url, "HEAD")
    assert (head.status, head.read()) == (403, b"")
    assert linked.error(url, x_oss_range_behavior="standard") == (403, "SignatureDoesNotMatch")
    assert linked.error(url.replace("dt-1_", "dt-2_")) == (403, "SignatureDoesNotMatch")
    assert linked.error(f"{path}?{query.replace('LTAI5t', 'LTAI5x')}") == (403, "InvalidAccessKeyId")
    assert linked.error(path) == (403, "AccessDenied")
    assert linked.error(url, "DELETE") == (405, "MethodNotAllowed")
    assert linked.error(f"{path}?OSSAccessKeyId=x") == (400, "InvalidArgument")
    assert linked.error(url, if_match='"another"') == (412, "PreconditionFailed")
    answer = linked.ask(url, if_match=linked.stored.etag, range="bytes=0-1")
    assert (answer.status, answer.read()) == (206, linked.stored.read()[:2])
    linked.service.objects.delete(linked.service.transfers[0].bucket, linked.service.transfers[0].key)
    assert linked.error(url) == (404, "NoSuchKey")
    assert [transfer.sent for transfer in linked.service.transfers if transfer.status != 206] == [0] * 9


def test_a_link_expires_on_arrival(linked: Linked) -> None:
    url = linked.url()
    linked.replace(3 * CHUNK)
    running = linked.ask(url)

    linked.service.advance(302)

    assert len(running.read()) == 3 * CHUNK
    answer = linked.ask(url)
    error = ElementTree.fromstring(answer.read())
    assert (answer.status, error.findtext("Code"), error.findtext("Message")) == (
        403,
        "AccessDenied",
        "Request has expired.",
    )
    assert error.findtext("Expires", "").endswith(".000Z")
    assert linked.ask().read()[:9] == linked.stored.read()[:9], "another link leads there again"


def test_a_link_is_good_for_so_many_requests(linked: Linked) -> None:
    linked.service.habits.link_requests = 2
    url = linked.url()
    assert [linked.ask(url, Range="bytes=0-1").read() for dummy in range(2)] == [linked.stored.read()[:2]] * 2
    assert linked.error(url) == (403, "AccessDenied")
    another = linked.url()
    assert another != url
    assert linked.ask(another).read() == linked.stored.read()


def test_objects_of_every_kind(service: StandIn, tmp_path: Path) -> None:
    linked = Linked(service, b"some bytes")
    assert linked.stored.etag == f'"{hashlib.md5(b"some bytes").hexdigest().upper()}"'
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 9000)
    for content in (path, 5 * CHUNK + 7):
        stored = linked.replace(content)
        start, stop = CHUNK - 3, 2 * CHUNK + 5
        data = linked.ask(Range=f"bytes={start}-{stop - 1}").read()
        assert data == stored.read()[start:stop]
        assert stored.etag.endswith('-1"')
        assert stored.crc64 == crc64(linked.ask().read()) == crc64(stored.read())
    blocks = [linked.stored.read()[start : start + CHUNK] for start in range(0, 5 * CHUNK, CHUNK)]
    assert len(set(blocks)) == 5
    assert service.put_object(linked.task, 5 * CHUNK + 7).etag == linked.stored.etag
    linked.connection.close()


def test_memory_stays_flat(service: StandIn) -> None:
    tracemalloc.start()
    linked = Linked(service, 40 * CHUNK)
    answer = linked.ask()
    assert sum(len(part) for part in iter(lambda: answer.read(1 << 16), b"")) == 40 * CHUNK
    assert tracemalloc.get_traced_memory()[1] < 12 * CHUNK
    tracemalloc.stop()
    linked.connection.close()


def test_a_rate_is_kept_for_each_connection(service: StandIn) -> None:
    linked = Linked(service, 50_000)
    service.habits.rate = lambda connection: 500_000 if connection == 1 else None
    pauses = recorded_pauses(service)
    begin = time.monotonic()
    assert linked.ask().read() == linked.stored.read()
    assert time.monotonic() - begin > 0.04
    assert max(pauses) > 0
    linked.connection.close()
    pauses.clear()
    assert linked.ask().read() == linked.stored.read()
    assert max(pauses, default=0) <= 0
    linked.connection.close()


def recorded_pauses(service: StandIn) -> list[float]:
    """Of its answers, the seconds that each pause is meant to take."""
    pause, pauses = service.pause, []

    def recording(seconds: float) -> None:
        pauses.append(seconds)
        pause(seconds)

    service.pause = recording  # type: ignore[method-assign]
    return pauses


# faults


def test_a_reset_in_midway(service: StandIn) -> None:
    linked = Linked(service)
    service.inject(Fault("reset", action="GetObject", at=400))

    answer = linked.ask()
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        answer.read()

    assert (service.transfers[0].sent, service.transfers[0].fault) == (400, "reset")
    linked.connection.close()


def test_a_reset_before_any_answer(service: StandIn) -> None:
    linked = Linked(service)
    service.inject(Fault("reset", action="GetObject"))

    with pytest.raises(ConnectionError):
        linked.ask()

    assert (service.transfers[0].status, service.transfers[0].sent) == (None, 0)
    linked.connection.close()


def test_truncation(service: StandIn) -> None:
    linked = Linked(service)
    service.inject(Fault("truncated", action="GetObject"))
    answer = linked.ask()

    with pytest.raises(http.client.IncompleteRead) as error:
        answer.read()

    assert error.value.partial == linked.stored.read()[:500]
    linked.connection.close()


@pytest.mark.parametrize("kind", ["reset", "truncated", "flipped"])
@pytest.mark.parametrize("at", [9, 10, 5000])
def test_no_answer_is_too_short_to_be_spoilt(service: StandIn, kind: str, at: int) -> None:
    """However late the fault is to come, it comes at the last byte then."""
    linked = Linked(service)
    good = linked.stored.read()[:10]
    service.inject(Fault(kind, action="GetObject", at=at))
    answer = linked.ask(Range="bytes=0-9")

    if kind == "flipped":
        assert answer.read() == good[:9] + bytes([good[9] ^ 1])
    else:
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            answer.read()
        assert service.transfers[0].sent == 9
    linked.connection.close()


@pytest.mark.parametrize(
    "fault",
    [
        Fault("stall", seconds=0.1),
        Fault("stall", seconds=0.1, at=5000),
        Fault("slow", action="GetObject", seconds=0.1),
    ],
)
def test_a_pause(service: StandIn, fault: Fault) -> None:
    linked = Linked(service)
    service.inject(fault)
    begin = time.monotonic()
    assert linked.ask().read() == linked.stored.read()
    assert time.monotonic() - begin >= 0.1
    linked.connection.close()


def test_a_slow_answer_among_fast_ones(service: StandIn) -> None:
    linked = Linked(service)
    service.inject(Fault("crawl", rate=10_000))
    pauses = recorded_pauses(service)
    begin = time.monotonic()
    assert linked.ask().read() == linked.stored.read()
    assert time.monotonic() - begin > 0.05
    assert max(pauses) > 0
    pauses.clear()
    linked.ask().read()
    assert max(pauses, default=0) <= 0
    linked.connection.close()


def test_one_bit(service: StandIn) -> None:
    linked = Linked(service, 3 * CHUNK)
    good = linked.stored.read()
    service.inject(Fault("flipped"), Fault("flipped", at=7), Fault("flipped", at=2))

    halfway, seventh, of_a_part = linked.ask().read(), linked.ask().read(), linked.ask(Range="bytes=10-19").read()

    assert [place for place in range(3 * CHUNK) if halfway[place] != good[place]] == [3 * CHUNK // 2]
    assert [place for place in range(100) if seventh[place] != good[place]] == [7]
    assert [place for place in range(10) if of_a_part[place] != good[place + 10]] == [2]
    linked.connection.close()


def test_ranges_that_go_wrong(service: StandIn) -> None:
    linked = Linked(service)
    service.inject(Fault("whole"), Fault("wrong_range", offset=3))

    whole = linked.ask(Range="bytes=0-9")
    assert (whole.status, len(whole.read())) == (200, 1000)
    wrong = linked.ask(Range="bytes=0-9")
    assert (wrong.status, wrong.headers["Content-Range"], len(wrong.read())) == (206, "bytes 3-12/1000", 10)
    linked.connection.close()


def test_an_object_that_changes(service: StandIn) -> None:
    linked = Linked(service)
    old = linked.stored
    service.inject(Fault("changed", after=1))

    assert linked.ask().read() == old.read()
    answer = linked.ask()
    assert (len(answer.read()), answer.headers["ETag"] == old.etag) == (1000, False)
    assert linked.error(if_match=old.etag) == (412, "PreconditionFailed")
    linked.connection.close()


def test_errors_on_demand(service: StandIn) -> None:
    linked = Linked(service)
    service.inject(
        Fault("unavailable", action="GetObject"),
        Fault("expired"),
        Fault("html", action="GetObject"),
        Fault("throttled"),
    )

    assert linked.error() == (503, "ServiceUnavailable")
    assert linked.error() == (403, "AccessDenied")
    assert linked.ask().read().startswith(b"<html>")
    assert linked.ask().read() == linked.stored.read(), "what names no action happens to calls of the gateway"
    linked.connection.close()


def test_faults_have_their_places() -> None:
    with pytest.raises(ValueError, match="a 'flipped' fault cannot happen to CreateDownload"):
        Fault("flipped", action="CreateDownload")
    with pytest.raises(ValueError, match="a 'nonce_used' fault cannot happen to GetObject"):
        Fault("nonce_used", action="GetObject")


# archives


def entries(stored: StoredObject) -> dict[str, bytes]:
    """The files of all tars of an archive, in their order."""
    with tarfile.open(fileobj=io.BytesIO(stored.read()), mode="r:gz", ignore_zeros=True) as archive:
        return {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]


def test_the_archive_of_a_task(service: StandIn) -> None:
    task = service.add_task("rm-bp1abc", task_id="dt-1", databases=["shop", "crm"], format="csv-with-header")
    (stored,) = service.objects_of(task)

    found = entries(stored)
    assert {name.partition("/")[0] for name in found} == {"dt-1"}
    export = mysql_tables.export(["shop", "crm"], format="wh.csv")
    export.root = "dt-1"
    assert found == export.files()
    assert found["dt-1/crm/orders/data/0.wh.csv"].startswith(b'"id","customer_id",')
    names = list(found)
    assert names.index("dt-1/shop/orders/data/11.wh.csv") < names.index("dt-1/shop/orders/structure.sql")
    with tarfile.open(fileobj=io.BytesIO(stored.read()), mode="r:gz") as archive:
        assert archive.getnames() == names[: len(names) // 2], "one tar of two that are joined"
    assert stored.size < 50_000

    assert service.objects_of(task)[0] is stored
    with StandIn() as again:
        same = again.add_task(
            "rm-bp1abc", task_id="dt-1", created=task.created, databases=["shop", "crm"], format=task.format
        )
        assert again.objects_of(same)[0].read() == stored.read()


@pytest.mark.parametrize(
    ("instance", "format", "name", "part"),
    [
        ("rm-1", "SQL", "shop/orders/data/11.sql", b"INSERT INTO `shop`.`orders` (`id`,"),
        ("pc-1", "CSV", "shop/orders/data/11.csv", b'100,21,"ORD-'),
        ("pgm-1", "CSV", "shop/public/orders/data/11.csv", b"100,21,ORD-"),
        ("pgm-1", "csv-with-header", "shop/public/orders/data/0.wh.csv", b"id,customer_id,"),
        ("pgm-1", "SQL", "shop/Sales & 漢字's/データ/data/0.sql", b'INSERT INTO "Sales & '),
        ("dds-1", "Bson", "shop/events/data/events_1_part10.bson", b"\x07_id\0"),
        ("rm-1", "Parquet", "shop/orders/data/0.parquet", b"PAR1"),
        ("rm-1", "qp.xb", "shop/orders/data/0.qp.xb", b"XBSTCK01"),
    ],
)
def test_archives_of_each_engine_and_format(
    service: StandIn, instance: str, format: str, name: str, part: bytes
) -> None:
    task = service.add_task(instance, task_id="dt-1", databases=["shop"], format=format)
    assert part in entries(service.objects_of(task)[0])[f"dt-1/{name}"]


def test_habits_of_archives(service: StandIn) -> None:
    service.habits.archive_dialect = {"null": "NULL", "quoting": "all"}
    service.habits.archive_tars = 1
    service.habits.archive_order = "structures last"
    stored = service.objects_of(service.add_task("rm-1", task_id="dt-1", databases=["shop"]))[0]
    with tarfile.open(fileobj=io.BytesIO(stored.read()), mode="r:gz") as archive:
        assert archive.getnames() == list(entries(stored))
    assert [name.endswith("structure.sql") for name in entries(stored)] == sorted(
        name.endswith("structure.sql") for name in entries(stored)
    )
    assert b'"3",NULL,' in entries(stored)["dt-1/shop/edge cases & 漢字's/data/0.csv"]


@pytest.mark.parametrize(
    ("task_id", "name"),
    [
        (demo.TASK, "billing/orders/structure.sql"),
        (demo.POSTGRESQL_TASK, "metrics/public/orders/column_structure.sql"),
        (demo.MONGODB_TASK, "events/events/events.metadata.json"),
    ],
)
def test_the_demonstration_has_a_backup_of_each_engine(service: StandIn, task_id: str, name: str) -> None:
    demo.seed(service)
    found = service.account.find_task(demo.REGION, task_id)
    assert found
    assert f"{task_id}/{name}" in entries(service.objects_of(found[1])[0])


def test_archives_by_zstandard(service: StandIn) -> None:
    task = service.add_task("rm-bp1abc", zstd=True)
    assert service.objects_of(task)[0].read()[:4] == b"\x28\xb5\x2f\xfd"
    assert gz(b"x") == gz(b"x")
    assert len(zst(bytes(70_000))) == 70_000 + 9 + 2 * 3


# the official OSS client


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_the_official_client_reads_an_object(
    service: StandIn, official_oss: Callable[..., oss.Client], version: str
) -> None:
    stored = service.objects.put("mine", KEY, 3 * CHUNK)
    client = official_oss(version)

    whole = client.get_object(oss.GetObjectRequest(bucket="mine", key=KEY))
    with whole.body as body:
        assert body.read() == stored.read()
    part = client.get_object(oss.GetObjectRequest(bucket="mine", key=KEY, range_header="bytes=5-9"))
    assert (part.status_code, part.content_range) == (206, f"bytes 5-9/{3 * CHUNK}")
    head = client.head_object(oss.HeadObjectRequest(bucket="mine", key=KEY))

    assert (head.content_length, head.etag, head.hash_crc64) == (3 * CHUNK, stored.etag, str(stored.crc64))
    assert [transfer.action for transfer in service.transfers] == ["GetObject", "GetObject", "HeadObject"]


def test_the_official_downloader(service: StandIn, official_oss: Callable[..., oss.Client], tmp_path: Path) -> None:
    stored = service.objects.put("mine", KEY, 3 * CHUNK + 1)
    downloader = official_oss().downloader(part_size=CHUNK, parallel_num=3)

    result = downloader.download_file(oss.GetObjectRequest(bucket="mine", key=KEY), str(tmp_path / "file"))

    assert result.written == stored.size
    assert (tmp_path / "file").read_bytes() == stored.read()


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_the_official_client_presigns(service: StandIn, official_oss: Callable[..., oss.Client], version: str) -> None:
    linked = Linked(service)
    stored = service.objects.put("mine", KEY, 1000)
    key = service.add_key(token="temporary+/=", expires_in=60)
    for client in (official_oss(version), official_oss(version, key)):
        request = oss.GetObjectRequest(bucket="mine", key=KEY)
        url = client.presign(request, expires=timedelta(seconds=60)).url.removeprefix(service.url)
        assert linked.ask(url).read() == stored.read()
        assert linked.error(url + "x") == (403, "SignatureDoesNotMatch")
    service.clock_offset = 61
    assert linked.error(url) == (403, "InvalidAccessKeyId"), "the key itself has expired"
    linked.connection.close()


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_the_official_client_lists_what_a_task_exported(
    service: StandIn, official_oss: Callable[..., oss.Client], version: str
) -> None:
    exported = {"target_type": "OSS", "target_bucket": "mine", "target_path": "exports/é &+"}
    task = service.add_task("rm-bp1abc", task_id="dt-1", databases=["a", "b", "c"], **exported)
    service.add_task("rm-bp1abc", task_id="dt-2", state="running", **exported)
    service.objects.put("mine", "other/1", 1)
    client = official_oss(version)

    pages = list(
        client.list_objects_v2_paginator().iter_page(
            oss.ListObjectsV2Request(bucket="mine", prefix=task.target_path, max_keys=2)
        )
    )

    assert [[item.key for item in page.contents or []] for page in pages] == [
        ["exports/é &+/dt-1_a.tar.gz", "exports/é &+/dt-1_b.tar.gz"],
        ["exports/é &+/dt-1_c.tar.gz"],
    ]
    assert pages[0].contents[0].size == service.objects_of(task)[0].size
    folders = client.list_objects_v2(oss.ListObjectsV2Request(bucket="mine", delimiter="/", max_keys=1))
    assert [folder.prefix for folder in folders.common_prefixes] == ["exports/"]
    rest = oss.ListObjectsV2Request(
        bucket="mine", delimiter="/", continuation_token=folders.next_continuation_token, max_keys=2
    )
    assert [folder.prefix for folder in client.list_objects_v2(rest).common_prefixes] == ["other/"]


def test_errors_as_the_official_client_sees_them(service: StandIn, official_oss: Callable[..., oss.Client]) -> None:
    service.objects.put("mine", KEY, 1)

    def code(client: oss.Client, bucket: str = "mine", key: str = KEY, head: bool = False) -> Any:
        ask, request = (
            (client.head_object, oss.HeadObjectRequest) if head else (client.get_object, oss.GetObjectRequest)
        )
        with pytest.raises(oss.exceptions.OperationError) as error:
            ask(request(bucket=bucket, key=key))
        return error.value.unwrap().code

    assert code(official_oss(), "unknown") == "NoSuchBucket"
    assert code(official_oss(), key="unknown") == "NoSuchKey"
    assert code(official_oss(), key="unknown", head=True) == "NoSuchKey"
    assert code(official_oss(key=AccessKey("unknown", "secret"))) == "InvalidAccessKeyId"
    assert code(official_oss(key=AccessKey(service.key.id, "wrong"))) == "SignatureDoesNotMatch"
    assert code(official_oss(key=service.add_key(may={"dbs:CreateDownload"}))) == "AccessDenied"
    service.clock_offset = 3600
    assert code(official_oss()) == "RequestTimeTooSkewed"
