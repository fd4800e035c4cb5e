# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files as one archive, in an order that can be chosen, or as a tree of directories."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

ORDERS: Final = ("as made", "sorted", "data first", "structures last", "shuffled")


def ordered(names: Iterable[str], order: str = "as made", seed: int = 0) -> list[str]:
    """Names of files in the order in which an archive has them.

    "as made" has each structure before its data, "sorted" is tar --sort=name, "data first" has the data of each table
    before its structure, and "structures last" all data before all structures.
    """
    found = list(names)
    if order == "sorted":
        found.sort(key=lambda name: name.split("/"))
    elif order == "data first":
        places = {owner: place for place, owner in enumerate(dict.fromkeys(map(_owner, found)))}
        found.sort(key=lambda name: (places[_owner(name)], not _is_data(name)))
    elif order == "structures last":
        found.sort(key=lambda name: not _is_data(name))
    elif order == "shuffled":
        random.Random(seed).shuffle(found)
    elif order != "as made":
        raise ValueError(f"{order!r} is not one of {', '.join(ORDERS)}")
    return found


def _is_data(name: str) -> bool:
    return "/data/" in name


def _owner(name: str) -> str:
    """The directory of the table, or whatever has a structure."""
    return name.rpartition("/data/" if _is_data(name) else "/")[0]


def tar(
    files: Mapping[str, bytes],
    modified: float = 1.6e9,
    *,
    order: str = "as made",
    seed: int = 0,
    directories: bool = False,
) -> bytes:
    """A name that ends with a slash is an empty directory; `directories` has also those that files are in."""
    packed = io.BytesIO()
    made: set[str] = set()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ordered(files, order, seed):
            parts = name.rstrip("/").split("/")
            kept = parts if name.endswith("/") else parts[:-1] if directories else []
            _add_directories(archive, kept, int(modified), made)
            if not name.endswith("/"):
                entry = tarfile.TarInfo(name)
                entry.size = len(files[name])
                entry.mtime = int(modified)
                archive.addfile(entry, io.BytesIO(files[name]))
    return packed.getvalue()


def _add_directories(archive: tarfile.TarFile, parts: list[str], modified: int, made: set[str]) -> None:
    """Each that is not there yet, from the outermost inwards."""
    for depth in range(1, len(parts) + 1):
        name = "/".join(parts[:depth])
        if name not in made:
            made.add(name)
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, modified
            archive.addfile(entry)


def gz(data: bytes, level: int = 6) -> bytes:
    return gzip.compress(data, level, mtime=0)


def zst(data: bytes) -> bytes:
    """A Zstandard frame whose blocks are stored as they are."""
    frame = [b"\x28\xb5\x2f\xfd", b"\xa0", len(data).to_bytes(4, "little")]
    for start in range(0, len(data) or 1, 65536):
        block = data[start : start + 65536]
        last = start + 65536 >= len(data)
        frame += [(len(block) << 3 | last).to_bytes(3, "little"), block]
    return b"".join(frame)


PACKERS: Final[dict[str, Callable[[bytes], bytes]]] = {"tar": bytes, "tar.gz": gz, "tar.zst": zst}


def pack(
    files: Mapping[str, bytes],
    format: str = "tar.gz",
    *,
    tars: int = 1,
    order: str = "as made",
    seed: int = 0,
    modified: float = 1.6e9,
    directories: bool = False,
) -> bytes:
    """An archive of these files: several tars, one after the other, each compressed on its own."""
    names = ordered(files, order, seed)
    size = max(1, -(-len(names) // tars))
    shares = [names[size * number : size * (number + 1)] for number in range(tars)]
    compress = PACKERS[format]
    return b"".join(
        compress(tar({name: files[name] for name in share}, modified, directories=directories)) for share in shares
    )


def unpack(files: Mapping[str, bytes], directory: Path) -> Path:
    """The files as a tree below a directory."""
    for name, content in files.items():
        path = directory / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(content)
    return directory


def pack_tree(directory: Path, archive: Path, *, order: str = "sorted", level: int = 1) -> None:
    """The files below a directory as one .tar.gz, for backups larger than memory."""
    names = [str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()]
    with gzip.open(archive, "wb", level) as packed, tarfile.open(fileobj=packed, mode="w|") as made:
        for name in ordered(sorted(names), order):
            made.add(directory / name, name)
