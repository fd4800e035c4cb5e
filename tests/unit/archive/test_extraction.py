# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unpacking of real archives, of damaged ones, and of those that mean harm."""

from __future__ import annotations

import contextlib
import errno
import functools
import gzip
import io
import json
import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import traceback
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
import zstandard
from ansible_collections.apsaradb.backup.plugins.module_utils._archive import extraction
from ansible_collections.apsaradb.backup.plugins.module_utils._archive.errors import InvalidArchiveError
from ansible_collections.apsaradb.backup.plugins.module_utils._archive.extraction import Progress, Step
from ansible_collections.apsaradb.backup.plugins.module_utils._archive.formats import Format
from ansible_collections.apsaradb.backup.plugins.module_utils._archive.tree import MARKER, Layout, Request, Tree
from ansible_collections.apsaradb.backup.plugins.module_utils._files.errors import (
    AbandonedError,
    DestinationBusyError,
    DestinationError,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from processes import LIMIT, Process, can_mount, mounted
from stand_in.crc64 import crc64

Entry = tuple[str, Any]
BOTH = [gzip.compress, zstandard.ZstdCompressor(write_checksum=True).compress]
FORMATS = {"tar": bytes, "tar.gz": gzip.compress, "tar.zst": zstandard.ZstdCompressor(write_checksum=True).compress}
SQL = b"CREATE TABLE `orders` (id bigint);\n"
CSV = b'"1","Zo\xc3\xab","00ff"\n' * 5000
MANY: list[Entry] = [
    ("root/orders/structure.sql", SQL),
    ("root/orders/data/0.csv", CSV),
    ("root/orders/data/1.csv", b""),
]


def special(kind: bytes, name: str = "root/special", target: str = "", **fields: Any) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.linkname = target
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry


def link(name: str, target: str) -> tarfile.TarInfo:
    return special(tarfile.SYMTYPE, name, target)


def hard_link(name: str, target: str) -> tarfile.TarInfo:
    return special(tarfile.LNKTYPE, name, target)


def directory(name: str) -> tarfile.TarInfo:
    return special(tarfile.DIRTYPE, name)


def tar(*entries: Any, format: int = tarfile.PAX_FORMAT) -> bytes:
    """Of pairs of a name and content, and of headers as they are."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=format, errors="surrogateescape") as file:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                file.addfile(entry)
            else:
                header = tarfile.TarInfo(entry[0])
                header.size = len(entry[1])
                file.addfile(header, io.BytesIO(entry[1]))
    return packed.getvalue()


def header(entry: tarfile.TarInfo, format: int = tarfile.USTAR_FORMAT) -> bytes:
    return entry.tobuf(format, "utf-8", "surrogateescape")


def checked(block: bytes) -> bytes:
    """A header block with the right checksum."""
    total = sum(block[:148]) + 8 * 0x20 + sum(block[156:512])
    return block[:148] + b"%06o\0 " % total + block[156:]


class Place:
    """A directory of its own, in which things are unpacked, and beside which nothing may appear."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.src = path / "in" / "backup.bin"
        self.dest = path / "out" / "orders"
        self.src.parent.mkdir()
        self.dest.parent.mkdir()
        (path / "secret").write_text("secret")
        self.seen: list[Progress] = []

    def request(self, **options: Any) -> Request:
        return Request(**{"src": str(self.src), "dest": str(self.dest), **options})

    def unpack(self, data: bytes | None = None, **options: Any) -> Any:
        if data is not None:
            self.src.write_bytes(data)
        self.changed, contents = extraction.unpack(self.request(**options), self.seen.append)
        assert os.listdir(self.dest.parent) == ["orders"]
        return contents

    def refused(self, data: bytes | None, *words: str, kind: Any = InvalidArchiveError, **options: Any) -> Any:
        """Neither anything inside nor outside came of it."""
        before = self.outside()
        with pytest.raises(kind) as caught:
            self.unpack(data, **options)
        assert self.outside() == before
        assert not self.dest.exists()
        assert os.listdir(self.dest.parent) == []
        message = str(caught.value)
        assert message.startswith(f"Failed to extract {self.src} into {self.dest}: ")
        assert message.isprintable()
        assert caught.value.hint
        for word in words:
            assert word in message
        return caught.value

    def outside(self) -> list[tuple[str, bytes]]:
        inside = (self.src.parent, self.dest.parent)
        return [
            (str(path), path.read_bytes() if path.is_file() else b"")
            for path in sorted(self.path.rglob("*"))
            if path not in inside and not set(path.parents) & set(inside)
        ]

    def tree(self) -> dict[str, bytes | None]:
        return {
            str(path.relative_to(self.dest)): path.read_bytes() if path.is_file() else None
            for path in sorted(self.dest.rglob("*"))
            if path.name != MARKER
        }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# What is unpacked


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_the_content(place: Place, format: str, tar_format: int) -> None:
    data = FORMATS[format](tar(directory("root/orders"), *MANY, format=tar_format))
    contents = place.unpack(data)
    assert place.changed
    assert place.tree() == {
        "root": None,
        "root/orders": None,
        "root/orders/data": None,
        "root/orders/data/0.csv": CSV,
        "root/orders/data/1.csv": b"",
        "root/orders/structure.sql": SQL,
    }
    assert contents.format is Format(format)
    assert contents.tree == Tree(files=3, directories=3, links=0, size=len(SQL + CSV))
    assert (contents.archives, contents.archive_size, contents.archive_crc64) == (1, len(data), crc64(data))
    assert extraction.roots_of(str(place.dest)) == ["root"]
    assert json.loads((place.dest / MARKER).read_text())["archive_crc64"] == str(crc64(data))
    assert place.seen[-1] == Progress(Step.SYNC, len(data), len(data), 3, len(SQL + CSV))


@pytest.mark.parametrize("options", [["-cf"], ["--format=v7", "-cf"], ["--format=pax", "-b1", "-cf"]])
def test_what_gnu_tar_makes(place: Place, tmp_path: Path, options: list[str]) -> None:
    source = tmp_path / "source"
    deep = source / "root" / "x" / "data"
    deep.mkdir(parents=True)
    (deep / "0.csv").write_bytes(CSV)
    (source / "root" / "link").symlink_to("x/data/0.csv")
    os.link(deep / "0.csv", source / "root" / "hard")
    subprocess.run(["tar", *options, place.src, "-C", source, "."], check=True)
    contents = place.unpack()
    assert (place.dest / "root" / "link").read_bytes() == (place.dest / "root" / "hard").read_bytes() == CSV
    assert contents.tree == Tree(files=2, directories=3, links=1, size=2 * len(CSV))


@pytest.mark.parametrize("compress", FORMATS.values())
def test_joined_tars_are_read_to_the_end(place: Place, compress: Callable[[bytes], bytes]) -> None:
    """Several tars in a stream, several streams in a file, and streams that end in the middle of a tar."""
    tars = [tar((f"root/{number}.csv", CSV)) for number in range(6)]
    third = len(tars[3]) // 3
    parts = [tars[0] + tars[1], tars[2], tars[3][:third], tars[3][third:] + tars[4], b"", tars[5]]
    contents = place.unpack(b"".join(map(compress, parts)))
    assert contents.archives == 6
    assert sorted(os.listdir(place.dest / "root")) == [f"{number}.csv" for number in range(6)]


def test_tars_that_share_a_single_block_of_zeros(place: Place) -> None:
    first = tar(("one", b"1")).rstrip(b"\0") + bytes(511)  # the content's padding
    assert place.unpack(gzip.compress(first + bytes(512) + tar(("two", b"2")))).archives == 2
    assert place.tree() == {"one": b"1", "two": b"2"}


def test_padding_after_the_end(place: Place) -> None:
    assert place.unpack(gzip.compress(tar(*MANY) + bytes(5_000_100)) + bytes(70_000)).archives == 1


def test_frames_and_members_of_every_kind(place: Place) -> None:
    content = random.Random(1).randbytes(300_000) + bytes(3_000_000) + CSV
    data = tar(("root/0", content))
    frames = b"\x50\x2a\x4d\x18\x05\0\0\0extra"
    for number, options in enumerate(
        [{"write_content_size": False}, {"write_checksum": True}, {"level": 19}, {"threads": 1}, {"level": -5}]
    ):
        part = data[number * len(data) // 5 : (number + 1) * len(data) // 5]
        frames += zstandard.ZstdCompressor(**options).compress(part) + b"\x5f\x2a\x4d\x18\0\0\0\0"
    frames += zstandard.ZstdCompressor().compress(b"")
    assert place.unpack(frames).tree.size == len(content)
    assert place.tree()["root/0"] == content
    members = [gzip.compress(data[start : start + 1000], 0) for start in range(0, len(data), 1000)]
    assert place.unpack(b"".join(members), replace=True).tree.size == len(content)
    assert place.tree()["root/0"] == content


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names(place: Place, format: int) -> None:
    long = "/".join(["root", *["d" * 200] * 8, "f" * 250])
    odd = ["root/李雷 🦊", "root/\udce4\udcff", "root/\x1b[31m\n", "root/back\\slash", "root/..a", "root/ ", long]
    entries: list[Any] = [(name, name.encode(errors="surrogateescape")) for name in odd]
    place.unpack(tar(*entries, link("root/link", long[5:]), format=format))
    for name in odd:
        path = os.path.join(place.dest, name)
        assert Path(path).read_bytes() == name.encode(errors="surrogateescape")
    assert os.readlink(place.dest / "root/link") == long[5:]
    assert place.unpack(None).tree.files == len(odd)
    assert not place.changed


def test_names_at_the_top_as_text(place: Place) -> None:
    place.unpack(tar(("\udcff", b""), *[(f"{number:03}", b"") for number in range(110)]))
    assert extraction.roots_of(str(place.dest)) == [f"{number:03}" for number in range(100)]
    place.unpack(tar(("\udcff", b"")), replace=True)
    assert extraction.roots_of(str(place.dest)) == ["\\xff"]


def test_headers_of_all_entries(place: Place) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", pax_headers={"comment": "of all", "mtime": "12"}) as file:
        file.addfile(tarfile.TarInfo("one"))
    place.unpack(packed.getvalue() + tar(("two", b"2")))
    assert place.tree() == {"one": b"", "two": b"2"}


def test_the_later_of_two_entries_wins(place: Place) -> None:
    entries = [("a", b"first"), hard_link("b", "a"), ("a", b"second one"), directory("c"), directory("c")]
    contents = place.unpack(tar(*entries, link("l", "a"), link("l", "b"), ("x", b"x"), link("x", "a")))
    assert (place.dest / "a").read_bytes() == b"second one"
    assert (place.dest / "b").read_bytes() == b"first"
    assert os.readlink(place.dest / "l") == "b"
    assert contents.tree == Tree(files=2, directories=1, links=2, size=15)


def test_a_file_takes_the_place_of_a_link_and_not_of_its_target(place: Place) -> None:
    place.unpack(tar(("a", b"first"), link("l", "a"), ("l", b"second")))
    assert place.tree() == {"a": b"first", "l": b"second"}


def test_links_that_stay_inside(place: Place) -> None:
    place.unpack(
        tar(
            link("root/deep/one", "../two"),
            link("root/two", "./three/../four"),
            link("root/dangling", "nowhere/../../root"),
            ("root/four", b"4"),
            directory("root/three"),
        )
    )
    assert (place.dest / "root/deep/one").read_bytes() == b"4"


def test_modes_and_owners(place: Place) -> None:
    entry = special(tarfile.REGTYPE, "root/suid", mode=0o7777, uid=12, gid=13)
    umask = os.umask(0o077)
    try:
        place.unpack(tar(entry, special(tarfile.DIRTYPE, "root/d", mode=0o7000)))
        assert {stat.S_IMODE(path.stat().st_mode) for path in place.dest.rglob("*") if path.is_file()} == {0o600}
        options: Any = {"mode": 0o644, "directory_mode": 0o751, "owner": 1234, "group": 4321}
        if os.geteuid():
            options.update(owner=os.geteuid(), group=os.getegid())
        place.unpack(tar(entry, directory("root/d"), link("l", "root")), replace=True, **options)
    finally:
        os.umask(umask)
    for path in [place.dest, *place.dest.rglob("*")]:
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == (options["owner"], options["group"])
        if not path.is_symlink():
            assert stat.S_IMODE(status.st_mode) == (0o751 if path.is_dir() else 0o644)


# What is refused

ABSOLUTE = "/tmp/apsaradb-backup-evil"
OUTSIDE = {
    "an absolute name": [(ABSOLUTE, b"evil")],
    "a name with ..": [("root/../../evil", b"evil")],
    "a directory with ..": [directory("../evil")],
    "a drive": [("C:/evil", b"evil")],
    "a drive, with backslashes": [("C:\\evil", b"evil")],
    "an absolute link": [link("root/evil", "/etc/passwd")],
    "a link that climbs out": [link("root/evil", "../../secret")],
    "a link to what holds it": [link("evil", "..")],
    "a link by way of another": [
        link("root/a/b", "../c/../.."),
        link("root/c", "d/e"),
        directory("root/d/e"),
        link("x", "root/a/b/../.."),
    ],
    "a link by way of one that comes later": [
        directory("x/y"),
        link("evil", "x/y/z/../../../.."),
        link("x/y/z", "."),
        ("a", b""),
    ],
    "links in a circle": [link("a", "b"), link("b", "a")],
    "a hard link that climbs out": [hard_link("root/evil", "../secret")],
    "an absolute hard link": [hard_link("root/evil", "/etc/passwd")],
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_nothing_gets_out(place: Place, name: str) -> None:
    place.refused(gzip.compress(tar(("root/fine", b"fine"), *OUTSIDE[name])), "outside the destination")
    assert not os.path.lexists(ABSOLUTE)


@pytest.mark.parametrize("name", ["an absolute link", "a link that climbs out", "a link to what holds it"])
def test_a_link_that_leads_out_is_refused_before_what_comes_after_it_is_read(place: Place, name: str) -> None:
    """Which is cut off here, and would be called damaged."""
    place.refused(tar(*OUTSIDE[name], ("later", bytes(50_000)))[:20_000], "outside the destination")


THROUGH = {
    "a file through a link": [link("root/l", "."), ("root/l/evil", b"evil")],
    "a file through a link to a file": [("f", b""), link("l", "f"), ("l/evil", b"evil")],
    "a directory through a link": [link("l", "root"), directory("l/evil")],
    "a directory in place of a link": [link("l", "root"), directory("l")],
    "a hard link through a link": [("root/f", b""), link("l", "root"), hard_link("evil", "l/f")],
    "a hard link into a link": [("f", b""), link("l", "root"), hard_link("l/evil", "f")],
    "a file below a file": [("f", b""), ("f/evil", b"")],
    "a hard link to what is missing": [hard_link("evil", "missing/file")],
    "a hard link to a link": [link("l", "nothing"), hard_link("evil", "l")],
    "a hard link to a directory": [directory("d"), hard_link("evil", "d")],
    "a hard link to the top": [hard_link("evil", ".")],
    "a file in place of a directory": [directory("d"), ("d", b"")],
    "a link in place of a directory": [directory("d"), link("d", ".")],
    "a link without a target": [link("l", "")],
    "a hard link to itself": [("f", b""), hard_link("f", "f")],
    "a file without a name": [("./.", b"evil")],
    "a link without a name": [link(".", "x")],
    "our own marker": [(MARKER, b"{}")],
    "a name that is too long": [("x" * 256, b"")],
    "a path that is too long": [("/".join(["x" * 200] * 21), b"")],
    "a path that is too deep": [("/".join(["x"] * 101), b"")],
    "a device": [special(tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "a block device": [special(tarfile.BLKTYPE, devmajor=8)],
    "a pipe": [special(tarfile.FIFOTYPE)],
    "a sparse file": [special(tarfile.GNUTYPE_SPARSE)],
    "a sparse file in PAX headers": [special(tarfile.REGTYPE, pax_headers={"GNU.sparse.major": "1"})],
    "an unknown type": [special(b"M")],
    "a zero byte in a name": [special(tarfile.REGTYPE, pax_headers={"path": "a\0b"})],
    "a zero byte in a target": [special(tarfile.SYMTYPE, target="a", pax_headers={"linkpath": "a\0b"})],
    "a size that is no number": [special(tarfile.REGTYPE, pax_headers={"size": "-1"})],
}  # fmt: skip


@pytest.mark.parametrize("name", THROUGH)
def test_what_is_not_unpacked(place: Place, name: str) -> None:
    place.refused(tar(("root/fine", b"fine"), *THROUGH[name]))


def test_control_characters_are_not_printed(place: Place) -> None:
    assert "\\x1b[31m" in str(place.refused(tar(("../\x1b[31m\n\udcff" + "x" * 9000, b"")), "\\n\\xff"))


LOOKS = {
    b"": "is empty",
    b"XBSTCK01\0\0\1p": "xbstream -x",
    b"qpress10" + bytes(20): "qpress -d",
    b"\n<!DOCTYPE html><html>": "HTML",
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>': "expired",
    b'{"Code": "x"}': "JSON",
    b"BZh91AY": "bzip2",
    b"\xfd7zXZ\0\0": "xz",
    b"PK\3\4": "ZIP",
    b"\x04\x22\x4d\x18": "lz4",
    bytes(5000): "zeros",
    b"7z\xbc\xaf\x27\x1c": "7z x",
    b"LZIP\1": "tar --lzip -x",
    b"\x1f\x9d\x90": "tar -xZ",
    b"\xff\6\0\0sNaPpY": "Snappy",
    b"\x25\xb5\x2f\xfd": "before 0.8",
    b"\x37\xa4\x30\xec": "dictionary",
    b"Salted__12345678": "is encrypted",
    b"-----BEGIN PGP MESSAGE-----": "is encrypted",
    b"age-encryption.org/v1": "is encrypted",
    b"CREATE TABLE": "is in an unknown format",
}


@pytest.mark.parametrize("data", LOOKS)
def test_what_it_is_instead(place: Place, data: bytes) -> None:
    place.refused(data, LOOKS[data])


@pytest.mark.parametrize("data", [b"root:$6$a-secret:19000:0", b"PGPASSWORD=a-secret", *LOOKS])
def test_content_is_not_quoted(place: Place, data: bytes) -> None:
    """Who sees the message may not be allowed to read the file."""
    for refused in (place.refused(data + b"a-secret"), place.refused(gzip.compress(data + b"a-secret"))):
        assert "secret" not in str(refused)
        assert "$6$" not in str(refused)


@pytest.mark.parametrize("compress", BOTH)
@pytest.mark.parametrize("data", [b"XBSTCK01", b"-- MySQL dump", b"", bytes(10240)])
def test_what_was_compressed_instead(place: Place, compress: Callable[[bytes], bytes], data: bytes) -> None:
    words = {b"XBSTCK01": "xbstream", b"-- MySQL dump": "the archive holds no tar"}.get(data, "no files")
    place.refused(compress(data), words)


@pytest.mark.parametrize("format", FORMATS)
def test_truncation_at_every_kind_of_place(place: Place, format: str) -> None:
    """Wherever it is cut off, and be it between two files, or two tars."""
    data = FORMATS[format](tar(*MANY)) + FORMATS[format](tar(("root/last", b"last")))
    whole = len(FORMATS[format](tar(*MANY)))
    ends = {*range(1, len(data), max(1, len(data) // 40)), *range(512, len(data), 9728), len(data) - 1} - {whole}
    for end in sorted(ends):
        if format == "tar" and not data[end:].strip(b"\0"):
            continue  # of the second end only zeros are missing
        if format == "tar" and end < whole and not data[end:whole].strip(b"\0"):
            continue  # as good as the end of the first, which is then all
        place.refused(data[:end])


@pytest.mark.parametrize("format", FORMATS)
def test_a_flipped_bit_never_goes_unnoticed_where_something_tells(place: Place, format: str) -> None:
    """In compressed streams all bits; in a tar those of headers."""
    random_bits = random.Random(format)
    plain = tar(*[(f"root/{number}", random_bits.randbytes(600)) for number in range(20)])
    data = FORMATS[format](plain)
    expected = place.unpack(data)
    content = place.tree()
    place.dest.rename(place.path / "first")
    for _unused in range(150):
        if format == "tar":
            at = random_bits.randrange(20) * 1536 + random_bits.choice(
                [*range(1, 99), *range(124, 136), *range(148, 154)]
            )
        else:
            at = random_bits.randrange(10, len(data))
        damaged = bytearray(data)
        damaged[at] ^= 1 << random_bits.randrange(8)
        try:
            contents = place.unpack(bytes(damaged))
        except InvalidArchiveError:
            assert not place.dest.exists()
            continue
        # Some bits of a stream mean nothing.
        assert (contents.tree, place.tree()) == (expected.tree, content), at
        for path in sorted(place.dest.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        place.dest.rmdir()


def test_a_damaged_header_is_neither_the_end_nor_stepped_over(place: Place) -> None:
    """tarfile ends at it, or with ignore_zeros takes the next one, and tells nobody."""
    data = bytearray(tar(*[(f"root/{number}", b"x" * 600) for number in range(5)]))
    data[3 * 1536 + 5] ^= 1
    with tarfile.open(fileobj=io.BytesIO(bytes(data))) as ends:
        assert len(ends.getnames()) == 3
    with tarfile.open(fileobj=io.BytesIO(bytes(data)), ignore_zeros=True) as steps_over:
        assert len(steps_over.getnames()) == 4
    place.refused(gzip.compress(bytes(data)), "no valid tar header at offset 4608", "damaged")


def test_it_says_where(place: Place) -> None:
    data = tar(("root/one", b"1"), ("root/two", CSV))
    place.refused(gzip.compress(data[:5000]), "offset 5000, in the middle of root/two")
    place.refused(gzip.compress(tar(("root/one", b"1"))[:1024]), "without an end marker", "1024")
    place.refused(gzip.compress(data)[:-100], "truncated", "gzip stream")
    place.refused(gzip.compress(data)[:-8] + bytes(8), "gzip stream", "incorrect data check")
    place.refused(gzip.compress(data) + b"trailing", "gzip stream", "incorrect header check")
    place.refused(FORMATS["tar.zst"](data)[:-50], "truncated", "Zstandard frame")
    place.refused(FORMATS["tar.zst"](data)[:-4] + b"1234", "Zstandard stream", "checksum")
    place.refused(FORMATS["tar.zst"](data) + b"trailing", "no valid Zstandard frame")
    place.refused(data + b"trailing" * 64, "no valid tar header", f"offset {len(data)}")
    place.refused(data + b"trailing", "no valid tar header", f"offset {len(data)}")


HEADERS = {
    "a negative size": header(special(tarfile.REGTYPE))[:124] + b"\xff" * 12 + header(special(tarfile.REGTYPE))[136:],
    "a size that is no number": header(special(tarfile.REGTYPE))[:124] + b"12345abcdef\0" + header(special(tarfile.REGTYPE))[136:],
    "an extended header of gigabytes": header(special(tarfile.XHDTYPE, size=1 << 32)),
    "a long name of gigabytes": header(special(tarfile.GNUTYPE_LONGNAME, size=1 << 32)),
    "an extended header and nothing": header(special(tarfile.XHDTYPE, size=0)) + bytes(1024),
    "a long name and nothing": header(special(tarfile.GNUTYPE_LONGNAME, size=3)) + b"abc" + bytes(509 + 1024),
    **{
        f"a record {record!r}": header(special(tarfile.XHDTYPE, size=len(record))) + record.ljust(512, b"\0") + tar(("f", b""))
        for record in (b"0 a=\n", b"9 path=x\n9", b"99 path=x\n", b"9 path=xy", b"x path=x\n", b"-9 path=x\n", b"5 a=b", b"\0")
    },
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_cannot_be(place: Place, name: str) -> None:
    first = HEADERS[name]
    place.refused(tar(("f", b"")) + checked(first[:512]) + first[512:] + tar(("g", b"")))


def test_a_bomb_is_refused_before_it_grows(place: Place) -> None:
    huge = special(tarfile.REGTYPE, "root/huge", size=1 << 40)
    bomb = gzip.compress(header(huge, tarfile.GNU_FORMAT) + bytes(1 << 20))
    place.refused(bomb, "root/huge", "Free some space", "max_size", kind=DestinationError)
    place.refused(tar(*MANY), "max_size is 1000", "raise max_size", max_size=1000)
    place.refused(tar(("f", b"x" * 600), hard_link("h", "f")), "max_size is 1000", max_size=1000)
    place.refused(tar(*[(str(number), b"") for number in range(11)]), "more than 10", "raise max_files", max_files=10)
    place.refused(tar(("a/b/c/d/e/f/g/h/i/j", b"")), "more than 9", max_files=9)
    assert place.unpack(tar(("a/b/c", b"12")), max_files=3, max_size=2).tree.files == 1


@pytest.mark.slow
@pytest.mark.parametrize("compress", BOTH)
def test_memory_grows_neither_with_sizes_nor_with_entries(place: Place, compress: Callable[[bytes], bytes]) -> None:
    """A block of Zstandard that repeats one byte makes 128 KiB of four."""
    size = 200 << 20
    big = header(special(tarfile.REGTYPE, "big", size=size)) + bytes(size + 1024)
    place.src.write_bytes(compress(big))
    del big
    assert place.src.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArchiveError):
            extraction.unpack(place.request(max_size=size - 1), place.seen.append)
        tree = extraction.unpack(place.request(sync=False), place.seen.append)[1].tree
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    assert tree.size == size


@pytest.mark.slow
def test_memory_does_not_grow_with_entries(place: Place) -> None:
    def peak(count: int) -> int:
        entry = header(tarfile.TarInfo("root/same"))
        place.src.write_bytes(gzip.compress(entry * count + bytes(1024), 1))
        tracemalloc.start()
        try:
            extraction.unpack(place.request(replace=True, sync=False), place.seen.append)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few = peak(20000)  # as many as fill the chunks that are read ahead
    assert peak(50000) < few + (1 << 20)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_the_names_nothing_gets_out(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    part = st.sampled_from(["a", "b", "c", "..", ".", "", "a", "b"])
    name = st.lists(part, min_size=1, max_size=5).map("/".join)
    kinds = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])
    entries = data.draw(st.lists(st.builds(special, kinds, name, name), min_size=1, max_size=8))
    place = Place(tmp_path_factory.mktemp("any"))
    before = place.outside()
    try:
        place.unpack(tar(*[entry for entry in entries if entry.name]))
    except (InvalidArchiveError, DestinationError):
        assert not place.dest.exists()
    assert place.outside() == before
    for path in place.dest.rglob("*"):
        if path.is_symlink():
            assert place.dest.resolve() in [path.resolve(), *path.resolve().parents]


# How it goes about the destination


def test_a_second_run_changes_nothing(place: Place) -> None:
    first = place.unpack(gzip.compress(tar(*MANY)))

    def all_there() -> dict[Path, tuple[int, ...]]:
        statuses = {path: path.lstat() for path in place.dest.rglob("*")}
        return {path: (one.st_ino, one.st_size, one.st_ctime_ns) for path, one in statuses.items()}

    before = all_there()
    renamed = place.src.rename(place.src.with_name("renamed"))
    place.seen.clear()
    changed, second = extraction.unpack(place.request(src=str(renamed)), place.seen.append)
    assert not changed
    assert (second.tree, second.archive_crc64, second.src) == (first.tree, first.archive_crc64, str(renamed))
    assert all_there() == before
    assert {progress.step for progress in place.seen} == {Step.COMPARE}
    assert place.seen[-1].read == renamed.stat().st_size


ALTERATIONS: dict[str, Callable[[Path], Any]] = {
    "a file more": lambda dest: (dest / "root/more").touch(),
    "a file less": lambda dest: (dest / "root/orders/data/1.csv").unlink(),
    "other content": lambda dest: (dest / "root/orders/structure.sql").write_bytes(b"-- none"),
    "a directory more": lambda dest: (dest / "root/more").mkdir(),
    "a link more": lambda dest: (dest / "root/more").symlink_to("orders"),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_what_was_altered_is_told_and_replaced_by_force(place: Place, name: str) -> None:
    place.unpack(tar(*MANY))
    tree = place.tree()
    ALTERATIONS[name](place.dest)
    altered = place.tree()
    with pytest.raises(
        DestinationError, match=r"was changed since this archive was extracted: it holds \d files.*Set force=true"
    ):
        place.unpack(None)
    assert place.tree() == altered
    place.unpack(None, replace=True)
    assert place.changed
    assert place.tree() == tree


@pytest.mark.parametrize("marker", ["", "[]", "{}", "null", '{"src": "x"}', "[" * 70000, "\xff", None])
def test_something_else_is_replaced_by_force_only(place: Place, marker: str | None) -> None:
    place.src.write_bytes(tar(*MANY))
    place.dest.mkdir()
    (place.dest / "precious").write_text("precious")
    if marker is None:
        (place.dest / MARKER).symlink_to(place.src)
    else:
        (place.dest / MARKER).write_text(marker, encoding="latin-1")
    with pytest.raises(DestinationError, match=r"its content is not from this archive.*Set force=true"):
        place.unpack(None)
    assert place.tree() == {"precious": b"precious"}
    with pytest.raises(InvalidArchiveError):
        place.unpack(gzip.compress(tar(*MANY))[:-20], replace=True)
    assert place.tree() == {"precious": b"precious"}
    place.unpack(tar(*MANY), replace=True)
    assert "precious" not in place.tree()


def test_an_empty_directory_is_filled(place: Place) -> None:
    place.dest.mkdir()
    assert place.unpack(tar(*MANY)).tree.files == 3


def test_a_plan_changes_nothing(place: Place) -> None:
    place.src.write_bytes(gzip.compress(tar(*MANY)))
    plan = extraction.plan(place.request(), place.seen.append)
    assert (plan.format, plan.contents, plan.replaces) == (Format.TAR_GZ, None, False)
    assert os.listdir(place.dest.parent) == []
    place.unpack()
    plan = extraction.plan(place.request(), place.seen.append)
    assert plan.contents
    assert plan.contents.tree.files == 3
    ALTERATIONS["a file more"](place.dest)
    with pytest.raises(DestinationError):
        extraction.plan(place.request(), place.seen.append)
    assert extraction.plan(place.request(replace=True), place.seen.append).replaces


def test_a_destination_that_cannot_be(place: Place, tmp_path: Path) -> None:
    place.src.write_bytes(tar(*MANY))
    file = tmp_path / "file"
    file.touch()
    for dest, words in (
        (file, "is not a directory"),
        (file / "below", f"Not a directory.*Create the directory {file} first"),
        (tmp_path / "missing" / "below", f"No such file.*Create the directory {tmp_path}/missing first"),
    ):
        with pytest.raises(DestinationError, match=words):
            extraction.unpack(place.request(dest=str(dest), replace=True), place.seen.append)
    assert file.read_bytes() == b""


def test_what_is_beside_it_and_not_ours_stays(place: Place) -> None:
    place.src.write_bytes(tar(*MANY))
    part = place.dest.with_name("orders.part")
    part.mkdir()
    (part / "precious").touch()
    for _unused in range(2):
        with pytest.raises(DestinationError, match=r"orders\.part.*Move it away"):
            extraction.unpack(place.request(), place.seen.append)
        assert part.exists()
        if not part.is_symlink():
            (part / "precious").unlink()
            part.rmdir()
            part.symlink_to(place.path)


def test_sources_that_cannot_be_read(place: Place) -> None:
    place.refused(None, "No such file", src=str(place.src))
    os.mkfifo(place.src)
    place.refused(None, "not a regular file")
    place.src.unlink()
    place.src.mkdir()
    place.refused(None, "not a regular file")


def test_an_archive_that_is_being_written(place: Place) -> None:
    place.src.write_bytes(gzip.compress(tar(*MANY)))

    def touch(progress: Progress) -> None:
        os.utime(place.src, (1, 1))

    with pytest.raises(InvalidArchiveError, match="changed while it was read"):
        extraction.unpack(place.request(), touch)
    assert os.listdir(place.dest.parent) == []


@pytest.mark.parametrize("calls", [1, 3, 6])
def test_nobody_waits_any_more(place: Place, calls: int) -> None:
    place.src.write_bytes(gzip.compress(tar(("big", random.Random(2).randbytes(9 << 20))), 0))
    before = threading.enumerate()

    def watch(progress: Progress) -> None:
        place.seen.append(progress)
        if len(place.seen) == calls:
            raise AbandonedError("nobody waits")

    with pytest.raises(AbandonedError):
        extraction.unpack(place.request(), watch)
    assert os.listdir(place.dest.parent) == []
    assert set(threading.enumerate()) <= set(before)


class Interruption(BaseException):
    """As by a signal."""


def interrupted_at(instruction: int, call: Callable[[], Any]) -> list[int]:
    """Call it, and raise Interruption before an instruction of what unpacks; none at 0.

    Returns the numbers of those that are executed for the first or the last time.
    """
    there = os.path.dirname(extraction.__file__)
    count = 0
    first: dict[tuple[Any, int], int] = {}
    last: dict[tuple[Any, int], int] = {}

    def trace(frame: Any, event: str, _unused: Any) -> Any:
        nonlocal count
        if os.path.dirname(frame.f_code.co_filename) != there:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
            place = (frame.f_code, frame.f_lasti)
            first.setdefault(place, count)
            last[place] = count
            if count == instruction:
                raise Interruption
        return trace

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
    return sorted({*first.values(), *last.values()})


def ends_by_interruption(instruction: int, call: Callable[[], Any]) -> bool:
    """Whether that, and no other error, is what ends a process of its own."""
    child = os.fork()
    if not child:
        try:
            interrupted_at(instruction, call)
        except Interruption:
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize(("replace", "layout"), [(False, "as_is"), (True, "mongorestore")])
def test_a_signal_between_any_two_instructions(place: Place, replace: bool, layout: str) -> None:
    """At every thirteenth of those that come first or last, which are others each time the code changes."""

    def unpack() -> None:
        extraction.unpack(place.request(sync=False, replace=replace, layout=Layout(layout)), place.seen.append)

    entries: list[Any] = [("a/b/c", b"c"), ("a/d/e", b"e"), link("l", "a/b"), hard_link("h", "a/d/e")]
    if layout == "mongorestore":
        entries = [(f"a/b/data/b_0_part{part}.bson", b"\5\0\0\0\0") for part in (0, 1, 3, 2)]
        entries.append(("a/b/b.metadata.json", b"{}"))
    if replace:
        place.unpack(tar(*MANY))
    before = place.tree()
    place.src.write_bytes(gzip.compress(tar(*entries)))
    places = interrupted_at(0, unpack)
    after = place.tree()
    shutil.rmtree(place.dest)
    for instruction in places[::13]:
        if replace and place.tree() != before:
            place.unpack(tar(*MANY), replace=True)
            place.src.write_bytes(gzip.compress(tar(*entries)))
        assert ends_by_interruption(instruction, unpack), instruction
        assert place.tree() in (before, after), instruction
        if not replace and place.dest.exists():
            shutil.rmtree(place.dest)
    unpack()
    assert place.tree() == after
    assert os.listdir(place.dest.parent) == ["orders"]


def test_progress_is_by_what_is_read_of_the_archive(place: Place) -> None:
    data = gzip.compress(tar(*[(str(number), random.Random(number).randbytes(1 << 20)) for number in range(40)]), 0)
    place.unpack(data)
    reads = [progress.read for progress in place.seen]
    assert reads == sorted(reads)
    assert len(set(reads)) > 10
    assert {progress.total for progress in place.seen} == {len(data)}
    assert place.seen[-1].files == 40


# In a process of its own

SCRIPT = """
import os, sys
sys.path[:0] = {path!r}
from ansible_collections.apsaradb.backup.plugins.module_utils._archive import extraction, writer as tree
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import BackupError
def watch(progress):
    print(progress.read, progress.step.value, flush=True)
    sys.stdin.readline()
{before}
try:
    extraction.unpack(tree.Request({src!r}, {dest!r}, **{options!r}), watch)
except BackupError as error:
    print(type(error).__name__, str(error))
else:
    print("done")
"""


def script_for(place: Place, before: str = "", **options: Any) -> str:
    return SCRIPT.format(path=sys.path, src=str(place.src), dest=str(place.dest), before=before, options=options)


def process(place: Place, **options: Any) -> Process:
    """It goes on after each report when it gets a line."""
    return process_of(script_for(place, **options))


def process_of(script: str) -> Process:
    return Process([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def steps(running: Process, count: int) -> str:
    assert running.stdin
    assert running.stdout
    line = ""
    for _unused in range(count):
        running.stdin.write("\n")
        running.stdin.flush()
        line = running.stdout.readline()
    return line


@pytest.fixture
def large(place: Place) -> Place:
    """Takes some steps."""
    place.src.write_bytes(gzip.compress(tar(*MANY, *[(f"root/{number}", bytes(1 << 20)) for number in range(20)])))
    return place


@pytest.mark.parametrize("reports", [1, 5, 12])
def test_what_a_killed_run_left_is_removed(large: Place, reports: int) -> None:
    running = process(large)
    steps(running, reports)
    running.send_signal(signal.SIGKILL)
    running.wait(LIMIT)
    part = large.dest.with_name("orders.part")
    assert os.listdir(large.dest.parent) == ["orders.part"]
    assert stat.S_IMODE(part.stat().st_mode) == 0o700
    assert large.unpack(None).tree.files == 23


def test_two_at_once(large: Place) -> None:
    running = process(large)
    steps(running, 4)
    with pytest.raises(DestinationBusyError, match="another run is extracting"):
        extraction.unpack(large.request(), large.seen.append)
    output, _unused = running.outputs("\n" * 1000)
    assert output.endswith("done\n")
    large.unpack(None)
    assert not large.changed


def test_many_at_once_end_with_one_result(large: Place) -> None:
    running = [process(large, sync=False) for _unused in range(6)]
    outputs = []
    for one in running:
        assert one.stdin
        one.stdin.write("\n" * 1000)
        one.stdin.flush()
    for one in running:
        outputs.append(one.outputs()[0].splitlines()[-1])
    assert "done" in outputs
    assert all(output == "done" or output.startswith("DestinationBusy") for output in outputs), outputs
    assert large.unpack(None).tree.files == 23
    assert not large.changed


def test_a_run_killed_between_the_renames(large: Place) -> None:
    """What was there comes back, whether or not somebody made an empty directory meanwhile."""
    part = large.dest.with_name("orders.part")
    for is_made in (False, True):
        for name in ("old", "new"):
            (part / name).mkdir(parents=True)
        (part / "old" / "precious").write_text("precious")
        if is_made:
            large.dest.mkdir()
        with pytest.raises(DestinationError, match="its content is not from this archive"):
            large.unpack(None)
        assert os.listdir(large.dest.parent) == ["orders"]
        assert large.tree() == {"precious": b"precious"}
        (large.dest / "precious").unlink()
        large.dest.rmdir()


def test_a_run_killed_after_the_renames(large: Place) -> None:
    large.unpack(None)
    part = large.dest.with_name("orders.part")
    (part / "old").mkdir(parents=True)
    (part / "old" / "gone").touch()
    ALTERATIONS["a file more"](large.dest)
    large.unpack(None, replace=True)


def test_what_cannot_go_back_is_kept(large: Place) -> None:
    part = large.dest.with_name("orders.part")
    for name in ("old", "new"):
        (part / name).mkdir(parents=True)
    (part / "old" / "precious").write_text("precious")
    large.dest.mkdir()
    (large.dest / "other").touch()
    with pytest.raises(DestinationError, match=r"orders\.part/old, and cannot be moved back.*manually"):
        extraction.unpack(large.request(replace=True), large.seen.append)
    assert (part / "old" / "precious").read_text() == "precious"
    assert (large.dest / "other").exists()


def test_the_old_comes_back_if_the_new_cannot_take_its_place(large: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    large.dest.mkdir()
    (large.dest / "precious").write_text("precious")
    rename = os.rename

    def failing(source: str, target: str) -> None:
        if source.endswith("new"):
            assert not large.dest.exists()
            raise OSError(errno.EIO, "broken")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(DestinationError, match="Input/output error"):
        large.unpack(None, replace=True)
    assert os.listdir(large.dest.parent) == ["orders"]
    assert large.tree() == {"precious": b"precious"}


def test_a_file_that_may_not_grow(large: Place) -> None:
    """A limit of the process stands for all that the system may refuse."""
    ended = subprocess.run(
        [sys.executable, "-c", script_for(large, sync=False)],
        input="\n" * 1000,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (1 << 19, 1 << 19)),
        timeout=LIMIT,
        check=True,
    )
    assert ended.stdout.splitlines()[-1].startswith("DestinationError Failed to extract")
    assert "File too large" in ended.stdout
    assert os.listdir(large.dest.parent) == []


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A function that mounts a file system in memory, with the given options, and says where."""
    path = tmp_path / "mounted"
    path.mkdir()
    with contextlib.ExitStack() as stack:

        def make(options: str) -> Path:
            stack.enter_context(mounted(path, options))
            return path

        yield make


@pytest.mark.skipif(not can_mount(), reason="no right to mount; test_a_file_that_may_not_grow needs none")
@pytest.mark.parametrize("options", ["size=2m", "nr_inodes=12"])
def test_a_full_disk(large: Place, mount: Callable[[str], Path], options: str) -> None:
    path = mount(options)
    with pytest.raises(
        DestinationError, match=r"No space left on device.*Free some space in .*mounted and run it again"
    ):
        extraction.unpack(large.request(dest=str(path / "x"), max_size=1 << 40), large.seen.append)
    assert os.listdir(path) == []


@pytest.mark.skipif(not can_mount(), reason="no right to mount; test_another_user_may_not needs none")
def test_mount_points_and_read_only_file_systems(large: Place, mount: Callable[[str], Path]) -> None:
    path = mount("size=2m")
    with pytest.raises(DestinationError, match=r"only \d+ bytes are free in .*mounted.*Free some space"):
        extraction.unpack(large.request(dest=str(path / "x")), large.seen.append)
    with pytest.raises(DestinationError, match=r"mount point.*below it"):
        extraction.unpack(large.request(dest=str(path), replace=True), large.seen.append)
    subprocess.run(["mount", "-o", "remount,ro", path], check=True)
    with pytest.raises(DestinationError, match="Read-only file system"):
        extraction.unpack(large.request(dest=str(path / "x")), large.seen.append)


def test_another_user_may_not(large: Place) -> None:
    """Root may do all: so this becomes somebody else, if it is root."""
    before = "os.setegid(65534); os.seteuid(65534)"
    if os.geteuid():
        large.dest.parent.chmod(0o500)
        before = ""
    for parent in list(large.dest.parents)[1:]:
        if "pytest-" in str(parent):
            parent.chmod(0o755)
    output, _unused = process_of(script_for(large, before)).outputs("\n" * 1000)
    assert "DestinationError" in output
    assert "Permission denied" in output
    assert "become" in output
    large.src.chmod(0 if os.geteuid() else 0o600)
    output, _unused = process_of(script_for(large, before)).outputs("\n" * 1000)
    assert "InvalidArchiveError" in output
    assert "cannot be read: Permission denied" in output
    assert os.listdir(large.dest.parent) == []


def test_no_file_stays_open(place: Place) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    place.unpack(tar(*MANY))
    before = count()
    for data in (
        tar(*MANY, ("../x", b"")),
        gzip.compress(tar(*MANY))[:-9],
        b"",
        tar(*MANY, ("a/b/c", b""), ("a", b"")),
    ):
        with pytest.raises(InvalidArchiveError):
            place.unpack(data, replace=True)
    place.unpack(tar(*MANY), replace=True)
    assert count() == before


# Good archives that are told from damaged ones


def frame(data: bytes, window: int = 20, mantissa: int = 0, flags: int = 0, more: bytes = b"") -> bytes:
    """Of Zstandard, with nothing compressed in it. ``window`` and ``mantissa`` as in RFC 8878: 2**window * (1 + mantissa / 8)."""
    blocks = [data[at : at + 65536] for at in range(0, len(data), 65536)]
    written = b"".join(
        (len(block) << 3 | (number == len(blocks))).to_bytes(3, "little") + block
        for number, block in enumerate(blocks, 1)
    )
    is_single = flags >> 5 & 1
    descriptor = b"" if is_single else bytes([window - 10 << 3 | mantissa])
    return b"\x28\xb5\x2f\xfd" + bytes([flags]) + descriptor + more + written


def for_all(settings: dict[str, str]) -> bytes:
    """A header with settings for all entries that follow."""
    return tarfile.TarInfo.create_pax_global_header(settings)


def gzip_with_all(data: bytes) -> bytes:
    """With all that a header of gzip can have: more, a name, a comment, and a checksum of itself."""
    head = b"\x1f\x8b\x08\x1e" + bytes(6) + b"\4\0more" + b"name\0" + b"comment\0"
    return head + (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little") + gzip.compress(data)[10:]


ONE = tar(("root/a", CSV))
SKIPPED = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"later"
INTACT: dict[str, bytes] = {
    "a window of 128 MiB": frame(ONE, 27),
    "a window of 144 MiB": frame(ONE, 27, 1),
    "a window of 256 MiB": frame(ONE, 28),
    "a window of 480 MiB": frame(ONE, 28, 7),
    "the smallest window": zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters.from_level(1, window_log=10)
    ).compress(ONE),
    "a single segment": frame(ONE, flags=0xA0, more=len(ONE).to_bytes(4, "little")),
    "a single segment whose size is in two bytes": frame(
        ONE[:60000], flags=0x60, more=(60000 - 256).to_bytes(2, "little")
    )
    + frame(ONE[60000:]),
    "a single segment whose size is in eight bytes": frame(ONE, flags=0xE0, more=len(ONE).to_bytes(8, "little")),
    "no checksum": zstandard.ZstdCompressor(write_checksum=False).compress(ONE),
    "a checksum": zstandard.ZstdCompressor(write_checksum=True).compress(ONE),
    "no size": zstandard.ZstdCompressor(write_content_size=False).compress(ONE),
    "the dictionary 0": frame(ONE, flags=1, more=b"\0"),
    "many frames": b"".join(frame(ONE[at : at + 7000]) for at in range(0, len(ONE), 7000)),
    "frames to be skipped": SKIPPED + frame(ONE[:5000]) + SKIPPED + SKIPPED + frame(ONE[5000:]) + SKIPPED,
    "an empty frame": frame(ONE[:5000]) + zstandard.compress(b"") + frame(ONE[5000:]),
    "long windows one after the other": frame(ONE[:5000], 28) + frame(ONE[5000:], 17),
    "an extended attribute with a long name": tar(
        special(tarfile.DIRTYPE, "root/d", pax_headers={"SCHILY.xattr.user." + "x" * 250: "1"}), ("root/a", CSV)
    ),
    "an extended header that takes back what the one for all says": for_all({"path": "root/all"})
    + tar(special(tarfile.REGTYPE, "root/b", pax_headers={"path": ""}), ("root/a", CSV)),
    "old names that are long": tar(("root/" + "n" * 180, CSV), format=tarfile.GNU_FORMAT),
    "gzip with a name, a comment and more": gzip_with_all(ONE),
    "gzip in many members": b"".join(gzip.compress(ONE[at : at + 7000]) for at in range(0, len(ONE), 7000)),
}


@pytest.mark.parametrize("name", INTACT)
def test_an_intact_archive_is_unpacked(place: Place, name: str) -> None:
    contents = place.unpack(INTACT[name])
    assert contents.tree.size == len(CSV)


def test_settings_for_all_are_for_those_of_one_tar(place: Place) -> None:
    place.unpack(for_all({"path": "root/all"}) + tar(("root/a", CSV)) + tar(("root/b", CSV)))
    assert sorted(os.listdir(place.dest / "root")) == ["all", "b"]


REFUSED_THOUGH_INTACT: dict[str, tuple[bytes, str]] = {
    "a window of 3.75 TiB": (frame(ONE, 41, 7), "the archive needs a window of 3932160 MiB"),
    "a window of 2.25 GiB": (frame(ONE, 31, 1), "the archive needs a window of 2304 MiB"),
    "a single segment of 3 GiB": (
        frame(ONE, flags=0xE0, more=(3 << 30).to_bytes(8, "little")),
        "the archive needs a window of 3072 MiB",
    ),
    "a dictionary": (frame(ONE, flags=3, more=(4711).to_bytes(4, "little")), "the Zstandard dictionary 4711"),
    "a feature of a later version": (frame(ONE, flags=8), "a newer version of Zstandard"),
}


@pytest.mark.parametrize("name", REFUSED_THOUGH_INTACT)
def test_what_cannot_be_decompressed_here_is_not_called_damaged(place: Place, name: str) -> None:
    data, words = REFUSED_THOUGH_INTACT[name]
    said = str(place.refused(data, words))
    assert "archive is damaged" not in said
    assert "Download it again" not in said


def test_a_window_that_memory_does_not_allow(place: Place) -> None:
    """A limit of this process, as ``ulimit -v`` sets it, is less than twice the window."""
    place.src.write_bytes(frame(ONE, 30))
    limit = (1900 << 20, resource.getrlimit(resource.RLIMIT_AS)[1])
    program = f"import resource; resource.setrlimit(resource.RLIMIT_AS, {limit!r})\n" + (
        "from ansible_collections.apsaradb.backup.plugins.module_utils._archive import extraction, tree\n"
        f"extraction.unpack(tree.Request(src={str(place.src)!r}, dest={str(place.dest)!r}), print)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = process.stderr
    assert "the archive needs a window of 1024 MiB to be decompressed" in said
    assert "it is not damaged. Extract it on a host with at least 2048 MiB of available memory." in said
    assert os.listdir(place.dest.parent) == []
