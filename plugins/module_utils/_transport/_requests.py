# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The one place that imports requests, so that its absence is reported and not raised."""

from __future__ import annotations

import traceback
import typing as t

REQUESTS_IMPORT_ERROR: t.Optional[str] = None

try:
    import requests
    from requests.adapters import HTTPAdapter
    from requests.auth import AuthBase
    from urllib3.exceptions import HTTPError
except ImportError:
    REQUESTS_IMPORT_ERROR = traceback.format_exc()
    requests = None  # type: ignore[assignment]
    HTTPError = OSError  # type: ignore[assignment,misc]
    HTTPAdapter = AuthBase = object  # type: ignore[assignment,misc]

__all__ = ["REQUESTS_IMPORT_ERROR", "AuthBase", "HTTPAdapter", "HTTPError", "requests"]
