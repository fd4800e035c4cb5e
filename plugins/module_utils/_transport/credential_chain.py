# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Credentials by the package ``alibabacloud-credentials``: profiles, OIDC, the role of an ECS instance, an URI.

Keys in options or in the environment need none of this.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
import traceback
import typing as t

from .._base.errors import ConfigurationError, MissingLibraryError, NotSetError
from .._base.http_options import HttpOptions
from .._base.text import quoted
from .credential import (
    INSTALL,
    PACKAGE,
    WAYS,
    Credential,
    CredentialSource,
    checked,
)


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
        #: Guards the provider, which is made once, and may ask a service for long.
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
                    f"No credentials could be read from {self._described}: {_shortened(error)}. {WAYS}"
                ) from None
        if not (found.get_access_key_id() and found.get_access_key_secret()):
            raise ConfigurationError(
                f"The credentials from {self._described} are incomplete. {WAYS}."
            )
        parts = (
            found.get_access_key_id(),
            found.get_access_key_secret(),
            found.get_security_token() or "",
        )
        return Credential(
            *(
                checked(
                    part, f"a part of the credential from {self._described}"
                )
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
        # In milliseconds.
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
    return quoted(
        re.sub(r"\{.*\}", "{…}", str(error), flags=re.DOTALL), 800
    ).rstrip(". ")


def chain_source(
    environ: t.Mapping[str, str],
    profile: t.Optional[str],
    connection: HttpOptions,
) -> CredentialSource:
    try:
        from alibabacloud_credentials import provider
    except ImportError:
        if profile:
            raise MissingLibraryError(
                PACKAGE, f"for the profile {profile!r}", traceback.format_exc()
            ) from None
        raise NotSetError(f"No credentials were found. {INSTALL}") from None
    # Its warnings would go to the standard error, with stacks. What is wrong is said by the errors.
    logging.getLogger("credentials").setLevel(logging.CRITICAL)
    if not profile:
        described = f"the default chain of {PACKAGE}"
        return ChainSource(
            provider.DefaultCredentialsProvider, described, connection
        )
    return ChainSource(
        lambda: _Profile(provider, profile, environ),
        f"profile {profile!r}",
        connection,
    )


class _Profile:
    """A profile by name: of the command line tool's configuration, or else of the credentials file."""

    def __init__(
        self, provider: t.Any, name: str, environ: t.Mapping[str, str]
    ) -> None:
        self._providers = [
            provider.CLIProfileCredentialsProvider(
                profile_name=name,
                profile_file=environ.get("ALICLOUD_SHARED_CREDENTIALS_FILE")
                or None,
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
