#!/usr/bin/env bash
# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
#
# venv.sh NAME PYTHONS: makes .cache/venv-NAME from requirements-NAME.txt, with the newest Python of that range.
set -euo pipefail

venv=.cache/venv-$1
python=$(python3 tests/ci/pythons.py "$2")
version=$("$python" -c 'import platform; print(platform.python_version())')

if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    package=python${version%.*}-venv
    if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
        echo "$python lacks ensurepip. Install it first: on Debian and Ubuntu, sudo apt-get install $package" >&2
        exit 1
    fi
    echo "$python lacks ensurepip: installing the package $package"
    exec 9>.cache/apt.lock
    flock 9
    apt-get -q update >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$package" >/dev/null
    flock -u 9
fi

echo "$venv: Python $version and what tests/ci/requirements-$1.txt lists"
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check -r "tests/ci/requirements-$1.txt"
touch "$venv/.ready"
