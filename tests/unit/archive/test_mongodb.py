# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports of MongoDB, as real archives, in the layout of mongorestore."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import struct
import tarfile
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard
from ansible_collections.apsaradb.backup.plugins.module_utils._archive import extraction
from ansible_collections.apsaradb.backup.plugins.module_utils._archive.bson import DocumentWalk
from ansible_collections.apsaradb.backup.plugins.module_utils._archive.errors import InvalidArchiveError
from ansible_collections.apsaradb.backup.plugins.module_utils._archive.extraction import Progress, Step
from ansible_collections.apsaradb.backup.plugins.module_utils._archive.tree import MARKER, Layout, Request, Tree
from ansible_collections.apsaradb.backup.plugins.module_utils._files.errors import DestinationError
from exports import mongodb, packing

Entry = tuple[str, bytes]


def document(number: int, size: int = 5) -> bytes:
    """A document with one field of binary data, which is different for each number."""
    data = random.Random(number).randbytes(size)
    field = b"\x05k\0" + struct.pack("<I", size) + b"\0" + data
    return struct.pack("<I", len(field) + 5) + field + b"\0"


def metadata(name: str | None, **facts: Any) -> bytes:
    if name is not None:
        facts["collectionName"] = name
    return json.dumps({"indexes": [{"v": 2, "key": {"_id": 1}, "name": "_id_"}], **facts}).encode()


def collection(path: str, parts: dict[str, bytes], name: str | None = "") -> list[Entry]:
    """In the directory of that path. By default, its metadata state its name."""
    last = path.rpartition("/")[2]
    entries = [(f"{path}/data/{last}_{part}.bson", data) for part, data in parts.items()]
    return [(f"{path}/{last}.metadata.json", metadata(last if name == "" else name)), *entries]


def tar(*entries: Any) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as file:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                file.addfile(entry)
                continue
            header = tarfile.TarInfo(entry[0])
            header.size = len(entry[1])
            file.addfile(header, io.BytesIO(entry[1]))
    return packed.getvalue()


def special(kind: bytes, name: str, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


class Place:
    def __init__(self, path: Path) -> None:
        self.src = path / "backup.tar.gz"
        self.dest = path / "out" / "dump"
        self.dest.parent.mkdir()
        self.seen: list[Progress] = []
        self.watch: Callable[[Progress], None] = self.seen.append

    def request(self, **options: Any) -> Request:
        options = {"layout": Layout.MONGORESTORE, "sync": False, **options}
        return Request(**{"src": str(self.src), "dest": str(self.dest), **options})

    def unpack(self, data: bytes | None = None, **options: Any) -> Any:
        if data is not None:
            self.src.write_bytes(data)
        self.changed, contents = extraction.unpack(self.request(**options), self.watch)
        assert os.listdir(self.dest.parent) == ["dump"]
        return contents

    def refused(self, data: bytes, *words: str) -> str:
        """Nothing came of it."""
        with pytest.raises(InvalidArchiveError) as caught:
            self.unpack(data)
        assert os.listdir(self.dest.parent) == []
        message = str(caught.value)
        assert message.startswith(f"Failed to extract {self.src} into {self.dest}: ")
        assert "Nothing was extracted" in message
        assert message.isprintable()
        for word in words:
            assert word in message
        return message

    def tree(self) -> dict[str, bytes]:
        paths = [path for path in self.dest.rglob("*") if path.name != MARKER]
        return {str(path.relative_to(self.dest)): path.read_bytes() for path in paths if path.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


EVENTS = {f"0_part{part}": b"".join(map(document, range(100 * part, 100 * part + 3))) for part in range(12)}
GROUPS = {f"{group}_part{part}": document(1000 * group + part) for group in (0, 1, 2, 10) for part in range(2)}
GROUPS.update({f"{group}_part0": document(-group) for group in range(3, 10)})
EXPORT = [
    *collection("root/orders/events", EVENTS),
    *collection("root/orders/groups", GROUPS),
    *collection("root/orders/one", {"0_part0": document(1)}),
    *collection("root/orders/none", {"0_part0": b""}),
    *collection("root/users/events", {"0_part0": document(2), "0_part1": b"", "0_part2": document(3)}),
]
EXPECTED = {
    "orders/events.bson": b"".join(EVENTS[f"0_part{part}"] for part in range(12)),
    "orders/groups.bson": b"".join(
        GROUPS[f"{group}_part{part}"] for group in range(11) for part in range(2) if f"{group}_part{part}" in GROUPS
    ),
    "orders/one.bson": document(1),
    "orders/none.bson": b"",
    "users/events.bson": document(2) + document(3),
    **{
        f"{database}/{name}.metadata.json": metadata(name)
        for database, name in [("users", "events"), *(("orders", name) for name in ("events", "groups", "one", "none"))]
    },
}


def shuffled(entries: Sequence[Entry], seed: int) -> list[Entry]:
    return random.Random(seed).sample(entries, len(entries))


ORDERS = {
    "as written": EXPORT,
    "by name": sorted(EXPORT),
    "reversed": EXPORT[::-1],
    **{f"shuffled {seed}": shuffled(EXPORT, seed) for seed in range(12)},
}


@pytest.mark.parametrize("order", ORDERS)
def test_parts_are_joined_by_their_numbers_in_whatever_order_they_come(place: Place, order: str) -> None:
    contents = place.unpack(gzip.compress(tar(special(tarfile.DIRTYPE, "root/orders/"), *ORDERS[order])))
    assert place.tree() == EXPECTED
    assert sorted(os.listdir(place.dest)) == [MARKER, "orders", "users"]
    assert extraction.roots_of(str(place.dest)) == ["orders", "users"]
    assert contents.tree == Tree(files=10, directories=2, links=0, size=sum(map(len, EXPECTED.values())))
    assert contents.layout is Layout.MONGORESTORE


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.ZstdCompressor(write_checksum=True).compress])
@pytest.mark.parametrize("count", [2, 5])
def test_parts_in_several_joined_tars(place: Place, compress: Callable[[bytes], bytes], count: int) -> None:
    entries = shuffled(EXPORT, count)
    tars = [tar(*entries[start::count]) for start in range(count)]
    assert place.unpack(b"".join(map(compress, tars))).archives == count
    assert place.tree() == EXPECTED


@pytest.mark.parametrize("format", packing.PACKERS)
@pytest.mark.parametrize("order", packing.ORDERS)
def test_the_exports_of_the_generator(place: Place, format: str, order: str) -> None:
    found = mongodb.collections(["shop", "log"])
    place.unpack(packing.pack(mongodb.files(found), format, tars=3, order=order, seed=7, directories=True))
    assert place.tree() == {
        **{f"{one.database}/{one.name}.bson": b"".join(map(mongodb.encode, one.documents)) for one in found},
        **{f"{one.database}/{one.name}.metadata.json": one.metadata() for one in found},
    }


@pytest.mark.parametrize("root", ["", "./", "a/b/c/d/", "data/", "orders/", "x_0_part0.bson/"])
def test_an_export_at_any_depth(place: Place, root: str) -> None:
    entries = [(root + name.removeprefix("root/"), data) for name, data in EXPORT]
    place.unpack(tar(*entries))
    assert place.tree() == EXPECTED


@pytest.mark.parametrize(
    "name", ["a_1_part2", "a_1_part2.bson", "data", "part", "_", "0", "x.metadata.json", "漢字 '\"", "metadata"]
)
def test_the_directory_has_the_name_of_the_collection(place: Place, name: str) -> None:
    parts = {f"0_part{part}": document(part) for part in range(3)}
    entries = collection(f"data/{name}", parts) + collection("data/x", {"0_part0": b""}) + collection("data/a", parts)
    place.unpack(tar(*reversed(entries)))
    tree = place.tree()
    assert tree[f"data/{name}.bson"] == tree["data/a.bson"] == b"".join(parts.values())
    assert tree[f"data/{name}.metadata.json"] == metadata(name)
    assert (tree["data/x.bson"], tree["data/x.metadata.json"]) == (b"", metadata("x"))
    assert len(tree) == 6


# Room on the disk and in memory


class Usage:
    """Bytes of files beside ``dest`` at most, and how often something was copied."""

    def __init__(self, place: Place) -> None:
        self.most = self.joins = 0
        self._path = place.dest.parent

    def __call__(self, progress: Progress) -> None:
        self.joins += progress.step is Step.JOIN
        files = [path for path in self._path.rglob("*") if path.is_file()]
        self.most = max(self.most, sum(path.stat().st_size for path in files))


PIECES = {f"0_part{part}": document(part, (3 << 20) + part) for part in range(6)}


@pytest.mark.parametrize("order", ["as written", "reversed", "the first one last", *range(5)])
def test_the_disk_holds_no_more_than_one_part_twice(place: Place, order: str | int) -> None:
    entries = collection("db/big", PIECES)
    if order == "reversed":
        entries.reverse()
    elif order == "the first one last":
        entries.append(entries.pop(1))
    elif isinstance(order, int):
        entries = shuffled(entries, order)
    usage = place.watch = Usage(place)
    contents = place.unpack(tar(*entries))
    assert place.tree()["db/big.bson"] == b"".join(PIECES.values())
    most = max(map(len, PIECES.values())) if order != "as written" else 0
    assert contents.tree.size - 1000 < usage.most <= contents.tree.size + most
    # For the collection, for the end of each part that is appended, and for each piece of it.
    assert (usage.joins < 10) == (order == "as written")


@pytest.mark.parametrize("order", [1, -1])
def test_memory_grows_with_no_size(place: Place, order: int) -> None:
    entries = collection("db/big", {f"0_part{part}": document(part, 15 << 20) for part in range(4)})
    place.src.write_bytes(tar(*entries[::order]))
    del entries
    tracemalloc.start()
    try:
        place.unpack()
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o644])
def test_files_get_their_mode_when_they_are_complete(place: Place, mode: int) -> None:
    seen = set()

    def watch(progress: Progress) -> None:
        if progress.step is Step.JOIN:
            parts = [path for path in place.dest.parent.rglob("*") if path.is_file() and ".parts" in path.parts]
            seen.update(path.stat().st_mode & 0o777 for path in parts)

    place.watch = watch
    place.unpack(tar(*EXPORT[::-1]), mode=mode, directory_mode=0o755)
    assert seen == {0o600}
    assert {path.stat().st_mode & 0o777 for path in place.dest.rglob("*") if path.is_file()} == {mode}
    assert {path.stat().st_mode & 0o777 for path in place.dest.rglob("*") if path.is_dir()} == {0o755}


def test_limits_hold(place: Place) -> None:
    size = sum(len(data) for _name, data in EXPORT)
    for options in ({"max_size": size - 1}, {"max_files": len(EXPORT)}):
        with pytest.raises(InvalidArchiveError, match=r"max_(size|files)"):
            place.unpack(tar(*EXPORT), **options)
    place.unpack(tar(*EXPORT), max_size=size)
    assert place.tree() == EXPECTED


# What is refused

ONE = collection("root/db/c", {"0_part0": document(1), "0_part1": document(2)})
WHERE = "c.metadata.json"
REFUSED: dict[str, tuple[list[Any], str]] = {
    "a backup of MySQL": (
        [("root/db/structure.sql", b""), *ONE],
        "is not an export of MongoDB: root/db/structure.sql is",
    ),
    "a file of another kind": ([*ONE, ("root/db/c/data/0.csv", b"")], "root/db/c/data/0.csv is neither <collection>/"),
    "BSON in another place": ([*ONE, ("root/db/d.bson", b"")], "root/db/d.bson is neither"),
    "a dump of mongodump": ([("dump/db/c.bson", b"")], "is not an export of MongoDB: dump/db/c.bson is neither"),
    "metadata in another place": ([*ONE, ("root/db/d.metadata.json", b"")], "root/db/d.metadata.json is neither"),
    "the name of another collection": ([*ONE, ("root/db/c/data/d_0_part0.bson", b"")], "c/data/d_0_part0.bson is"),
    "another character before the numbers": (
        [*ONE, ("root/db/c/data/c-0_part2.bson", b"")],
        "c-0_part2.bson is neither",
    ),
    "another suffix": ([*ONE, ("root/db/c/data/c_0_part2.bson.gz", b"")], "c_0_part2.bson.gz is neither"),
    "a zero before": ([*ONE, ("root/db/c/data/c_0_part02.bson", b"")], "c_0_part02.bson is neither"),
    "digits of another script": ([*ONE, ("root/db/c/data/c_0_part٢.bson", b"")], "is neither"),
    "a number without end": ([*ONE, (f"root/db/c/data/c_0_part{'9' * 40}.bson", b"")], "is neither"),
    "data without number": ([*ONE, ("root/db/c/data/c.bson", document(3))], "c/data/c.bson is neither"),
    "no database": (collection("c", {"0_part0": b""}), "c/c.metadata.json is neither"),
    "a link": (
        [*ONE, special(tarfile.SYMTYPE, "root/db/c/data/c_0_part2.bson", "c_0_part1.bson")],
        "c_0_part2.bson is",
    ),
    "a hard link": ([*ONE, special(tarfile.LNKTYPE, "root/db/c/data/c_0_part2.bson", ONE[1][0])], "c_0_part2.bson is"),
    "directories only": (
        [special(tarfile.DIRTYPE, "root/db/c/data")],
        "is not an export of MongoDB: it has no collections",
    ),
    "no first part": ([ONE[0], ONE[2]], "db/c/data/c_0_part0.bson is missing"),
    "a part that is missing": (
        collection("root/db/c", {"0_part0": b"", "0_part1": b"", "0_part3": b""}),
        "db/c/data/c_0_part2.bson is missing in the archive, which has parts after it",
    ),
    "the first of a group": (
        collection("root/db/c", {"0_part0": b"", "1_part1": b""}),
        "db/c/data/c_1_part0.bson is missing",
    ),
    "a group that is missing": (collection("root/db/c", {"0_part0": b"", "2_part0": b""}), "c_1_part0.bson is missing"),
    "no first group": (collection("root/db/c", {"1_part0": b""}), "c_0_part0.bson is missing"),
    "a part twice": ([*ONE, ONE[1]], "root/db/c/data/c_0_part0.bson is in the archive twice"),
    "a part twice in turn": ([ONE[0], ONE[1], ONE[2], ONE[2]], "root/db/c/data/c_0_part1.bson is in the archive twice"),
    "metadata twice": ([*ONE, ONE[0]], "root/db/c/c.metadata.json is in the archive twice"),
    "a collection in two directories": (
        ONE + collection("other/db/c", {"0_part0": b""}),
        "other/db/c/c.metadata.json is in",
    ),
    "no data": (ONE[:1], "has metadata of the collection c of the database db, but no data file"),
    "no metadata": (ONE[1:], "has data of the collection c of the database db, but not its metadata"),
    "an empty file and no metadata": ([("root/db/c/data/c.bson", b"")], "has data of the collection c"),
    "metadata that are cut": (
        [(ONE[0][0], ONE[0][1][:-1]), *ONE[1:]],
        "the metadata of the collection c of the database db is not",
    ),
    "metadata that are a list": ([(ONE[0][0], b"[1]"), *ONE[1:]], "is not a JSON object"),
    "metadata without end": ([(ONE[0][0], b"[" * 100000), *ONE[1:]], "is not a JSON object"),
    "metadata of strange types": ([(ONE[0][0], b'{"options": 5}'), *ONE[1:]], "is not a JSON object"),
    "metadata of another collection": (
        collection("root/db/c", {"0_part0": b""}, name="d\n"),
        "the metadata of the collection c of the database db are those of a collection d\\n",
    ),
    "a time series without data": (
        [(ONE[0][0], metadata("c", type="timeseries")), *collection("x/db/d", {"0_part0": b""})],
        "has metadata of the collection c of the database db, but no data file",
    ),
    "data of a time series alone": (
        collection("root/db/system.buckets.c", {"0_part0": b""})[1:],
        "but not its metadata",
    ),
    "a database with a dot": (
        collection("root/.parts/c", {"0_part0": b""}),
        "is below .parts, which is not a valid name",
    ),
    "a database named as the marker": (collection(f"root/{MARKER}/c", {"0_part0": b""}), "is not a valid name"),
    "a database with a long name": (collection(f"root/{'ä' * 32}/c", {"0_part0": b""}), "is not a valid name"),
    "a database that is not UTF-8": (collection("root/caf\udce9/c", {"0_part0": b""}), "caf\\xe9/c/c.metadata.json in"),
    "a collection that is not UTF-8": (collection("root/db/\udce9", {"0_part0": b""}), "a name that is not UTF-8"),
    "a place outside": (collection("../db/c", {"0_part0": b""}), "leads outside the destination"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(place: Place, name: str) -> None:
    entries, words = REFUSED[name]
    place.refused(gzip.compress(tar(*entries)), words)
    # Other content stays.
    place.dest.mkdir()
    (place.dest / "precious").write_text("precious")
    with pytest.raises(InvalidArchiveError):
        place.unpack(replace=True)
    assert place.tree() == {"precious": b"precious"}


def test_check_mode_reads_up_to_the_first_file(place: Place) -> None:
    directories = [special(tarfile.DIRTYPE, name) for name in ("root", "root/db")]
    place.src.write_bytes(tar(*directories, *EXPORT))
    assert extraction.plan(place.request(), place.watch).contents is None
    place.src.write_bytes(tar(*directories, ("root/db/structure.sql", b"")))
    with pytest.raises(InvalidArchiveError, match=r"not an export of MongoDB: root/db/structure\.sql is.*layout=as_is"):
        extraction.plan(place.request(), place.watch)


# BSON

GOOD = document(1) + document(2, 300)
BAD: dict[str, tuple[bytes, str]] = {
    "cut in a document": (GOOD[:-1], f"it ends in the middle of the document at offset {len(document(1))}"),
    "cut in a length": (GOOD + b"\5\0", f"it ends in the middle of the document at offset {len(GOOD)}"),
    "a length of zero": (GOOD + bytes(9), f"there is no valid document at offset {len(GOOD)}"),
    "a length of four": (b"\4\0\0\0" + GOOD, "there is no valid document at offset 0"),
    "a negative length": (GOOD + b"\xff" * 8, f"there is no valid document at offset {len(GOOD)}"),
    "a length above the limit": (GOOD + struct.pack("<I", (16 << 20) + 1), f"at offset {len(GOOD)}"),
    "a byte less": (GOOD[:30] + GOOD[31:] + document(3), "there is no valid document at offset"),
    "a byte more": (GOOD[:10] + b"x" + GOOD[10:], "there is no valid document at offset 0"),
    "text": (b"not BSON at all", "there is no valid document at offset 0"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("order", [1, -1])
def test_damaged_bson_is_told_by_collection_and_offset(place: Place, name: str, parts: int, order: int) -> None:
    data, words = BAD[name]
    size = -(-len(data) // parts)
    pieces = {f"0_part{part}": data[part * size : (part + 1) * size] for part in range(parts)}
    entries = collection("root/db/c", pieces) + collection("root/db/d", {"0_part0": GOOD})
    message = place.refused(tar(*entries[::order]), words)
    assert "the archive is damaged: the BSON of the collection c of the database db is not valid: " in message


@pytest.mark.parametrize("size", [1, 3, 4, 5, 7, 100])
@pytest.mark.parametrize("order", [1, -1])
def test_a_document_may_go_on_in_the_next_part(place: Place, size: int, order: int) -> None:
    parts = {f"0_part{at // size}": GOOD[at : at + size] for at in range(0, len(GOOD), size)}
    place.unpack(tar(*collection("root/db/c", parts)[::order]))
    assert place.tree()["db/c.bson"] == GOOD


def test_the_largest_document(place: Place) -> None:
    largest = document(1, (16 << 20) - len(document(1, 0)))
    assert len(largest) == 16 << 20
    place.unpack(tar(*collection("root/db/c", {"0_part0": largest})))
    assert place.tree()["db/c.bson"] == largest


@pytest.mark.parametrize("seed", range(50))
def test_a_walk_finds_each_end(seed: int) -> None:
    source = random.Random(seed)
    documents = [document(number, source.randrange(20)) for number in range(source.randrange(8))]
    data = b"".join(documents)
    starts = [sum(map(len, documents[:count])) for count in range(len(documents) + 1)]
    for cut in range(len(data) + 1):
        walk = DocumentWalk()
        at = 0
        while at < cut:
            step = source.randrange(1, 30)
            walk.feed(memoryview(data)[at : min(at + step, cut)])
            at += step
        assert walk.has_ended == (cut in starts) == (walk.damage is None)
        assert walk.start == max(start for start in starts if start <= cut)


# Names, as mongorestore decodes them

NAMES: dict[str, tuple[str, str | None, str]] = {
    "nothing to decode": ("a-b_c.d~e", None, "a-b_c.d~e"),
    "not encoded": ("a b$漢/".rstrip("/"), None, "a b$漢"),
    "encoded by mongodump": ("a%2Fb+c%25", "a/b c%", "a%2Fb+c%25"),
    "a percent sign that nothing follows": ("100%", None, "100%25"),
    "a percent sign, and the name stated": ("100%25", "100%25", "100%2525"),
    "a plus sign, and the name stated": ("a+b 漢", "a+b 漢", "a%2Bb+%E6%BC%A2"),
    "what decodes to no text": ("a%ff", None, "a%25ff"),
    "shortened by mongodump": ("x" * 208 + "%24" + "y" * 27, "x" * 250, "x" * 208 + "%24" + "y" * 27),
    "the data of a time series": ("system.buckets.a%2Fb", "a/b", "system.buckets.a%2Fb"),
    "the data of a time series, not encoded": ("system.buckets.a+b", "a+b", "system.buckets.a%2Bb"),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_mongorestore_decodes(place: Place, name: str) -> None:
    directory, stated, expected = NAMES[name]
    place.unpack(tar(*collection(f"root/db/{directory}", {"0_part0": document(1)}, name=stated)))
    assert set(place.tree()) == {f"db/{expected}.bson", f"db/{expected}.metadata.json"}


AMBIGUOUS = {
    "a plus sign": ("a+b", None, "the name of the collection a+b of the database db can also mean a b, and"),
    "encoded perhaps": ("a%2Fb", None, "can also mean a/b, and its metadata do not tell which it is"),
    "another name": (
        "a+b",
        "a-b",
        "the metadata of the collection a+b of the database db are those of a collection a-b",
    ),
    "as long as a shortened one": ("x" * 232 + "$%", None, "is too long for mongorestore"),
    "too long": ("漢" * 70 + "%", None, "is too long for mongorestore"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_names_that_are_refused(place: Place, name: str) -> None:
    directory, stated, words = AMBIGUOUS[name]
    place.refused(tar(*collection(f"root/db/{directory}", {"0_part0": document(1)}, name=stated)), words)


def test_two_collections_that_would_get_one_name(place: Place) -> None:
    entries = collection("root/db/a%", {"0_part0": b""}) + collection("root/db/a%25", {"0_part0": b""}, name="a%")
    place.refused(tar(*entries), "two collections would both be a%25.metadata.json")


# Collections without data


@pytest.mark.parametrize("data", [{"data/none.bson": b""}, {"data/none.bson": b"", "data/none_0_part0.bson": b""}])
def test_an_empty_collection_whose_file_has_no_number(place: Place, data: dict[str, bytes]) -> None:
    place.unpack(tar(("db/none/none.metadata.json", b""), *((f"db/none/{name}", b"") for name in data)))
    assert place.tree() == {"db/none.bson": b"", "db/none.metadata.json": b""}


@pytest.mark.parametrize("facts", [{"type": "view"}, {"options": {"viewOn": "c", "pipeline": []}}])
def test_a_view_has_no_data(place: Place, facts: dict[str, Any]) -> None:
    view = metadata("v", **facts)
    place.unpack(tar(("r/db/v/v.metadata.json", view)))
    assert place.tree() == {"db/v.metadata.json": view}


@pytest.mark.parametrize("has_own", [False, True])
def test_a_time_series_has_its_data_in_its_buckets(place: Place, has_own: bool) -> None:
    series = metadata("c", type="timeseries", options={"timeseries": {"timeField": "t"}})
    buckets = collection("r/db/system.buckets.c", {"0_part0": GOOD})
    place.unpack(tar(*buckets[not has_own :], ("r/db/c/c.metadata.json", series)))
    expected = {"db/c.metadata.json": series, "db/system.buckets.c.bson": GOOD}
    if has_own:
        expected["db/system.buckets.c.metadata.json"] = buckets[0][1]
    assert place.tree() == expected


# Later runs


def test_a_second_run_changes_nothing(place: Place) -> None:
    first = place.unpack(tar(*EXPORT))
    assert place.changed
    assert place.unpack() == first
    assert not place.changed
    place.src.unlink()
    assert extraction.left_by(place.request()) == first
    assert extraction.left_by(place.request(layout=Layout.AS_IS)) is None
    (place.dest / "orders" / "one.bson").write_bytes(b"")
    assert extraction.left_by(place.request()) is None


@pytest.mark.parametrize("first", Layout)
def test_another_layout_is_other_content(place: Place, first: Layout) -> None:
    (second,) = set(Layout) - {first}
    place.unpack(tar(*EXPORT), layout=first)
    before = place.tree()
    for call in (place.unpack, lambda **options: extraction.plan(place.request(**options), place.watch)):
        with pytest.raises(
            DestinationError, match=rf"not empty, and was extracted with layout={first.value}.*Set force=true"
        ):
            call(layout=second)
    assert place.tree() == before
    place.unpack(layout=second, replace=True)
    assert place.changed
    assert (place.tree() == EXPECTED) == (second is Layout.MONGORESTORE)
    assert json.loads((place.dest / MARKER).read_text())["layout"] == second.value


def test_a_marker_without_a_layout_is_one_of_the_archives_own(place: Place) -> None:
    place.unpack(tar(*EXPORT), layout=Layout.AS_IS)
    marker = place.dest / MARKER
    facts = json.loads(marker.read_text())
    del facts["layout"]
    marker.write_text(json.dumps(facts))
    place.unpack(layout=Layout.AS_IS)
    assert not place.changed


@pytest.mark.parametrize("step", [Step.EXTRACT, Step.JOIN, Step.SYNC])
def test_a_run_that_ends_early_leaves_nothing(place: Place, step: Step) -> None:
    class EndError(Exception):
        pass

    def watch(progress: Progress) -> None:
        if progress.step is step:
            raise EndError

    place.watch = watch
    with pytest.raises(EndError):
        place.unpack(tar(*EXPORT), sync=True)
    assert os.listdir(place.dest.parent) == []
