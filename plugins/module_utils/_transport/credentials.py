# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Who signs: from options, from the environment, or from the rest of the official default chain.

Sources are tried whole, one after the other; parts of two are never mixed:

1. the options ``access_key_id``, ``access_key_secret`` and ``security_token``, or the option ``profile``;
2. the variables ``ALIBABA_CLOUD_ACCESS_KEY_ID`` and so on;
3. the variables of the older tools, ``ALICLOUD_ACCESS_KEY`` and so on;
4. the package ``alibabacloud-credentials``, if installed: profiles, OIDC, the role of the ECS instance, an URI.
"""

from __future__ import annotations

import logging
import re
import threading
import traceback
import typing as t

from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import (
    ConfigurationError,
    MissingLibrary,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.text import quoted

_PACKAGE = "alibabacloud-credentials"
_WAYS = (
    "Set the options access_key_id and access_key_secret (with security_token for a temporary key), or the environment"
    " variables ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET (with ALIBABA_CLOUD_SECURITY_TOKEN), or"
    " the older ALICLOUD_ACCESS_KEY and ALICLOUD_SECRET_KEY, of the host that runs the module"
)
_INSTALL = (
    f"{_WAYS}, or install the Python package {_PACKAGE} there to use profiles, OIDC, the role of an ECS instance or a"
    " credentials URI."
)


class Credential(t.NamedTuple):
    access_key_id: str
    access_key_secret: str
    security_token: str = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.access_key_id!r}, …)"


class CredentialSource(t.Protocol):
    def get(self) -> Credential:
        """The credential to sign with now."""

    def refresh(self) -> bool:
        """Try to renew an expired credential; false where the source cannot."""


class FixedSource:
    """Options and environment: the same for as long as the process lives."""

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    def get(self) -> Credential:
        return self._credential

    def refresh(self) -> bool:
        return False


class ChainSource:
    """The official package; it renews temporary credentials by itself, and from scratch on ``refresh``."""

    def __init__(self, make_provider: t.Callable[[], t.Any], described: str) -> None:
        self._make_provider = make_provider
        self._described = described
        self._lock = threading.Lock()
        self._provider: t.Any = None

    def get(self) -> Credential:
        with self._lock:
            try:
                if self._provider is None:
                    self._provider = self._make_provider()
                found = self._provider.get_credentials()
            except Exception as error:  # pylint: disable=broad-except  # its own, and those of all it stands on
                raise ConfigurationError(
                    f"No credentials from {self._described}: {_shortened(error)}. {_WAYS}"
                ) from None
        if not (found.get_access_key_id() and found.get_access_key_secret()):
            raise ConfigurationError(f"The credentials from {self._described} are incomplete. {_WAYS}.")
        parts = (found.get_access_key_id(), found.get_access_key_secret(), found.get_security_token() or "")
        return Credential(*(_checked(part, f"a part of the credential from {self._described}") for part in parts))

    def refresh(self) -> bool:
        with self._lock:
            self._provider = None
        return True


def _shortened(error: Exception) -> str:
    """What the package says, without the answers and addresses that it quotes: they may hold secrets."""
    return quoted(re.sub(r"\{.*\}", "{…}", str(error), flags=re.DOTALL), 800).rstrip(". ")


def _pair(key_id: str, key_secret: str, token: str, names: tuple[str, str, str]) -> t.Optional[Credential]:
    """A credential of one source; none where nothing of it is set."""
    key_id, key_secret, token = (_checked(value, name) for value, name in zip((key_id, key_secret, token), names))
    if key_id and key_secret:
        return Credential(key_id, key_secret, token)
    if not (key_id or key_secret or token):
        return None
    given = [name for name, value in zip(names, (key_id, key_secret, token)) if value]
    lacking = [name for name, value in zip(names[:2], (key_id, key_secret)) if not value]
    raise ConfigurationError(
        f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} set, but {' and '.join(lacking)}"
        f" {'is' if len(lacking) == 1 else 'are'} not: a credential needs both access_key_id and access_key_secret."
    )


def _checked(value: str, name: str) -> str:
    """Without white space around it, as a file's line has at its end. The value is not shown."""
    value = value.strip()
    if not re.fullmatch(r"[\x21-\x7e]*", value):
        raise ConfigurationError(f"{name} holds white space or other characters that no key has: copy it once more.")
    return value


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
) -> CredentialSource:
    """The first source that is configured.

    Raises ConfigurationError where none is, or where one is only half there.
    """
    given = _pair(
        access_key_id or "",
        access_key_secret or "",
        security_token or "",
        ("access_key_id", "access_key_secret", "security_token"),
    )
    if given and profile:
        raise ConfigurationError("profile and access_key_id are both set: give one of the two.")
    if given:
        return FixedSource(given)
    if profile:
        return _chain(environ, profile)
    for variables in (
        (
            ("ALIBABA_CLOUD_ACCESS_KEY_ID",),
            ("ALIBABA_CLOUD_ACCESS_KEY_SECRET",),
            ("ALIBABA_CLOUD_SECURITY_TOKEN",),
        ),
        (
            ("ALICLOUD_ACCESS_KEY", "ALICLOUD_ACCESS_KEY_ID"),
            ("ALICLOUD_SECRET_KEY", "ALICLOUD_SECRET_ACCESS_KEY", "ALICLOUD_ACCESS_KEY_SECRET"),
            ("ALICLOUD_SECURITY_TOKEN",),
        ),
    ):
        (id_name, key_id), (secret_name, key_secret), (token_name, token) = (
            _first(environ, *names) for names in variables
        )
        found = _pair(key_id, key_secret, token, (id_name, secret_name, token_name))
        if found:
            return FixedSource(found)
    return _chain(environ, environ.get("ALICLOUD_PROFILE") or None)


def _chain(environ: t.Mapping[str, str], profile: t.Optional[str]) -> CredentialSource:
    try:
        from alibabacloud_credentials import provider
    except ImportError:
        if profile:
            raise MissingLibrary(_PACKAGE, f"for the profile {profile!r}", traceback.format_exc()) from None
        raise ConfigurationError(f"No credentials were found. {_INSTALL}") from None
    logging.getLogger("credentials").setLevel(logging.CRITICAL)
    if not profile:
        return ChainSource(provider.DefaultCredentialsProvider, f"the default chain of {_PACKAGE}")
    return ChainSource(lambda: _Profile(provider, profile, environ), f"profile {profile!r}")


class _Profile:
    """A profile by name: of the command line tool's configuration, or else of the credentials file."""

    def __init__(self, provider: t.Any, name: str, environ: t.Mapping[str, str]) -> None:
        self._providers = [
            provider.CLIProfileCredentialsProvider(
                profile_name=name, profile_file=environ.get("ALICLOUD_SHARED_CREDENTIALS_FILE") or None
            ),
            provider.ProfileCredentialsProvider(profile_name=name),
        ]

    def get_credentials(self) -> t.Any:
        problems = []
        for provider in self._providers:
            try:
                return provider.get_credentials()
            except Exception as error:  # pylint: disable=broad-except  # each provider raises what it likes
                problems.append(f"{type(provider).__name__}: {error}")
        raise LookupError("; ".join(problems))
