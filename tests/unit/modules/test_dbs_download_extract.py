# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""dbs_download_extract from its options to its result, alone and as its action plugin runs it."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.plugin_utils._progress import ExtractionLines
from exports import mongodb, packing
from processes import started, until
from stand_in import archive
from stand_in.crc64 import crc64

CONTENT = archive.files("mysql", ["orders"], "csv")
FILES = len(CONTENT)
# With the root of the archive.
DIRECTORIES = 1 + len({name[:place] for name in CONTENT for place, letter in enumerate(name) if letter == "/"})
DEFAULTS = {"mode": 0o600, "directory_mode": 0o700}


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    data = archive.gz(archive.tar("root", ["orders"], "csv", 1.6e9))
    (tmp_path / "backup").write_bytes(data)
    return {"src": str(tmp_path / "backup"), "dest": str(tmp_path / "dest")}


def modes(dest: str) -> set[tuple[bool, int]]:
    return {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in [Path(dest), *Path(dest).rglob("*")]}


def test_the_result(extract: Any, paths: dict[str, str]) -> None:
    result = extract(paths)
    data = Path(paths["src"]).read_bytes()
    assert result.pop("elapsed") >= 0
    result.pop("invocation", None)
    size = result.pop("unpacked_size")
    status = Path(paths["dest"]).stat()
    assert (result.pop("uid"), result.pop("gid"), result.pop("size")) == (status.st_uid, status.st_gid, status.st_size)
    assert (result.pop("mode"), result.pop("state")) == ("0700", "directory")
    assert {"owner", "group"} <= set(result)
    assert result == {
        **paths,
        "owner": result["owner"],
        "group": result["group"],
        "changed": True,
        "format": "tar.gz",
        "archives": 1,
        "files": FILES,
        "directories": DIRECTORIES,
        "links": 0,
        "archive_size": len(data),
        "archive_crc64": str(crc64(data)),
        "roots": ["root"],
        "layout": "as_is",
    }
    assert size == sum(path.stat().st_size for path in Path(paths["dest"], "root").rglob("*") if path.is_file())
    assert modes(paths["dest"]) == {(False, 0o600), (True, 0o700)}


def test_it_is_idempotent(extract: Any, paths: dict[str, str]) -> None:
    first = extract(paths)
    second = extract(paths)
    assert (first["changed"], second["changed"]) == (True, False)
    for name in set(first) - {"changed", "elapsed", "invocation"}:
        assert first[name] == second[name]
    again = {**paths, "keep_archive": False}
    assert [extract(again)["changed"] for _unused in range(3)] == [True, False, False]
    assert not os.path.exists(paths["src"])
    Path(paths["dest"], "root", "more").touch()
    assert "does not exist" in extract(again)["msg"]
    assert "does not exist" in extract(paths)["msg"]


def test_the_documented_values_are_those_returned(extract: Any, paths: dict[str, str]) -> None:
    import yaml
    from ansible_collections.apsaradb.backup.plugins.modules import dbs_download_extract as module

    documented = yaml.safe_load(module.RETURN)
    result = extract(paths)
    assert set(result) - {"changed", "invocation"} == set(documented) - {"error"}
    kinds = {"str": str, "int": int, "list": list, "float": float}
    for name in set(documented) - {"error"}:
        assert result[name].__class__ is kinds[documented[name]["type"]]
    predicted = extract({**paths, "force": True, "dest": paths["dest"] + "2", "_ansible_check_mode": True})
    for name in set(documented) - {"error"}:
        assert (name in predicted) == (documented[name]["returned"] == "success"), name


def test_check_mode_tells_and_writes_nothing(extract: Any, paths: dict[str, str], tmp_path: Path) -> None:
    check = {**paths, "_ansible_check_mode": True}
    assert extract(check)["changed"] is True
    assert os.listdir(tmp_path) == ["backup"]
    extract(paths)
    assert extract(check)["changed"] is False
    assert extract({**check, "keep_archive": False})["changed"] is True
    assert os.path.exists(paths["src"])
    Path(paths["dest"], "more").touch()
    assert "was changed since" in extract(check)["msg"]
    assert extract({**check, "force": True})["changed"] is True
    assert Path(paths["dest"], "more").exists()
    Path(paths["src"]).write_bytes(b"XBSTCK01")
    assert "xbstream -x" in extract(check)["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"src": "/proc/none/x.tar.gz"}, "src '/proc/none/x.tar.gz' does not exist: give the archive's path"),
        ({"src": " "}, "src ' ' is not a path"),
        ({"dest": ""}, "dest '' is not a path"),
        ({"dest": "/"}, "dest '/' is the root directory"),
        ({"max_files": 0}, "max_files 0 is out of range: give 1 to 1000000000"),
        ({"max_size": 0}, "max_size 0 is out of range: give 1 to"),
        ({"max_size": "many"}, "max_size"),
        ({"mode": "0800"}, "mode '0800' is not allowed: give an octal number from '0000' to '0777' in quotes"),
        ({"mode": "u=rw"}, "mode 'u=rw' is not allowed"),
        ({"mode": "4755"}, "mode '4755' is not allowed"),
        ({"mode": 644}, "mode 644 is not allowed"),
        ({"mode": True}, "mode True is not allowed"),
        ({"mode": None}, "mode None is not allowed"),
        ({"mode": -1}, "mode -1 is not allowed"),
        ({"directory_mode": "0600"}, "directory_mode '0600' is not allowed: give an octal number"),
        ({"owner": "nobody-of-that-name"}, "owner 'nobody-of-that-name' is not known on this host"),
        ({"group": "99999999999"}, "group '99999999999' is not known on this host"),
        ({"owner": "4294967295"}, "owner '4294967295' is not known on this host"),
        ({"progress_interval": 0.5}, "progress_interval 0.5 is out of range: give 1 to 86400 seconds"),
    ],
)
def test_bad_options(extract: Any, paths: dict[str, str], options: dict[str, Any], words: str) -> None:
    result = extract({**paths, **options})
    assert words in result["msg"]
    assert not os.path.exists(paths["dest"])
    if "unable to convert" not in result["msg"]:
        assert result["error"] == {"kind": "configuration"}


def test_the_archive_may_not_lie_where_it_is_unpacked(extract: Any, paths: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    for dest in (tmp_path, tmp_path.parent, tmp_path / "link", tmp_path / "link" / "..", paths["src"]):
        result = extract({**paths, "dest": str(dest), "force": True})
        assert "contains src" in result["msg"]
    assert os.path.exists(paths["src"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"mode": 0o640}, {"mode": 0o640}),
        ({"mode": "640", "directory_mode": "0o750"}, {"mode": 0o640, "directory_mode": 0o750}),
        ({"mode": "00444", "directory_mode": 0o777}, {"mode": 0o444, "directory_mode": 0o777}),
    ],
)
def test_modes(extract: Any, paths: dict[str, str], given: dict[str, Any], expected: dict[str, int]) -> None:
    extract({**paths, **given})
    expected = {**DEFAULTS, **expected}
    assert modes(paths["dest"]) == {(False, expected["mode"]), (True, expected["directory_mode"])}


def test_owners_by_name_and_number(extract: Any, paths: dict[str, str]) -> None:
    own = {"owner": str(os.geteuid()), "group": str(os.getegid())}
    others = {"owner": "daemon", "group": "4321"} if os.geteuid() == 0 else own
    result = extract({**paths, **others})
    assert result["changed"]
    status = Path(paths["dest"], "root").stat()
    assert (status.st_uid, status.st_gid) == ((1, 4321) if os.geteuid() == 0 else (os.geteuid(), os.getegid()))


@pytest.mark.parametrize("size", [100, "100", "0.09KB"])
def test_limits(extract: Any, paths: dict[str, str], size: Any) -> None:
    result = extract({**paths, "max_size": size})
    assert "max_size is " in result["msg"]
    assert result["error"] == {"kind": "archive"}
    assert not os.path.exists(paths["dest"])
    assert extract({**paths, "max_size": "1MB"})["changed"]


def test_a_link_to_the_destination_is_followed(extract: Any, paths: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "dest").symlink_to("real")
    assert extract(paths)["dest"] == str(tmp_path / "real")
    assert (tmp_path / "dest").is_symlink()
    assert (tmp_path / "dest" / "root").is_dir()


def test_names_that_are_no_text_come_out_as_json(extract: Any, paths: dict[str, str]) -> None:
    with tarfile.open(paths["src"], "w", errors="surrogateescape", format=tarfile.GNU_FORMAT) as file:
        file.addfile(tarfile.TarInfo("caf\udce9"))
        file.addfile(tarfile.TarInfo("\x1b[0m"))
    assert extract(paths)["roots"] == ["\x1b[0m", "caf\\xe9"]
    with tarfile.open(paths["src"], "w", errors="surrogateescape", format=tarfile.GNU_FORMAT) as file:
        file.addfile(tarfile.TarInfo("../caf\udce9\x1b"))
    result = extract({**paths, "force": True})
    assert "../caf\\xe9\\x1b in the archive leads outside" in result["msg"]


def test_an_export_of_mongodb_for_mongorestore(extract: Any, paths: dict[str, str], tmp_path: Path) -> None:
    export = mongodb.files(mongodb.collections(["shop", "log"]))
    Path(paths["src"]).write_bytes(packing.pack(export, "tar.gz", tars=3, order="shuffled"))
    asked = {**paths, "layout": "mongorestore", "mode": "0440"}
    predicted = extract({**asked, "_ansible_check_mode": True})
    assert (predicted["changed"], predicted["layout"]) == (True, "mongorestore")
    assert os.listdir(tmp_path) == ["backup"]
    results = [extract(asked) for _unused in range(2)]
    results.append(extract({**asked, "_ansible_check_mode": True}))
    assert [result["changed"] for result in results] == [True, False, False]
    for result in results:
        assert (result["layout"], result["roots"], result["archives"]) == ("mongorestore", ["log", "shop"], 3)
        assert (result["files"], result["directories"], result["unpacked_size"]) == (
            16,
            2,
            sum(map(len, export.values())),
        )
    assert modes(paths["dest"]) == {(False, 0o440), (True, 0o700)}
    as_is = extract(paths)
    assert "was extracted with layout=mongorestore. Set force=true" in as_is["msg"]
    assert as_is["error"] == {"kind": "destination"}
    assert extract({**asked, "keep_archive": False})["changed"]
    assert not extract({**asked, "keep_archive": False})["changed"]
    assert "does not exist" in extract({**paths, "keep_archive": False})["msg"]


def test_another_archive_for_mongorestore(extract: Any, paths: dict[str, str], tmp_path: Path) -> None:
    for check in (True, False):
        result = extract({**paths, "layout": "mongorestore", "_ansible_check_mode": check})
        assert "the archive is not an export of MongoDB: root/orders/structure.sql is neither" in result["msg"]
        assert "Use layout=as_is" in result["msg"]
        assert result["error"] == {"kind": "archive"}
        assert os.listdir(tmp_path) == ["backup"]
    assert (
        "value of layout must be one of: as_is, mongorestore, got: mongodb"
        in extract({**paths, "layout": "mongodb"})["msg"]
    )


def test_a_missing_library_is_named(extract: Any, paths: dict[str, str], tmp_path: Path) -> None:
    Path(paths["src"]).write_bytes(archive.zst(archive.tar("root", ["orders"], "csv", 1.6e9)))
    assert extract.process(paths)["format"] == "tar.zst"
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "zstandard.py").write_text("raise ImportError('hidden')")
    hidden = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "hidden"), *sys.path])}
    for options in ({}, {"_ansible_check_mode": True}):
        result = extract.process({**paths, "dest": paths["dest"] + "2", **options}, environment=hidden)
        if sys.version_info < (3, 14):
            assert "zstandard" in result["msg"]
            assert "to extract .tar.zst archives" in result["msg"]
            assert result["error"] == {"kind": "configuration"}
    Path(paths["src"]).write_bytes(archive.gz(archive.tar("root", ["orders"], "csv", 1.6e9)))
    assert extract.process({**paths, "force": True}, environment=hidden)["changed"]


# As the action plugin runs it


@pytest.fixture
def large(paths: dict[str, str]) -> dict[str, str]:
    """Takes a second or two."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as file:
        for number in range(12000):
            file.addfile(tarfile.TarInfo(f"root/{number % 100}/{number}"))
        entry = tarfile.TarInfo("root/big")
        entry.size = 300 << 20
        file.addfile(entry, ZeroFile())
    Path(paths["src"]).write_bytes(archive.gz(packed.getvalue()))
    return paths


class ZeroFile(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        return bytes(size)


def test_the_work_goes_on_between_runs(extract: Any, large: dict[str, str], tmp_path: Path) -> None:
    arguments = {**large, "_ansible_remote_tmp": str(tmp_path / "tmp")}
    result = extract.process({**arguments, "_job": {"seconds": 0.1, "directory": None}})
    states = []
    while "_job" in result:
        states.append(result["_job"])
        result = extract.process({**arguments, "_job": {"seconds": 0.1, "directory": states[-1]["directory"]}})
    assert result["files"] == 12001
    progress = [state["progress"] for state in states if state["progress"]]
    assert progress
    assert progress[-1]["src"] == large["src"]
    assert progress[-1]["total"] == os.path.getsize(large["src"])
    assert [facts["read"] for facts in progress] == sorted(facts["read"] for facts in progress)
    assert os.listdir(tmp_path / "tmp") == []


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (signal.SIGTERM, ()),
        # Of those that come at once, any may be the first that is seen.
        (signal.SIGHUP, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) * 5),
    ],
)
def test_a_signal_ends_it_and_nothing_is_left(
    extract: Any, large: dict[str, str], tmp_path: Path, first: signal.Signals, more: tuple[signal.Signals, ...]
) -> None:
    process = started(extract.name, large, stderr=subprocess.PIPE)
    until((tmp_path / "dest.part" / "new" / "root").exists)
    process.send_signal(first)
    for another in more:
        time.sleep(0.001)
        process.send_signal(another)
    output, errors = process.outputs()
    result = json.loads(output)
    assert result["error"] == {"kind": "interruption"}
    assert [sent for sent in {first, *more} if result["msg"] == f"Interrupted by {sent.name}."]
    assert not errors
    assert os.listdir(tmp_path) == ["backup"]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, []),
        (
            {"read": 375, "files": 120, "elapsed": 1.25e-6},
            ["/srv/x.tar.gz: 37.5 %, 300 MB/s, 120 files, about 0s left, 2m 05s elapsed"],
        ),
        (
            {"read": 100_000_000, "total": 250_000_000, "elapsed": 100.0},
            ["/srv/x.tar.gz: 40.0 %, 1 MB/s, about 2m 30s left, 2m 05s elapsed"],
        ),
        ({"read": 0, "elapsed": 0.0}, ["/srv/x.tar.gz: 0.0 %, 2m 05s elapsed"]),
        ({"read": 10, "step": "comparing", "elapsed": 1.0, "total": 20}, None),
        ({"read": 1000, "step": "syncing", "files": 7}, ["/srv/x.tar.gz: syncing, 100.0 %, 7 files, 2m 05s elapsed"]),
        ({"read": 1000, "src": "/srv/\x1b[31m\n"}, ["/srv/\\x1b[31m\\n: 100.0 %, 2m 05s elapsed"]),
    ],
)
def test_lines_of_progress(facts: dict[str, Any], expected: list[str] | None) -> None:
    base = {"src": "/srv/x.tar.gz", "step": "extracting", "total": 1000, "files": 0, "size": 0, "elapsed": 125.0}
    printed = list(ExtractionLines().of({**base, **facts} if facts else {}, 125.0))
    if expected is None:
        assert printed[0].startswith("/srv/x.tar.gz: comparing, 50.0 %, 10 B/s, about 1s left")
    else:
        assert printed == expected
