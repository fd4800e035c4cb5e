# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Options that plugins share: their specification and their checks; ``client`` has what is made of them.

Works on a plain mapping of option values, so that a module, a lookup and an action plugin can all use it.
Documented in the doc fragments ``connection`` and ``location``.

Each option of ``SHARED`` is taken from the task, or else from the environment, or else has a default. That is done by
``completed`` and not by Ansible, whose own fallbacks take empty variables, name none in errors, and exist for modules only.
"""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.common.validation import (
    check_type_bool,
    check_type_float,
    check_type_int,
    check_type_path,
)

from .._base.errors import ConfigurationError, NotSetError
from .._base.http_options import HttpOptions
from .._base.retry import RetryPolicy
from .._dbs.values import DEFAULT_DURATION, MAX_DURATION, MIN_DURATION
from .._transport.endpoints import address, is_loopback_url
from .checks import (
    Choices,
    Options,
    check_choice,
    check_identifier,
    check_range,
)

#: Which service is asked, and as whom.
_SERVICE_SPEC: dict[str, dict[str, t.Any]] = {
    "region": {
        "type": "str",
        "aliases": ["region_id", "region_code", "alicloud_region"],
    },
    "access_key_id": {
        "type": "str",
        "no_log": True,
        "aliases": ["access_key", "alicloud_access_key"],
    },
    "access_key_secret": {
        "type": "str",
        "no_log": True,
        "aliases": ["secret_key", "alicloud_secret_key"],
    },
    "security_token": {
        "type": "str",
        "no_log": True,
        "aliases": ["alicloud_security_token"],
    },
    "profile": {"type": "str", "aliases": ["alicloud_profile"]},
    "endpoint": {"type": "str"},
    "rds_endpoint": {"type": "str"},
    "oss_endpoint": {"type": "str"},
    "oss_region": {"type": "str"},
    "network": {"type": "str", "choices": ["auto", "public", "vpc"]},
}

#: How any host is asked.
HTTP_SPEC: dict[str, dict[str, t.Any]] = {
    "validate_certs": {"type": "bool"},
    "ca_path": {"type": "path"},
    "connect_timeout": {"type": "float"},
    "read_timeout": {"type": "float"},
    "max_retries": {"type": "int"},
    "request_timeout": {"type": "float"},
    "max_connections": {"type": "int"},
}

#: Options of each module; documented in the doc fragment ``connection``.
CONNECTION_SPEC = {**_SERVICE_SPEC, **HTTP_SPEC}

#: Of what tells where files are; documented in the doc fragment ``location``.
FILES_SPEC: dict[str, dict[str, t.Any]] = {
    "cluster_name": {"type": "str"},
    "duration": {"type": "int"},
    "force_https": {"type": "bool", "aliases": ["https"]},
    "bucket": {"type": "str"},
}

#: What is taken from the environment where a task does not say it: all of the above but keys, and what a task is about.
SHARED: dict[str, dict[str, t.Any]] = {
    name: option
    for name, option in {**CONNECTION_SPEC, **FILES_SPEC}.items()
    if not option.get("no_log") and name != "cluster_name"
}

#: Not in the specification: Ansible would take a default for a value that the task sets.
_DEFAULTS: dict[str, t.Any] = {
    "network": "auto",
    "validate_certs": True,
    "connect_timeout": 5.0,
    "read_timeout": 30.0,
    "max_retries": 5,
    "request_timeout": 120.0,
    "max_connections": 8,
    "duration": DEFAULT_DURATION,
    "force_https": True,
}

#: A loopback address in one of them stands for the others, too.
_ENDPOINTS = ("endpoint", "rds_endpoint", "oss_endpoint")

#: The least and the largest value, and their unit. The largest ones keep a slip of the keyboard from waiting for years.
_BOUNDS: dict[str, tuple[float, float, str]] = {
    "connect_timeout": (0.1, 300, " seconds"),
    "read_timeout": (0.1, 3600, " seconds"),
    "max_retries": (0, 100, ""),
    "request_timeout": (1, 86400, " seconds"),
    "max_connections": (1, 64, ""),
    "duration": (MIN_DURATION, MAX_DURATION, " seconds"),
}

#: Variables of other tools that are understood as well, after our own.
_OTHER_VARIABLES = {
    "region": (
        "ALIBABA_CLOUD_REGION_ID",
        "ALICLOUD_REGION",
        "ALICLOUD_REGION_ID",
    ),
    "ca_path": ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
}

#: By type: how the text of a variable becomes a value, and what is allowed, for errors.
_FROM_TEXT: dict[str, tuple[t.Callable[[str], t.Any], str]] = {
    "bool": (check_type_bool, "true or false"),
    "float": (check_type_float, "a number"),
    "int": (check_type_int, "a whole number"),
    "path": (check_type_path, "a path"),
    "str": (str, "text"),
}

INSTANCE_NAME_SPEC: dict[str, t.Any] = {
    "type": "list",
    "elements": "str",
    "required": True,
    "aliases": [
        "instance_names",
        "instance_id",
        "instance_ids",
        "db_instance_id",
        "db_instance_ids",
    ],
}


def completed(options: Options) -> dict[str, t.Any]:
    """The options, with what the environment or else a default says of those that are not set. All that plugins share is checked.

    Raises ConfigurationError, which names what is wrong by the option, or by the variable that it was taken from.
    """
    complete = dict(options)
    for option, spec in SHARED.items():
        if option in options:
            name, value = _given(option, spec, options)
            if (
                option == "ca_path" == name
                and value is not None
                and complete["validate_certs"] is False
            ):
                raise ConfigurationError(
                    "ca_path is set, but validate_certs is false: ca_path would have no effect."
                )
            complete[option] = (
                _DEFAULTS.get(option)
                if value is None
                else _checked(option, name, value)
            )
    if (
        "region" in options
        and complete["region"] is None
        and not options.get("access_key_id")
    ):
        complete["region"] = _region_of_profile(complete.get("profile"))
    loopback = [
        complete[name]
        for name in _ENDPOINTS
        if complete.get(name) and is_loopback_url(complete[name])
    ]
    if loopback:
        # Whatever listens there, a stand-in or a gateway, serves the other services as well.
        for option in _ENDPOINTS:
            if option in options and complete[option] is None:
                complete[option] = loopback[0]
    return complete


def http_options_of(options: Options) -> HttpOptions:
    """Return the HTTP options of completed options. No time-out is longer than that of a request."""
    request_timeout = options["request_timeout"]
    return HttpOptions(
        connect_timeout=min(options["connect_timeout"], request_timeout),
        read_timeout=min(options["read_timeout"], request_timeout),
        validate_certs=options["validate_certs"],
        ca_path=options["ca_path"],
        max_connections=options["max_connections"],
        retry=RetryPolicy(
            retries=options["max_retries"], timeout=request_timeout
        ),
    )


def variables_of(option: str) -> tuple[str, ...]:
    """The environment variables that an option is taken from, in their order."""
    return (
        f"APSARADB_BACKUP_{option.upper()}",
        *_OTHER_VARIABLES.get(option, ()),
    )


def is_in_environment(option: str) -> bool:
    return _variable_set(option) is not None


def _variable_set(option: str) -> t.Optional[str]:
    return next(
        (
            name
            for name in variables_of(option)
            if os.environ.get(name, "").strip()
        ),
        None,
    )


def _given(
    option: str, spec: t.Mapping[str, t.Any], options: Options
) -> tuple[str, t.Any]:
    """Where the value is from, and the value; none if it is set nowhere. Empty is not set."""
    value = options[option]
    if value is not None and value != "":
        return option, value
    if option == "profile" and options.get("access_key_id"):
        return option, None
    variable = _variable_set(option)
    if variable is None:
        return option, None
    text = os.environ[variable].strip()
    convert, allowed = _FROM_TEXT[spec["type"]]
    try:
        value = convert(text)
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"{variable} {text!r} is not allowed: give {allowed}."
        ) from None
    return variable, check_choice(
        variable, value, Choices(spec["choices"])
    ) if "choices" in spec else value


def _checked(option: str, name: str, value: t.Any) -> t.Any:
    """The value of an option; ``name`` is that of the option or of the variable."""
    if option in _BOUNDS:
        return check_range({name: value}, name, *_BOUNDS[option])
    if option in ("region", "oss_region", "bucket"):
        return check_identifier(option, value, name)
    if option.endswith("endpoint"):
        return address(name, value)
    if option == "ca_path" and not os.path.exists(value):
        raise ConfigurationError(
            f"{name} {value!r} does not exist: give a file or directory of CA certificates."
        )
    return value


def _region_of_profile(profile: t.Optional[str]) -> t.Optional[str]:
    # Most have a region already.
    from .._transport.credentials import region_of_profile

    found = region_of_profile(os.environ, profile)
    return (
        check_identifier(
            "region", found[1], f"region_id of profile {found[0]!r}"
        )
        if found
        else None
    )


def region_of(options: Options) -> str:
    if not options["region"]:
        raise NotSetError(
            "region is not set: give a region ID such as cn-hangzhou, or set one of the "
            f"environment variables {', '.join(variables_of('region'))}, or region_id in "
            "the profile of the Alibaba Cloud CLI."
        )
    return str(options["region"])


def instance_names(options: Options) -> list[str]:
    """The instances, each once."""
    names = dict.fromkeys(
        check_identifier("instance_name", name)
        for name in options["instance_name"]
    )
    if not names:
        raise ConfigurationError(
            "instance_name is empty: give the ID of at least one instance."
        )
    return list(names)
