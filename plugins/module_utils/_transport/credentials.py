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

import contextlib
import json
import logging
import os
import re
import threading
import time
import traceback
import typing as t

from .._base.errors import ConfigurationError, MissingLibraryError, NotSetError
from .._base.http_options import HttpOptions
from .._base.text import quoted

_PACKAGE = "alibabacloud-credentials"
_WAYS = (
    "Set the options access_key_id and access_key_secret (with security_token for a temporary key), or the environment"
    " variables ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET (with ALIBABA_CLOUD_SECURITY_TOKEN), or"
    " the older ALICLOUD_ACCESS_KEY and ALICLOUD_SECRET_KEY, of the host that asks the service (for dbs_download_file, the"
    " controller)"
)
_INSTALL = (
    f"{_WAYS}, or install the Python package {_PACKAGE} there to use profiles, OIDC, the role of an ECS instance or a"
    " credentials URI."
)

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

    def __init__(
        self,
        make_provider: t.Callable[[], t.Any],
        described: str,
        connection: HttpOptions = HttpOptions(),  # noqa: B008  it cannot be changed
    ) -> None:
        self._make_provider = make_provider
        self._connection = connection
        self._described = described
        self._lock = threading.Lock()
        self._provider: t.Any = None

    def get(self) -> Credential:
        with self._lock:
            try:
                with _package_asks_by(self._connection):
                    if self._provider is None:
                        self._provider = self._make_provider()
                    found = self._provider.get_credentials()
            except Exception as error:  # pylint: disable=broad-except  # its own, and those of all it stands on
                raise NotSetError(
                    f"No credentials from {self._described}: {_shortened(error)}. {_WAYS}"
                ) from None
        if not (found.get_access_key_id() and found.get_access_key_secret()):
            raise ConfigurationError(
                f"The credentials from {self._described} are incomplete. {_WAYS}."
            )
        parts = (
            found.get_access_key_id(),
            found.get_access_key_secret(),
            found.get_security_token() or "",
        )
        return Credential(
            *(
                _checked(part, f"a part of the credential from {self._described}")
                for part in parts
            )
        )

    def refresh(self) -> bool:
        with self._lock:
            self._provider = None
        return True


#: Held while the package's function for requests is replaced: there is one for all.
_package = threading.Lock()


@contextlib.contextmanager
def _package_asks_by(connection: HttpOptions) -> t.Iterator[None]:
    """Have the package ask STS and the like, over https, with our authorities, time-outs and repetitions.

    It takes none of these itself. The metadata of an instance are asked for by plain http, in the package's own way.
    """
    from Tea.core import TeaCore

    with _package:
        do_action = TeaCore.do_action
        TeaCore.do_action = staticmethod(
            lambda request, runtime_option=None: _operation(
                do_action, request, runtime_option or {}, connection
            )
        )
        try:
            yield
        finally:
            TeaCore.do_action = staticmethod(do_action)


def _operation(
    do_action: t.Any,
    request: t.Any,
    runtime_option: dict[str, t.Any],
    connection: HttpOptions,
) -> t.Any:
    if request.protocol.lower() != "https":
        return do_action(request, runtime_option)

    from .._base.diagnosis import connection_failed

    host = str(request.headers.get("host") or "")
    connect_timeout, read_timeout, policy = (
        connection.connect_timeout,
        connection.read_timeout,
        connection.retry,
    )
    ours = {
        "ignoreSSL": not connection.validate_certs,
        "ca": connection.ca_path,
        "connectTimeout": connect_timeout * 1000,
        "readTimeout": read_timeout * 1000,
    }
    deadline = time.monotonic() + policy.timeout
    for repetition in range(policy.retries + 1):
        try:
            return do_action(request, {**runtime_option, **ours})
        except OSError as error:
            failed = connection_failed(
                error, host, connect_timeout, read_timeout, "network"
            )
        except Exception as error:  # pylint: disable=broad-except  # the package wraps what requests raises
            cause = error.__context__
            if not isinstance(cause, OSError):
                raise
            failed = connection_failed(
                cause, host, connect_timeout, read_timeout, "network"
            )
        pause = policy.pause(repetition)
        if (
            failed.permanent
            or repetition == policy.retries
            or time.monotonic() + pause > deadline
        ):
            break
        time.sleep(pause)
    raise failed


def _shortened(error: Exception) -> str:
    """What the package says, without the answers and addresses that it quotes: they may hold secrets."""
    return quoted(re.sub(r"\{.*\}", "{…}", str(error), flags=re.DOTALL), 800).rstrip(". ")


def _pair(
    key_id: str, key_secret: str, token: str, names: tuple[str, str, str]
) -> t.Optional[Credential]:
    """A credential of one source; none where nothing of it is set."""
    key_id, key_secret, token = (
        _checked(value, name) for value, name in zip((key_id, key_secret, token), names)
    )
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
        raise ConfigurationError(
            f"{name} holds white space or other characters that no key has: copy it once more."
        )
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
        return _chain(environ, profile, connection)
    _refuse_roles(environ)
    for variables in _KEY_VARIABLES:
        (id_name, key_id), (secret_name, key_secret), (token_name, token) = (
            _first(environ, *names) for names in variables
        )
        found = _pair(key_id, key_secret, token, (id_name, secret_name, token_name))
        if found:
            return FixedSource(found)
    return _chain(environ, environ.get("ALICLOUD_PROFILE") or None, connection)


def _refuse_roles(environ: t.Mapping[str, str]) -> None:
    """Raise ConfigurationError for a role in the environment that others would assume with the keys, and nobody does here."""
    has_oidc = all(environ.get(name, "").strip() for name in _OIDC_VARIABLES)
    for name in ("ALICLOUD_ASSUME_ROLE_ARN", *(() if has_oidc else _OIDC_VARIABLES[:1])):
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
    elif environ.get("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "").lower() == "true" or all(
        environ.get(variable) for variable in _OIDC_VARIABLES
    ):
        return None
    try:
        with open(file, encoding="utf-8") as opened:
            content = json.load(opened)
        name = name or environ.get("ALIBABA_CLOUD_PROFILE", "") or str(content["current"])
        regions = [
            one.get("region_id") for one in content["profiles"] if one.get("name") == name
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # The package says what is wrong with it, if it is asked.
        return None
    return (name, str(regions[0])) if regions and regions[0] else None


def _chain(
    environ: t.Mapping[str, str], profile: t.Optional[str], connection: HttpOptions
) -> CredentialSource:
    try:
        from alibabacloud_credentials import provider
    except ImportError:
        if profile:
            raise MissingLibraryError(
                _PACKAGE, f"for the profile {profile!r}", traceback.format_exc()
            ) from None
        raise NotSetError(f"No credentials were found. {_INSTALL}") from None
    logging.getLogger("credentials").setLevel(logging.CRITICAL)
    if not profile:
        described = f"the default chain of {_PACKAGE}"
        return ChainSource(provider.DefaultCredentialsProvider, described, connection)
    return ChainSource(
        lambda: _Profile(provider, profile, environ), f"profile {profile!r}", connection
    )


class _Profile:
    """A profile by name: of the command line tool's configuration, or else of the credentials file."""

    def __init__(self, provider: t.Any, name: str, environ: t.Mapping[str, str]) -> None:
        self._providers = [
            provider.CLIProfileCredentialsProvider(
                profile_name=name,
                profile_file=environ.get("ALICLOUD_SHARED_CREDENTIALS_FILE") or None,
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
