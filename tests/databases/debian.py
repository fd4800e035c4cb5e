# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packages of Debian, unpacked into a directory, without root, and without a trace on the system.

All that apt keeps is in a directory of its own: an ordinary user may not write to the system's, and its lists may be old, or
absent, or those of another release.
"""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

#: Of what a server depends on, what it runs with. The others are tools of installation.
NEEDED = re.compile(r"(lib|zlib|mysql|mariadb|postgresql).*")
#: Perl is for scripts around a server, and LLVM, with Z3, for compiling queries.
NOT_NEEDED = re.compile(r"lib(llvm|z3).*|.*perl.*|postgresql-common.*")

CONFIGURATION = """
Dir::State "{here}";
Dir::State::status "{here}/status";
Dir::Cache "{here}";
Dir::Etc::SourceList "{here}/sources.list";
Dir::Etc::SourceParts "{here}/none";
Dir::Etc::Preferences "{here}/none";
Dir::Etc::PreferencesParts "{here}/none";
Debug::NoLocking "true";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Install-Recommends "false";
APT::Update::Error-Mode "any";
APT::Sandbox::User "root";
"""


class UnavailableError(Exception):
    """A server cannot be had, with the reason."""


def output(command: list[str], **settings: object) -> str:
    """What a command prints. If it fails, the error quotes its last lines."""
    try:
        done = subprocess.run(  # type: ignore[call-overload]
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            **settings,
        )
    except OSError as error:
        raise UnavailableError(f"{command[0]} does not run: {error.strerror}") from None
    if done.returncode:
        said = "\n".join(done.stdout.splitlines()[-20:])
        raise UnavailableError(f"{' '.join(command)} failed with exit code {done.returncode}:\n{said}")
    return str(done.stdout)


def own_release() -> str:
    """The name of this system's release, such as bookworm."""
    with open("/etc/os-release", encoding="utf-8") as lines:
        found = dict(line.rstrip().split("=", 1) for line in lines if "=" in line)
    return found.get("VERSION_CODENAME", "stable").strip('"')


def mirror() -> str:
    """Where this system has its packages from."""
    listed = output(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Identifier: Packages"])
    for line in listed.splitlines():
        address, _unused, release = line.partition(" ")
        if release == own_release():
            return address
    raise UnavailableError(f"apt has no source of packages for {own_release()}; it has:\n{listed}")


def unpack(packages: Iterable[str], release: str, place: Path, scratch: Path) -> None:
    """Unpack these packages and all that they need to run, down to the C library, below ``place``."""
    if not KEYRING.exists():
        raise UnavailableError(f"{KEYRING} is missing: install the package debian-archive-keyring.")
    for directory in (scratch / "lists" / "partial", scratch / "archives" / "partial", scratch / "none", place):
        directory.mkdir(parents=True)
    (scratch / "status").touch()
    # A mirror that lags behind, or is frozen, has lists that are signed but old.
    options = f"check-valid-until=no signed-by={KEYRING}"
    (scratch / "sources.list").write_text(f"deb [{options}] {mirror()} {release} main\n")
    (scratch / "apt.conf").write_text(CONFIGURATION.format(here=scratch))

    def apt_get(*arguments: str) -> str:
        return output(
            ["env", f"APT_CONFIG={scratch / 'apt.conf'}", "apt-get", "-q", *arguments], cwd=scratch / "archives"
        )

    apt_get("update")
    names = re.findall(r"^Inst (\S+)", apt_get("install", "--simulate", *packages), re.MULTILINE)
    apt_get("download", *(name for name in names if NEEDED.fullmatch(name) and not NOT_NEEDED.fullmatch(name)))
    for package in sorted((scratch / "archives").glob("*.deb")):
        output(["dpkg", "-x", str(package), str(place)])


def description(packages: Iterable[str], release: str) -> str:
    """All that says what ``unpack`` makes, but the day."""
    return "\n".join([release, platform.machine(), *packages, Path(__file__).read_text(encoding="utf-8")])
