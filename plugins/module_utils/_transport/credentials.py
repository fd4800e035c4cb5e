# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Who signs, and in which region: from options, from the environment, or from the rest of the official default chain.

Sources are tried whole, one after the other; parts of two are never mixed:

1. the options ``access_key_id``, ``access_key_secret`` and ``security_token``, or the option ``profile``;
2. the variables ``ALIBABA_CLOUD_ACCESS_KEY_ID`` and so on;
3. the variables of the older tools, ``ALICLOUD_ACCESS_KEY`` and so on;
4. the package ``alibabacloud-credentials``, if installed: profiles, OIDC, the role of the ECS instance, an URI.

A role that older tools would assume with these is not assumed, so where one is set and nothing else is said, nobody signs.
"""

from __future__ import annotations

import json
import os
import typing as t

from .._base.errors import ConfigurationError
from .._base.http_options import HttpOptions
from .credential import Credential, CredentialSource, checked

#: The variables of a key's ID, secret and token, of our names and of those of the older tools.
_KEY_VARIABLES = (
    (
        ("ALIBABA_CLOUD_ACCESS_KEY_ID",),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET",),
        ("ALIBABA_CLOUD_SECURITY_TOKEN",),
    ),
    (
        ("ALICLOUD_ACCESS_KEY", "ALICLOUD_ACCESS_KEY_ID"),
        (
            "ALICLOUD_SECRET_KEY",
            "ALICLOUD_SECRET_ACCESS_KEY",
            "ALICLOUD_ACCESS_KEY_SECRET",
        ),
        ("ALICLOUD_SECURITY_TOKEN",),
    ),
)
#: What the package needs, all of it, to assume a role by OIDC, which is the one way in which it reads ALIBABA_CLOUD_ROLE_ARN.
_OIDC_VARIABLES = (
    "ALIBABA_CLOUD_ROLE_ARN",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
)


class FixedSource:
    """Options and environment: the same for as long as the process lives."""

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    def get(self) -> Credential:
        return self._credential

    def refresh(self) -> bool:
        return False


def _pair(
    key_id: str, key_secret: str, token: str, names: tuple[str, str, str]
) -> t.Optional[Credential]:
    """A credential of one source; none where nothing of it is set."""
    key_id, key_secret, token = (
        checked(value, name)
        for value, name in zip((key_id, key_secret, token), names)
    )
    if key_id and key_secret:
        return Credential(key_id, key_secret, token)
    if not (key_id or key_secret or token):
        return None
    given = [
        name for name, value in zip(names, (key_id, key_secret, token)) if value
    ]
    lacking = [
        name
        for name, value in zip(names[:2], (key_id, key_secret))
        if not value
    ]
    raise ConfigurationError(
        f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} set, but {' and '.join(lacking)}"
        f" {'is' if len(lacking) == 1 else 'are'} not: a credential needs both access_key_id and access_key_secret."
    )


def _first(environ: t.Mapping[str, str], *names: str) -> tuple[str, str]:
    """The first variable of these that is set, as its name and value; the first name where none is."""
    for name in names:
        if environ.get(name, "").strip():
            return name, environ[name]
    return names[0], ""


def resolve(
    *,
    environ: t.Mapping[str, str],
    access_key_id: t.Optional[str] = None,
    access_key_secret: t.Optional[str] = None,
    security_token: t.Optional[str] = None,
    profile: t.Optional[str] = None,
    connection: HttpOptions = HttpOptions(),  # noqa: B008  it cannot be changed
) -> CredentialSource:
    """The first source that is configured. ``connection``: how it asks, if it asks anybody.

    Raises ConfigurationError where none is, or where one is only half there.
    """
    given = _pair(
        access_key_id or "",
        access_key_secret or "",
        security_token or "",
        ("access_key_id", "access_key_secret", "security_token"),
    )
    if given and profile:
        raise ConfigurationError(
            "profile and access_key_id are both set: give one of the two."
        )
    if given:
        return FixedSource(given)
    if profile:
        return _chain_source(environ, profile, connection)
    _refuse_roles(environ)
    for variables in _KEY_VARIABLES:
        (id_name, key_id), (secret_name, key_secret), (token_name, token) = (
            _first(environ, *names) for names in variables
        )
        found = _pair(
            key_id, key_secret, token, (id_name, secret_name, token_name)
        )
        if found:
            return FixedSource(found)
    return _chain_source(
        environ, environ.get("ALICLOUD_PROFILE") or None, connection
    )


def _refuse_roles(environ: t.Mapping[str, str]) -> None:
    """Raise ConfigurationError for a role in the environment that others would assume with the keys, and nobody does here."""
    has_oidc = all(environ.get(name, "").strip() for name in _OIDC_VARIABLES)
    for name in (
        "ALICLOUD_ASSUME_ROLE_ARN",
        *(() if has_oidc else _OIDC_VARIABLES[:1]),
    ):
        if environ.get(name, "").strip():
            raise ConfigurationError(
                f"{name} is set, but this collection does not assume that role: requests would be signed as another user."
                f" Set the option profile to a profile of the command line tool with the mode RamRoleArn, or the keys of the"
                f" role, which end with a security_token; or unset {name}."
            )


def region_of_profile(
    environ: t.Mapping[str, str], profile: t.Optional[str]
) -> t.Optional[tuple[str, str]]:
    """The profile of the command line tool that the credential comes from, and the region in it; none where there is no such.

    ``profile``: by option. Otherwise it is that which ``resolve`` uses if there are no keys in the environment.
    """
    name = profile or ""
    file = os.path.join(
        environ.get("HOME") or os.path.expanduser("~"), ".aliyun", "config.json"
    )
    if not name:
        if any(
            _first(environ, *names)[1]
            for variables in _KEY_VARIABLES
            for names in variables
        ):
            return None
        name = environ.get("ALICLOUD_PROFILE", "")
    if name:
        file = environ.get("ALICLOUD_SHARED_CREDENTIALS_FILE") or file
    elif environ.get(
        "ALIBABA_CLOUD_CLI_PROFILE_DISABLED", ""
    ).lower() == "true" or all(
        environ.get(variable) for variable in _OIDC_VARIABLES
    ):
        return None
    try:
        with open(file, encoding="utf-8") as opened:
            content = json.load(opened)
        # As the tool does: the name that is given, then that of the variable, then the current one.
        name = (
            name
            or environ.get("ALIBABA_CLOUD_PROFILE", "")
            or str(content["current"])
        )
        regions = [
            one.get("region_id")
            for one in content["profiles"]
            if one.get("name") == name
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # The package says what is wrong with it, if it is asked.
        return None
    return (name, str(regions[0])) if regions and regions[0] else None


def _chain_source(
    environ: t.Mapping[str, str],
    profile: t.Optional[str],
    connection: HttpOptions,
) -> CredentialSource:
    # Long, and not needed where there are keys.
    from .credential_chain import chain_source

    return chain_source(environ, profile, connection)
