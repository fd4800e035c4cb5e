# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The public interface speaks one language: in every module, the lookup and the role, and in what is documented of them."""

from __future__ import annotations

import ast
import copy
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.apsaradb.backup.plugins.doc_fragments import attributes, connection
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import BackupError, RefusedError
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.wait_state import WaitOutcome
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.checks import Choices, check_choice
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.options import CONNECTION_SPEC

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
PACKAGE = "ansible_collections.apsaradb.backup.plugins"
MODULES = sorted(path.stem for path in (PLUGINS / "modules").glob("dbs_*.py"))
#: What is raised has a kind of its own.
ABSTRACT = {BackupError, RefusedError}


def import_all() -> None:
    for path in sorted((PLUGINS / "module_utils").rglob("*.py")):
        parts = path.relative_to(PLUGINS).with_suffix("").parts
        importlib.import_module(".".join((PACKAGE, *parts)))


def error_classes(base: type[BackupError] = BackupError) -> Iterator[type[BackupError]]:
    yield base
    for derived in base.__subclasses__():
        yield from error_classes(derived)


def kinds() -> set[str]:
    import_all()
    return {error.kind for error in error_classes() if error not in ABSTRACT}


def dictionaries(path: Path) -> Iterator[tuple[Any, ast.expr]]:
    """Keys and values of all dictionaries that are written in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Dict):
            yield from (
                (key.value, value) for key, value in zip(node.keys, node.values) if isinstance(key, ast.Constant)
            )


def returned(module: str) -> dict[str, Any]:
    returns: dict[str, Any] = yaml.safe_load(importlib.import_module(f"{PACKAGE}.modules.{module}").RETURN)
    return returns


def documented_kinds() -> dict[str, str]:
    section = (ROOT / "README.md").read_text().partition("## Errors\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE))


# Errors


def test_every_kind_of_error_is_one_word_in_snake_case_and_is_documented() -> None:
    assert kinds() == set(documented_kinds())
    for name in kinds():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)


def test_no_error_is_raised_without_a_kind_of_its_own() -> None:
    abstract = {error.__name__ for error in ABSTRACT}
    for path in PLUGINS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            assert not (isinstance(called, ast.Name) and called.id in abstract), (path, called)


def test_what_says_its_kind_without_an_exception_has_a_documented_one() -> None:
    said = {
        (path.name, value.value)
        for path in PLUGINS.rglob("*.py")
        for key, value in dictionaries(path)
        if key == "kind" and isinstance(value, ast.Constant)
    }
    assert said, "it finds none any more"
    assert {kind for _path, kind in said} <= set(documented_kinds())


def test_every_reason_is_in_snake_case_and_those_that_users_see_are_documented() -> None:
    for reason in WaitOutcome:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", reason.value)
    shown = {WaitOutcome.FAILED, WaitOutcome.TIMED_OUT, WaitOutcome.NOTHING}
    assert set(re.findall(r"`(\w+)`", documented_kinds()["wait"])) == {"reason", *(reason.value for reason in shown)}


@pytest.mark.parametrize("module", MODULES)
def test_what_a_module_says_of_its_errors_is_in_the_list(module: str) -> None:
    error = returned(module)["error"]
    text = " ".join(error["description"]) if isinstance(error["description"], list) else error["description"]
    text += str(error.get("contains", {}).get("kind", {}).get("description", ""))
    reasons = {reason.value for reason in WaitOutcome}
    assert set(re.findall(r"V\((\w+)\)", text)) <= {*documented_kinds(), *reasons, "null"}
    assert error["sample"]["kind"] in documented_kinds()
    assert error["sample"].get("reason", "failed") in reasons


# Options


def spec_of(module: str) -> dict[str, dict[str, Any]]:
    spec: dict[str, dict[str, Any]] = importlib.import_module(f"{PACKAGE}.module_utils._modules.{module}").ARGUMENT_SPEC
    return spec


CHOICES = [
    (module, option, str(choice))
    for module in MODULES
    for option, spec in spec_of(module).items()
    if isinstance(spec.get("choices"), Choices)
    for choice in spec["choices"]
]


def test_status_format_and_target_have_choices_wherever_they_are_options() -> None:
    assert {(module, option) for module, option, _choice in CHOICES} >= {
        (module, option)
        for module in MODULES
        for option in ("status", "format", "target_type", "mode", "method")
        if option in spec_of(module) and module not in ("dbs_download_file", "dbs_download_extract")
    }
    assert {option for _module, option, _choice in CHOICES} == {
        *("status", "format", "target_type", "mode", "method"),
        *("on_existing", "defer_indexes", "csv_null", "csv_escape", "local_infile", "redo_log", "ssl_mode", "sql_mode"),
    }


@pytest.mark.parametrize(("module", "option", "choice"), CHOICES)
def test_a_choice_is_taken_in_any_case(module: str, option: str, choice: str) -> None:
    spec = copy.deepcopy({option: spec_of(module)[option]})
    for text in (choice, choice.upper(), choice.lower(), choice.swapcase(), f" {choice} "):
        result = ArgumentSpecValidator(spec).validate({option: text})
        assert not result.error_messages
        taken = result.validated_parameters[option]
        assert check_choice(option, taken[0] if isinstance(taken, list) else taken, spec[option]["choices"]) == choice


@pytest.mark.parametrize(("module", "option"), sorted({(module, option) for module, option, _choice in CHOICES}))
def test_what_is_no_choice_is_refused_with_the_choices(module: str, option: str) -> None:
    spec = {option: {**spec_of(module)[option], "default": None}}
    for text in ("nothing", "all", f"{spec[option]['choices'][0]}x"):
        (message,) = ArgumentSpecValidator(spec).validate({option: text}).error_messages
        assert f"value of {option} must be one" in message
        assert ", ".join(spec[option]["choices"]) in message
        assert text in message
    # Null is not set, as with options that have no choices.
    assert not ArgumentSpecValidator(spec).validate({option: None}).error_messages


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_on_what_it_runs(module: str) -> None:
    documented = yaml.safe_load(importlib.import_module(f"{PACKAGE}.modules.{module}").DOCUMENTATION)
    assert "apsaradb.backup.attributes" in documented["extends_documentation_fragment"]
    assert attributes.ModuleDocFragment.DOCUMENTATION.count("platforms: posix") == 1


# Names


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """All mappings within a value, at any depth."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from mappings(part)


@pytest.mark.parametrize("module", MODULES)
def test_a_backup_set_has_one_name_beside_those_of_the_services(module: str) -> None:
    names = {"bak_set_id", "backup_id"}
    for option, spec in spec_of(module).items():
        assert option not in names
        assert not names & set(spec.get("aliases", ())) or option in ("backup_set_id", "backup_set_ids")
    for shown in mappings(returned(module)):
        assert not names & set(shown) or "backup_set_id" in shown


def test_what_users_read_first_uses_that_name() -> None:
    texts = {path: path.read_text() for path in [ROOT / "README.md", *ROOT.glob("playbooks/**/*.yml")]}
    texts.update((Path(module), importlib.import_module(f"{PACKAGE}.modules.{module}").EXAMPLES) for module in MODULES)
    assert [path for path, text in texts.items() if re.search(r"\b(bak_set_id|backup_id)\b", text)] == []


# Policies

#: What to do where something is not as it should be: the first three in any plugin, the others where it acts so.
POLICIES = {"error", "warn", "skip", "retry", "create", "replace", "reuse", "auto"}


def test_policies_have_the_same_words_everywhere() -> None:
    role = yaml.safe_load((ROOT / "roles/wait_for_download_tasks/meta/argument_specs.yml").read_text())
    options = role["argument_specs"]["main"]["options"]
    given = {(name.removeprefix("wait_for_download_tasks_"), "role"): spec for name, spec in options.items()}
    given.update(((name, module), spec) for module in MODULES for name, spec in spec_of(module).items())
    lookup = importlib.import_module(f"{PACKAGE}.lookup.dbs_download_location").LOOKUP_SPEC
    given.update(((name, "lookup"), spec) for name, spec in lookup.items())
    policies = {key: spec for key, spec in given.items() if key[0].startswith("on_")}
    assert {place for _name, place in policies} >= {"role", "lookup", "dbs_download_task_wait"}
    for key, spec in policies.items():
        assert "error" in spec["choices"], key
        assert set(spec["choices"]) <= POLICIES, key
    # The role hands its variables on to the module.
    for (name, place), spec in policies.items():
        if place == "role":
            assert spec["choices"] == spec_of("dbs_download_task_wait")[name]["choices"]


# Documentation


def by_topic(*texts: str) -> set[str]:
    """The options that the paragraphs list that order them by topic."""
    paragraphs = [text for text in texts if re.match("Options (of the connection )?by topic", text)]
    assert paragraphs
    return set(re.findall(r"O\((\w+)\)", " ".join(paragraphs)))


@pytest.mark.parametrize("module", MODULES)
def test_every_option_has_a_topic(module: str) -> None:
    """ansible-doc sorts options by name, so the description says which belong together."""
    documented = yaml.safe_load(importlib.import_module(f"{PACKAGE}.modules.{module}").DOCUMENTATION)
    notes = yaml.safe_load(connection.ModuleDocFragment.DOCUMENTATION)["notes"]
    own = {name for name in spec_of(module) if name not in CONNECTION_SPEC and not name.startswith("_")}
    assert by_topic(*documented["description"]) >= own
    assert by_topic(*notes) == set(CONNECTION_SPEC)


def test_every_option_of_the_lookup_has_a_topic() -> None:
    lookup = importlib.import_module(f"{PACKAGE}.lookup.dbs_download_location")
    documented = yaml.safe_load(lookup.DOCUMENTATION)["description"]
    assert by_topic(*documented) == {"_terms", "want", *lookup.LOOKUP_SPEC} - set(CONNECTION_SPEC)


@pytest.mark.parametrize("module", MODULES)
def test_ansible_knows_no_hidden_option(module: str, module_of: Any) -> None:
    """It names all options that it knows where one is not supported."""
    required = {name: "x" for name, spec in spec_of(module).items() if spec.get("required") or name == "task_id"}
    said = module_of(module)({**required, "nonsense": 1})["msg"]
    assert "nonsense" in said
    assert "Supported parameters include: " in said
    assert not re.search(r"\b_\w+", said.partition("include: ")[2])
