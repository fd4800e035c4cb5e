# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run `ansible-test sanity` on this collection, with the ansible-test of the Python that runs this script.

    sanity.py checkout [ARGUMENT...]    on a copy of the files that git knows or would know
    sanity.py artifact [ARGUMENT...]    on what the archive for Galaxy holds, as a certification does it

ansible-test wants a real directory .../ansible_collections/NAMESPACE/NAME, a PATH on which every Python runs, and a
script that bootstraps pip. It gets all three, and a home of its own in the user's cache directory, where it keeps its
virtual environments. Further arguments are passed on.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping

from ansible.release import __version__ as core_version
from ansible_test._internal import python_requirements
from pythons import find

COLLECTION = "ansible_collections/apsaradb/backup"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "apsaradb.backup"

# ansible-test downloads pip's bootstrap script from a host of its own. This does the same from what Python brings along,
# and the package index that pip is configured for.
GET_PIP = """\
import subprocess
import sys

if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
    subprocess.check_call([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
    subprocess.check_call([sys.executable, "-m", "pip", "install"] + arguments)
"""


def copy_checkout(root: pathlib.Path) -> None:
    listing = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], capture_output=True, text=True, check=True
    ).stdout
    for name in filter(os.path.lexists, listing.split("\0")):
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(name, target, follow_symlinks=False)


def unpack_artifact(root: pathlib.Path) -> None:
    galaxy = pathlib.Path(sys.executable).with_name("ansible-galaxy")
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, str(galaxy), "collection", "build", "--output-path", directory, "."]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        (archive,) = pathlib.Path(directory).iterdir()
        with tarfile.open(archive) as packed:
            packed.extractall(root)


SOURCES = {"checkout": copy_checkout, "artifact": unpack_artifact}


@contextlib.contextmanager
def collection(source: str) -> Iterator[pathlib.Path]:
    """A directory, outside of any repository, with the collection from that source."""
    with tempfile.TemporaryDirectory(prefix="apsaradb.backup-") as directory:
        root = pathlib.Path(directory, COLLECTION)
        root.mkdir(parents=True)
        SOURCES[source](root)
        yield root


def pip_configuration(home: pathlib.Path, environment: Mapping[str, str]) -> configparser.RawConfigParser:
    """What pip is told by the files of a user and by PIP_* variables, which ansible-test does not pass on."""
    configuration = configparser.RawConfigParser()
    configuration.read_dict({"global": {"quiet": "2"}})
    files = [home / ".pip" / "pip.conf", home / ".config" / "pip" / "pip.conf", environment.get("PIP_CONFIG_FILE", "")]
    configuration.read(list(filter(None, files)))
    for name, value in environment.items():
        if name.startswith("PIP_") and name != "PIP_CONFIG_FILE":
            configuration["global"][name[4:].lower().replace("_", "-")] = value
    return configuration


def prepare_home(home: pathlib.Path) -> None:
    file = home / ".config" / "pip" / "pip.conf"
    # Earlier versions of this script had a link to the directory there.
    if file.parent.is_symlink():
        file.parent.unlink()
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(file, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as opened:
        pip_configuration(pathlib.Path.home(), os.environ).write(opened)
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    source = pathlib.Path(python_requirements.__file__).read_text()
    for version in re.findall(r"\bpip='([\d.]+)'", source):
        (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(GET_PIP)


def main() -> int:
    source, *arguments = sys.argv[1:]
    home = CACHE / f"ansible-core-{core_version}"
    prepare_home(home)
    pythons = find("3.9-")
    directories = [os.path.dirname(sys.executable), *(os.path.dirname(python.path) for python in pythons), os.defpath]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    environment.update(HOME=str(home), PATH=os.pathsep.join(dict.fromkeys(directories)))
    ansible_test = pathlib.Path(sys.executable).with_name("ansible-test")
    command = [sys.executable, str(ansible_test), "sanity", "--local", "--color", "no", *arguments]
    output = ""
    with collection(source) as root:
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for line in process.stdout:
            print(line, end="", flush=True)
            output += line
        status = process.wait()
    tested = re.findall(r"^Running sanity test", output, re.MULTILINE)
    minors = sorted({python.version[:2] for python in pythons})
    found = ", ".join(f"{major}.{minor}" for major, minor in minors)
    print(f"ansible-core {core_version}: {len(tested)} sanity tests; Pythons found: {found}")
    if "All targets skipped" in output or not tested:
        print("Nothing was tested.")
        return status or 1
    return status


if __name__ == "__main__":
    sys.exit(main())
