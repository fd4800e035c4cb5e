# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Who asks the services, as the options that plugins share say."""

from __future__ import annotations

import os
import time

from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.options import Options, region_of, within
from ansible_collections.apsaradb.backup.plugins.module_utils._transport import credentials
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.client import Client, ConnectionOptions
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.endpoint import Service, base_url
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import ConfigurationError
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.retry import RetryPolicy


def client_of(options: Options, service: Service) -> Client:
    """A client of the service in the region of the options. Checks them all first."""
    region = region_of(options)
    url = base_url(service, region, network=options["network"], endpoint=options["endpoint"])
    ca_path = options["ca_path"]
    if ca_path and not os.path.exists(ca_path):
        raise ConfigurationError(f"ca_path {ca_path!r} does not exist: give a file or directory of CA certificates.")
    if ca_path and not options["validate_certs"]:
        raise ConfigurationError("ca_path is set, but validate_certs is false: nothing would be checked against it.")
    settings = ConnectionOptions(
        connect_timeout=within(options, "connect_timeout", 0.1, 300, " seconds"),
        read_timeout=within(options, "read_timeout", 0.1, 3600, " seconds"),
        validate_certs=options["validate_certs"],
        ca_path=ca_path,
        max_connections=within(options, "max_connections", 1, 64),
        retry=RetryPolicy(
            retries=within(options, "max_retries", 0, 100),
            total_timeout=within(options, "total_timeout", 1, 86400, " seconds"),
        ),
    )
    client = Client(service, url, credentials_of(options), settings)
    client.deadline = time.monotonic() + settings.retry.total_timeout
    return client


def credentials_of(options: Options) -> credentials.CredentialSource:
    names = ("access_key_id", "access_key_secret", "security_token", "profile")
    return credentials.resolve(environ=os.environ, **{name: options[name] for name in names})
