# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

#: Options whose values have no place in a configuration file.
SECRETS = {"access_key_id", "access_key_secret", "security_token"}
#: Options that belong to one task: no variable sets them for all.
SUBJECTS = {"cluster_name"}
_OPTION = re.compile(
    r"^  (?P<name>\w+):\n    description:\n(?P<description>(?:      .*\n)+)(?P<rest>(?:    .*\n)+)",
    re.MULTILINE,
)


def with_variables(documentation: str) -> str:
    """The documentation of options, with the environment variable of each."""

    def with_variable(option: re.Match[str]) -> str:
        name, description = option["name"], option["description"]
        variable = f"E(APSARADB_BACKUP_{name.upper()})"
        if name not in SECRETS | SUBJECTS and variable not in description:
            description += f"      - If not set, the environment variable {variable} is used.\n"
        return f"  {name}:\n    description:\n{description}{option['rest']}"

    return _OPTION.sub(with_variable, documentation)


def with_sources(documentation: str) -> str:
    """The documentation of options of a plugin on the controller: each may also be set by a variable and so on.

    Without ``env``: Ansible takes an empty variable for a value.
    """

    def sources(option: re.Match[str]) -> str:
        name = option["name"]
        lines = ["vars:", f"  - name: apsaradb_backup_{name}"]
        if name not in SECRETS:
            lines += [
                "ini:",
                "  - section: apsaradb_backup",
                f"    key: {name}",
            ]
        return option[0] + "".join(f"    {line}\n" for line in lines)

    return _OPTION.sub(sources, documentation)


def ignored(documentation: str) -> str:
    """The documentation of the same options where they have no effect."""

    def without_effect(option: re.Match[str]) -> str:
        description = "      - Has no effect in this module. It is accepted so that C(module_defaults) can set it for all modules.\n"
        return f"  {option['name']}:\n    description:\n{description}{option['rest']}"

    return _OPTION.sub(
        without_effect, documentation[: documentation.index("requirements:")]
    )


class ModuleDocFragment:
    # Options of credentials and connections. Their code: module_utils/_plugin/options.py
    DOCUMENTATION: str = with_variables(r"""
options:
  region:
    description:
      - The ID of the region of the instances, for example V(cn-hangzhou). Required, here or in the environment. C(RegionCode) in the API.
      - If this is not set, the environment variables E(APSARADB_BACKUP_REGION), E(ALIBABA_CLOUD_REGION_ID), E(ALICLOUD_REGION) and
        E(ALICLOUD_REGION_ID) are used, in this order. If none of them is set, and the credential comes from a profile of the command line
        tool, C(region_id) of that profile is used.
    type: str
    aliases: [region_id, region_code, alicloud_region]
  access_key_id:
    description:
      - The ID of the access key that signs the requests. Needs O(access_key_secret).
      - If neither this nor O(profile) is set, the complete credential comes from the first of three sources that has one.
      - The first source is the environment variables E(ALIBABA_CLOUD_ACCESS_KEY_ID), E(ALIBABA_CLOUD_ACCESS_KEY_SECRET) and
        E(ALIBABA_CLOUD_SECURITY_TOKEN).
      - The second source is the older variables E(ALICLOUD_ACCESS_KEY) (or E(ALICLOUD_ACCESS_KEY_ID)), E(ALICLOUD_SECRET_KEY) (or
        E(ALICLOUD_SECRET_ACCESS_KEY), or E(ALICLOUD_ACCESS_KEY_SECRET)) and E(ALICLOUD_SECURITY_TOKEN).
      - The third source is the default chain of the Python package C(alibabacloud-credentials), if it is installed on the host that runs
        the module. The chain is OIDC, profiles of the command line tool, credentials file, role of the ECS instance, credentials URI.
      - Roles in environment variables are not assumed. If E(ALICLOUD_ASSUME_ROLE_ARN) is set, or E(ALIBABA_CLOUD_ROLE_ARN) without the
        variables of OIDC, the module fails, because it would sign as another user. It does not fail if this or O(profile) is set. To
        assume a role, use a O(profile) with the mode C(RamRoleArn).
    type: str
    aliases: [access_key, alicloud_access_key]
  access_key_secret:
    description:
      - The secret of the access key. Needs O(access_key_id).
    type: str
    aliases: [secret_key, alicloud_secret_key]
  security_token:
    description:
      - The token of a temporary access key, as the Security Token Service (STS) issues it.
    type: str
    aliases: [alicloud_security_token]
  profile:
    description:
      - The name of a profile in C(~/.aliyun/config.json), the configuration of the Alibaba Cloud command line tool. If there is no such
        profile, the name of a section in C(~/.alibabacloud/credentials.ini).
      - Needs the Python package C(alibabacloud-credentials) on the host that runs the module.
      - Mutually exclusive with O(access_key_id).
      - If no other source is set, the environment variable E(ALICLOUD_PROFILE) or E(ALIBABA_CLOUD_PROFILE) is used.
        E(ALICLOUD_SHARED_CREDENTIALS_FILE) and E(ALIBABA_CLOUD_CREDENTIALS_FILE) are paths of other files.
    type: str
    aliases: [alicloud_profile]
  endpoint:
    description:
      - The host of DBS, as C(host) or C(https://host[:port]). By default, it depends on O(region) and O(network).
      - Needed for a region that is newer than this collection.
      - C(http://) is allowed only for loopback addresses.
      - A loopback address in one of O(endpoint), O(rds_endpoint) and O(oss_endpoint) is also used for the others that are not set.
    type: str
  rds_endpoint:
    description:
      - The host of RDS, in the same form as O(endpoint). By default, it depends on O(region) and O(network).
      - Used by M(apsaradb.backup.dbs_backup_set_info) for RDS instances, and by M(apsaradb.backup.dbs_download_task) to find
        the newest backup set, and in check mode the size of one.
    type: str
  oss_endpoint:
    description:
      - The host of OSS, for signed links to objects in a bucket, in the same form as O(endpoint). By default, it depends on O(oss_region)
        and O(network).
      - Used by P(apsaradb.backup.dbs_download_location#lookup), M(apsaradb.backup.dbs_download_location_info) and
        M(apsaradb.backup.dbs_download_file).
    type: str
  oss_region:
    description:
      - The ID of the region of the bucket, for signed links to its objects, for example V(cn-hangzhou). By default O(region).
      - Used by the same plugins as O(oss_endpoint).
    type: str
  network:
    description:
      - Which addresses of services and files to use - those on the Internet (V(public)), or those in the virtual private cloud (V(vpc)).
        V(vpc) addresses work only within that cloud, and their traffic is free.
      - With V(auto), the default, the services are called on the Internet, unless O(endpoint) is set. If the name of O(endpoint) has
        C(-vpc) before the first dot, links to files are for the virtual private cloud. Otherwise they are for the Internet.
    type: str
    choices: [auto, public, vpc]
  validate_certs:
    description:
      - Whether to verify the certificates of the services and of the storage. By default V(true). Use V(false) only to diagnose a problem
        with a certificate.
    type: bool
  ca_path:
    description:
      - A file or directory of CA certificates to trust instead of the default ones.
      - If neither this nor E(APSARADB_BACKUP_CA_PATH) is set, the environment variables E(REQUESTS_CA_BUNDLE) and
        E(CURL_CA_BUNDLE) are used, in this order, for DBS, RDS, OSS, STS and the files.
    type: path
  connect_timeout:
    description:
      - How long to wait for a connection, in seconds, from V(0.1) to V(300). By default V(5).
    type: float
  read_timeout:
    description:
      - How long to wait for a complete response, in seconds, from V(0.1) to V(3600). By default V(30).
    type: float
  max_retries:
    description:
      - How often to repeat a request after a transient error, from V(0) to V(100). By default V(5). Transient errors are connection
        errors, internal errors of the service and unreadable responses. Throttled requests are repeated until O(request_timeout) is over,
        unless this is V(0).
      - Pauses follow an exponential backoff with jitter, capped at 20 seconds. A pause that the service requests is added.
      - After a wrong clock, a used nonce or an expired token, the request is corrected and repeated even if this is V(0).
    type: int
  request_timeout:
    description:
      - The maximum time for one request with all its repetitions and pauses, in seconds, from V(1) to V(86400). By default V(120).
      - A list with many pages or instances needs many requests.
    type: float
  max_connections:
    description:
      - The maximum number of simultaneous requests to the services, from V(1) to V(64). By default V(8).
    type: int
requirements:
  - On the host that runs the module - Python 3.9 or newer, with the Python package requests
  - On the host that runs the module - alibabacloud-credentials, if O(profile) or the default chain is used
notes:
  - >-
    Options of the connection by topic. Credentials: O(access_key_id), O(access_key_secret), O(security_token), O(profile). Addresses:
    O(region), O(network), O(endpoint), O(rds_endpoint), O(oss_endpoint), O(oss_region). Certificates: O(validate_certs), O(ca_path).
    Timeouts and limits: O(connect_timeout), O(read_timeout), O(request_timeout), O(max_retries), O(max_connections).
  - Options of the connection can also be set by environment variables of the host that runs the module, and by the task's C(environment).
    The option takes precedence over the variable, and the variable over the default. An empty variable counts as not set.
  - Proxies come from the environment variables E(HTTPS_PROXY), E(HTTP_PROXY) and E(NO_PROXY), but not for loopback addresses.
  - Set keys in the environment or in a vaulted variable. Do not put them on a command line, where other users can read them.
""")

    # For modules that call no service, and accept what module_defaults set for all.
    IGNORED: str = ignored(DOCUMENTATION)

    # The same for modules whose action plugin calls the service, and for plugins that run on the controller.
    ON_CONTROLLER: str = re.sub(
        r"host that runs\s+the\s+module", "controller", DOCUMENTATION
    )
    CONTROLLER: str = with_sources(ON_CONTROLLER)
