#!/usr/bin/env bash
# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Queries the stand-in of the service as a user queries the real one. Its time passes with requests, so that the task in progress
# does not finish too early on a slow machine.
set -euo pipefail

run=$(mktemp -d .cache/demo.XXXXXX)
PYTHONPATH=tests python -m stand_in --port 0 --speed 0.01 --habit seconds_per_list=12 --ready-file "$run/ready" >"$run/output" 2>&1 &
service=$!
trap 'kill "$service" 2>/dev/null; rm -rf "$run"' EXIT
while [[ ! -e $run/ready ]]; do
    kill -0 "$service" 2>/dev/null || { cat "$run/output"; exit 1; }
    sleep 0.1
done
eval "$(grep '^export' "$run/output")"

export ANSIBLE_COLLECTIONS_PATH="${ANSIBLE_COLLECTIONS_PATH:-$PWD/.cache/collections}"
export ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_INVENTORY_UNPARSED_WARNING=false
options="instance_name=rm-bp1demomysql0001"

show() {
    printf '\n# %s\n$ %s\n' "$1" "$2"
    eval "$2"
}

show "The newest download task of an instance" \
    "ansible localhost -m apsaradb.backup.dbs_download_task_info -a '$options limit=1'"
show "All download tasks, as a table" \
    "ansible-playbook apsaradb.backup.list_download_tasks -e '$options'"
show "Wait for tasks in progress, and show where the files are" \
    "ansible-playbook apsaradb.backup.wait_and_locate -e '$options poll_interval=1 progress_interval=4'"
show "Download the file of a task, and verify it" \
    "ansible localhost -m apsaradb.backup.dbs_download_file -a 'task_id=dt-demo00000001 dest=$run/backup.tar.gz'"
show "Extract it" \
    "ansible localhost -m apsaradb.backup.dbs_download_extract -a 'src=$run/backup.tar.gz dest=$run/backup'"
show "List the extracted files of one table" \
    "find $run/backup -type f -path '*/shop/orders/*' | sort -V"
