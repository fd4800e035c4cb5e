# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Who asks the services, as the options that plugins share say."""

from __future__ import annotations

import os

from .._transport.client import Client
from .._transport.credential import CredentialSource
from .._transport.credentials import resolve
from .._transport.endpoints import Service, base_url
from .checks import Options
from .options import http_options_of, region_of


def client_of(options: Options, service: Service) -> Client:
    """A client of the service in the region of the options, which are completed ones."""
    network = "vpc" if options["network"] == "vpc" else "public"
    url = base_url(
        service,
        region_of(options),
        network=network,
        endpoint=options["endpoint"],
    )
    settings = http_options_of(options)
    return Client(service, url, credentials_of(options), settings)


def credentials_of(options: Options) -> CredentialSource:
    names = ("access_key_id", "access_key_secret", "security_token", "profile")
    return resolve(
        environ=os.environ,
        connection=http_options_of(options),
        **{name: options[name] for name in names},
    )
