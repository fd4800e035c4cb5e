# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to stand in several places is the same in all of them, and CONTRIBUTING names what there is."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.apsaradb.backup.plugins.doc_fragments import connection, location, restore
from ansible_collections.apsaradb.backup.plugins.module_utils._archive import decompression, formats
from ansible_collections.apsaradb.backup.plugins.module_utils._base.version import VERSION
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.task import normalised
from ansible_collections.apsaradb.backup.plugins.module_utils._modules import (
    dbs_download_file,
    dbs_download_task_info,
    dbs_download_task_wait,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin import checks
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.options import (
    CONNECTION_SPEC,
    FILES_SPEC,
    SHARED,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.query import QUERY_SPEC
from ansible_collections.apsaradb.backup.plugins.module_utils._restore import (
    mysql_connection,
    mysql_privileges,
    mysql_server,
    postgresql_server,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transport import credentials
from ansible_collections.apsaradb.backup.plugins.modules import (
    dbs_download_extract,
    dbs_restore_mysql,
    dbs_restore_postgresql,
)
from ansible_collections.apsaradb.backup.plugins.modules import dbs_download_task_info as task_info
from stand_in import FAULTS

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles" / "wait_for_download_tasks"
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def read(path: str | Path) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


# Modules and versions


def test_the_plugins_of_the_table_are_those_there_are() -> None:
    table = set(re.findall(r"^\| `apsaradb\.backup\.(\w+)`", README, re.MULTILINE))
    plugins = {
        path.stem
        for kind in ("modules", "lookup", "action", "playbooks")
        for path in [*(ROOT / "plugins" / kind).glob("*.py"), *(ROOT / kind).glob("*.yml")]
    }
    roles = {path.name for path in (ROOT / "roles").glob("*")}
    assert table == plugins | roles


def test_every_module_of_the_service_is_in_the_action_group() -> None:
    group = read("meta/runtime.yml")["action_groups"]["all"]
    modules = {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")}
    # Those that restore know no connection to the service, and would refuse what the group sets.
    assert sorted(group) == sorted(name for name in modules if not name.startswith("dbs_restore_"))


def test_the_version_is_the_same_everywhere() -> None:
    assert read("galaxy.yml")["version"] == VERSION
    assert re.findall(r"apsaradb-backup-([0-9][\w.-]*)\.tar\.gz", README) == [VERSION]


def test_the_oldest_ansible_core_is_the_same_everywhere() -> None:
    oldest = read(ROLE / "meta" / "main.yml")["galaxy_info"]["min_ansible_version"]
    assert read("meta/runtime.yml")["requires_ansible"] == f">={oldest}.0"
    assert f"ansible-core ~= {oldest}.0\n" in (ROOT / "tests/ci/requirements-oldest.txt").read_text()
    assert re.findall(r"ansible-core (\d+\.\d+)", README) == [oldest, oldest]


def test_the_oldest_database_servers_are_the_same_everywhere() -> None:
    oldest = {name: f"{major}.{minor}" for name, (major, minor) in mysql_server._OLDEST.items()}
    for name, version in oldest.items():
        assert f"{name} server ({version} or newer)" in " ".join(dbs_restore_mysql.DOCUMENTATION.split())
    postgresql = str(postgresql_server._MIN_VERSION // 10_000)
    assert f"PostgreSQL server ({postgresql} or newer)" in " ".join(dbs_restore_postgresql.DOCUMENTATION.split())
    said = f"MySQL {oldest['MySQL']}, MariaDB {oldest['MariaDB']} and PostgreSQL {postgresql}, and newer"
    assert said in README


# Results


def test_every_field_of_a_task_is_documented() -> None:
    documented = yaml.safe_load(task_info.RETURN)["download_tasks"]["contains"]
    assert set(normalised({}, "rm-bp1abc", "cn-hangzhou")) <= set(documented)


# Options


def test_no_key_goes_to_the_host_of_a_download() -> None:
    spec = dbs_download_file.HOST_SPEC
    assert not [name for name in spec if spec[name].get("no_log")]
    assert not {"instance_name", "region", "profile", "endpoint", "bucket"} & set(spec)


def test_every_variable_of_the_role_is_an_option_of_the_module() -> None:
    spec = read(ROLE / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    sent = read(ROLE / "vars" / "main.yml")["__wait_for_download_tasks_options"]
    names = {name.removeprefix("wait_for_download_tasks_") for name in spec}
    assert names == {*sent, "instance_name"}
    assert set(sent.values()) == {f"{{{{ wait_for_download_tasks_{name} | default('') }}}}" for name in sent}
    for name in names:
        said, taken = spec[f"wait_for_download_tasks_{name}"], dbs_download_task_wait.ARGUMENT_SPEC[name]
        for fact in ("type", "elements", "choices"):
            assert said.get(fact) == taken.get(fact), (name, fact)


#: The playbook prints a table of all pages, and does without what changes neither.
NOT_IN_THE_PLAYBOOK = {"page_size", "current_page", "order_column", *QUERY_SPEC, *CONNECTION_SPEC}
#: Variables that have another name than the option.
OF_OPTIONS = {"order_direct": "order", "task_id": "task_ids"}


def test_the_playbook_that_lists_takes_the_options_of_the_module() -> None:
    (play,) = read("playbooks/list_download_tasks.yml")
    variables = {OF_OPTIONS.get(name, name) for name in play["vars"]["checks"]}
    assert set(dbs_download_task_info.ARGUMENT_SPEC) - variables <= NOT_IN_THE_PLAYBOOK
    assert {OF_OPTIONS.get(name, name) for name in play["vars"]} >= variables


@pytest.mark.parametrize("name", ["create_download", "list_download_tasks", "wait_and_locate"])
def test_playbooks_take_what_modules_take(name: str) -> None:
    table = read(f"playbooks/{name}.yml")[0]["vars"]["checks"]
    seen = set()
    for variable, check in table.items():
        option = OF_OPTIONS.get(variable, variable)
        if option in checks._IDENTIFIERS and option != "backup_set_id":  # which latest has a meaning for
            seen.add(option)
            assert check["like"] == checks._IDENTIFIERS[option][0], variable
        for choice in dbs_download_task_info.ARGUMENT_SPEC.get(option, {}).get("choices", ()):
            if (name, choice) != ("create_download", "Bson"):  # it cannot be used for MongoDB
                assert re.fullmatch(check["like"], choice), (variable, choice)
                assert choice in check["allowed"]
    assert seen >= {"instance_name", "region"}


def test_each_option_that_has_a_variable_names_it() -> None:
    named = {}
    for fragment in (connection.ModuleDocFragment, location.ModuleDocFragment):
        for name, option in yaml.safe_load(fragment.DOCUMENTATION)["options"].items():
            named[name] = f"E(APSARADB_BACKUP_{name.upper()})" in " ".join(option["description"])
    assert named == {name: name in SHARED for name in {**CONNECTION_SPEC, **FILES_SPEC}}


def test_every_variable_with_a_part_of_a_key_is_documented() -> None:
    (description,) = [
        " ".join(option["description"])
        for name, option in yaml.safe_load(connection.ModuleDocFragment.DOCUMENTATION)["options"].items()
        if name == "access_key_id"
    ]
    for source in credentials._KEY_VARIABLES:
        for variable in [name for part in source for name in part]:
            assert f"E({variable})" in description
            assert f"`{variable}`" in README


def test_every_privilege_that_a_restore_needs_is_documented() -> None:
    (notes,) = [note for note in yaml.safe_load(dbs_restore_mysql.DOCUMENTATION)["notes"] if "needs the priv" in note]
    every = [one for name, one in vars(mysql_privileges).items() if isinstance(one, frozenset) and name[0] == "_"]
    assert len(every) == 5
    for privilege in frozenset().union(*every):
        assert f"C({privilege})" in notes
        assert re.search(rf"\b{privilege}\b", mysql_connection.PRIVILEGES_HINT)


# Formats and faults


def test_every_format_of_archives_can_be_told_read_and_looked_up() -> None:
    documented = dbs_download_extract.DOCUMENTATION, yaml.safe_load(dbs_download_extract.RETURN)["format"]
    for format in formats.Format:
        assert format in decompression._DECOMPRESSORS
        assert format in formats._FORMATS.values() or format is formats.Format.TAR
        assert f"C(.{format.value})" in documented[0]
        assert f"C(.{format.value})" in restore.ModuleDocFragment.DOCUMENTATION
        assert f"V({format.value})" in documented[1]["description"]


def test_every_fault_of_the_stand_in_has_a_test() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests/unit").rglob("test_*.py"))
    assert [kind for kind in FAULTS if f'"{kind}"' not in tests] == []


# CONTRIBUTING

BASES = (ROOT, ROOT / "plugins", ROOT / "plugins" / "module_utils")
NAMED = sorted(set(re.findall(r"`([^`\n]+)`", re.sub(r"(?m)^ {4}.*$", "", CONTRIBUTING))))
#: A part of a path that stands for many names.
ANY = re.compile(r"<\w+>|…")


@pytest.mark.parametrize("path", [name for name in NAMED if "/" in name and " " not in name and name[:1] != "/"])
def test_every_path_of_contributing_exists(path: str) -> None:
    assert any(list(base.glob(ANY.sub("*", path).rstrip("/"))) for base in BASES)


def test_every_name_of_contributing_is_in_the_code() -> None:
    files = [
        path
        for top in ("plugins", "tests", "roles", "playbooks")
        for path in (ROOT / top).rglob("*.*")
        if path.is_file()
    ]
    others = [
        ROOT / "Makefile",
        ROOT / "pyproject.toml",
        ROOT / "meta" / "runtime.yml",
        *ROOT.glob("changelogs/*.yaml"),
    ]
    words = set()
    for path in [*files, *others]:
        if path.suffix in ("", ".py", ".yml", ".yaml", ".toml", ".txt", ".sh"):
            words.update(re.findall(r"\w+", path.read_text()))
            words.update(path.relative_to(ROOT).with_suffix("").parts)
    names = [name for name in NAMED if re.fullmatch(r"\w+", name)]
    assert len(names) > 50
    assert [name for name in names if name not in words] == []


def test_every_target_of_contributing_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for name in NAMED if name.startswith("make ") for target in name.split()[1:]}
    assert named
    assert named <= targets


def test_the_rooms_of_contributing_are_those_that_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "tests" / "ci"), *sys.path])
    allowed: dict[str, set[str]] = importlib.import_module("layers").ALLOWED
    rows = re.findall(r"^\| `(_\w+)` \|.*\| ([^|]*)\|$", CONTRIBUTING, re.MULTILINE)
    everything = set(allowed) - {"_modules"}
    said = {room: everything if "all" in below else set(re.findall(r"`(_\w+)`", below)) for room, below in rows}
    assert said == allowed
