# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run `ansible-test sanity` on a copy of this collection, with the ansible-test of the Python that runs this script.

ansible-test wants a real directory .../ansible_collections/NAMESPACE/NAME, a PATH on which every Python runs, and a
script that bootstraps pip. It gets all three, and a home of its own in the user's cache directory, where it keeps its
virtual environments. Further arguments are passed on.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

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


@contextlib.contextmanager
def copy_of_collection() -> Iterator[pathlib.Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], capture_output=True, text=True, check=True
    ).stdout
    with tempfile.TemporaryDirectory(prefix="apsaradb.backup-") as directory:
        root = pathlib.Path(directory, COLLECTION)
        root.mkdir(parents=True)
        for name in filter(os.path.lexists, listing.split("\0")):
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, target, follow_symlinks=False)
        yield root


def prepare_home(home: pathlib.Path) -> None:
    pip_configuration = home / ".config" / "pip"
    pip_configuration.parent.mkdir(parents=True, exist_ok=True)
    pip_configuration.unlink(missing_ok=True)
    pip_configuration.symlink_to(pathlib.Path.home() / ".config" / "pip")
    quiet_pip = home / ".pip" / "pip.conf"
    quiet_pip.parent.mkdir(exist_ok=True)
    quiet_pip.write_text("[global]\nquiet = 2\n")
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    source = pathlib.Path(python_requirements.__file__).read_text()
    for version in re.findall(r"\bpip='([\d.]+)'", source):
        (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(GET_PIP)


def main() -> int:
    home = CACHE / f"ansible-core-{core_version}"
    prepare_home(home)
    pythons = find("3.9-")
    directories = [os.path.dirname(sys.executable), *(os.path.dirname(python.path) for python in pythons), os.defpath]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    environment.update(HOME=str(home), PATH=os.pathsep.join(dict.fromkeys(directories)))
    ansible_test = pathlib.Path(sys.executable).with_name("ansible-test")
    command = [sys.executable, str(ansible_test), "sanity", "--local", "--color", "no", *sys.argv[1:]]
    output = ""
    with copy_of_collection() as root:
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for line in process.stdout:
            sys.stdout.write(line)
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
