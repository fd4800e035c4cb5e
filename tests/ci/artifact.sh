#!/usr/bin/env bash
# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the collection, installs it into an empty path, and runs the demo from there.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ansible-galaxy collection build --output-path "$work" .
artifact=("$work"/*.tar.gz)

tar -tzf "${artifact[0]}" | grep -v '/$' | sort >"$work/packed"
{ git ls-files -co --exclude-standard; printf '%s\n' FILES.json MANIFEST.json; } | sort >"$work/known"
if strangers=$(comm -23 "$work/packed" "$work/known" | grep .); then
    printf 'The artifact has files that git does not know:\n%s\n' "$strangers"
    exit 1
fi

# With a home of its own, where no other installation of the collection can be taken for this one.
export ANSIBLE_HOME="$work/home"
ansible-galaxy collection install "${artifact[0]}" --collections-path "$work/collections" --offline
ANSIBLE_COLLECTIONS_PATH="$work/collections" bash tests/ci/demo.sh
