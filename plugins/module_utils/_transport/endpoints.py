# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Which host is asked: the option ``endpoint``, else the service's map of regions."""

from __future__ import annotations

import re
import typing as t
from urllib.parse import urlsplit

from .._base.errors import ConfigurationError


class Service(t.NamedTuple):
    """A product's API, as far as the transport has to know it.

    ``hosts``      per network (``public``, ``vpc``) the hosts of regions that the rule does not fit
    ``host_rule``  per network the host of any other region, with ``{region}`` in it
    ``ram_prefix`` of the names of its RAM actions
    ``final_codes`` a pattern of error codes that no repetition cures, whatever their HTTP status
    ``hints``      what users can do about error codes of its own
    """

    name: str
    version: str
    ram_prefix: str
    hosts: t.Mapping[str, t.Mapping[str, str]]
    host_rule: t.Mapping[str, str]
    hints: t.Mapping[str, str]
    final_codes: str = "(?!)"


#: A name of labels, or an address in numbers.
_HOST = r"(?!.{254})[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*|[0-9a-f]*:[0-9a-f:.]+"

#: Regions of Alibaba Cloud, to tell a slip of the pen from a region before anything is asked.
REGIONS = (
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "cn-beijing",
    "cn-beijing-finance-1",
    "cn-chengdu",
    "cn-fuzhou",
    "cn-guangzhou",
    "cn-hangzhou",
    "cn-hangzhou-finance",
    "cn-heyuan",
    "cn-hongkong",
    "cn-huhehaote",
    "cn-nanjing",
    "cn-north-2-gov-1",
    "cn-qingdao",
    "cn-shanghai",
    "cn-shanghai-finance-1",
    "cn-shenzhen",
    "cn-shenzhen-finance-1",
    "cn-wuhan-lr",
    "cn-wulanchabu",
    "cn-zhangjiakou",
    "cn-zhengzhou-jva",
    "eu-central-1",
    "eu-west-1",
    "me-central-1",
    "me-east-1",
    "na-south-1",
    "us-east-1",
    "us-southeast-1",
    "us-west-1",
)


def base_url(
    service: Service,
    region: str,
    *,
    network: str = "public",
    endpoint: t.Optional[str] = None,
) -> str:
    """``scheme://host[:port]`` of the service in a region."""
    if endpoint:
        return address("endpoint", endpoint)
    known_region("region", region, "set endpoint")
    return "https://" + (
        service.hosts[network].get(region)
        or service.host_rule[network].format(region=region)
    )


def known_region(option: str, region: str, otherwise: str) -> None:
    """Raise ConfigurationError for a region that does not exist; ``otherwise``: what to do for one that is new."""
    if region in REGIONS:
        return
    import difflib  # needed here alone

    # OSS has names such as oss-cn-hangzhou-internal for regions.
    bare = region.removeprefix("oss-").removesuffix("-internal")
    alike = (
        [bare]
        if bare in REGIONS
        else difflib.get_close_matches(bare, REGIONS, n=3)
    )
    raise ConfigurationError(
        f"{option} {region!r} is not known"
        + (f" (did you mean {' or '.join(alike)}?)" if alike else "")
        + f": use one of {', '.join(REGIONS)}; for a region that this collection does not know yet, {otherwise}."
    )


def address(option: str, endpoint: str) -> str:
    """``scheme://host[:port]`` of what an option says. Raises ConfigurationError."""
    endpoint = endpoint.strip()
    url = endpoint if "://" in endpoint else f"https://{endpoint}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if (
        parts.path not in ("", "/")
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        # Not shown: it may hold a password.
        raise ConfigurationError(
            f"{option} contains more than https://host[:port]: leave out user, path and query."
        )
    if parts.scheme not in ("https", "http") or not re.fullmatch(_HOST, host):
        raise ConfigurationError(
            f"{option} {endpoint!r} is not an address: give a host such as dbs-api.cn-hangzhou.aliyuncs.com,"
            " or https://host[:port]."
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"{option} {endpoint!r} is not encrypted: plain http:// is accepted for loopback addresses only, use https://."
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port else "")


def is_loopback_url(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")


def is_loopback(host: str) -> bool:
    return host == "localhost" or bool(
        re.fullmatch(
            r"127(\.[0-9]{1,3}){3}|::1|::ffff:127(\.[0-9]{1,3}){3}", host
        )
    )
