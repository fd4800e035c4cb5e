#!/usr/bin/env bash
# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Queries the stand-in of the service as a user queries the real one, and restores what it has into real database servers. Its
# time passes with requests, so that the task in progress does not finish too early on a slow machine.
set -euo pipefail

export PYTHONPATH=tests
run=$(mktemp -d .cache/demo.XXXXXX)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait "${pids[@]}" 2>/dev/null; rm -rf "$run"' EXIT

# start NAME COMMAND...: in the background, until it writes $run/NAME
start() {
    local name=$1
    "${@:2}" --ready-file "$run/$name" >"$run/$name.output" 2>&1 &
    pids+=($!)
}
ready() {
    local number=0 name
    for name in "$@"; do
        while [[ ! -e $run/$name ]]; do
            kill -0 "${pids[number]}" 2>/dev/null || { cat "$run/$name.output"; exit 1; }
            sleep 0.1
        done
        number=$((number + 1))
    done
}
start service python -m stand_in --port 0 --speed 0.01 --habit seconds_per_list=12
start mariadb python -m databases run mariadb
start postgresql python -m databases run postgresql
ready service mariadb postgresql
eval "$(grep '^export' "$run/service.output")"
mariadb=$(<"$run/mariadb")
postgresql=$(<"$run/postgresql")

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

# The list of 46 tables is long: the demo shows the rest of each result.
show "Restore it into MariaDB, straight from the archive (the result without the list of its tables)" \
    "ansible localhost -m apsaradb.backup.dbs_restore_mysql -a 'src=$run/backup.tar.gz login_unix_socket=$mariadb login_user=demo time_zone=+00:00' | sed '/\"tables\": \[/,/^    \],/d'"
show "Query it there" \
    "python -m databases query mariadb --socket $mariadb --database shop 'SELECT status, COUNT(*), SUM(amount) FROM orders GROUP BY status'"
show "Download a backup of PostgreSQL" \
    "ansible localhost -m apsaradb.backup.dbs_download_file -a 'task_id=dt-demo00000002 dest=$run/metrics.tar.gz'"
show "Restore it into PostgreSQL" \
    "ansible localhost -m apsaradb.backup.dbs_restore_postgresql -a 'src=$run/metrics.tar.gz login_unix_socket=$postgresql login_user=demo' | sed '/\"tables\": \[/,/^    \],/d'"
show "Query it there" \
    "python -m databases query postgresql --socket $postgresql --database metrics 'SELECT status, COUNT(*), SUM(amount) FROM orders GROUP BY status'"
