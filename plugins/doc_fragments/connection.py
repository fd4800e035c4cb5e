# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

#: Options whose values have no place in a configuration file.
SECRETS = {"access_key_id", "access_key_secret", "security_token"}
#: What a task is about, and not how it is done.
SUBJECTS = {"cluster_name", "presign", "on_missing", "on_unfinished"}
_OPTION = re.compile(
    r"^  (?P<name>\w+):\n    description:\n(?P<description>(?:      .*\n)+)(?P<rest>(?:    .*\n)+)",
    re.MULTILINE,
)


def with_variables(documentation: str) -> str:
    """The documentation of options, with the environment variable that each may be set by."""

    def with_variable(option: re.Match[str]) -> str:
        name, said = option["name"], option["description"]
        variable = f"E(APSARADB_BACKUP_{name.upper()})"
        if name not in SECRETS | SUBJECTS and variable not in said:
            said += f"      - If not set, the environment variable {variable} is used.\n"
        return f"  {name}:\n    description:\n{said}{option['rest']}"

    return _OPTION.sub(with_variable, documentation)


def with_sources(documentation: str) -> str:
    """The documentation of options of a plugin on the controller: each may also be set by a variable and so on.

    Not by ``env``: Ansible takes empty variables for values.
    """

    def sources(option: re.Match[str]) -> str:
        name = option["name"]
        lines = ["vars:", f"  - name: apsaradb_backup_{name}"]
        if name not in SECRETS:
            lines += ["ini:", "  - section: apsaradb_backup", f"    key: {name}"]
        return option[0] + "".join(f"    {line}\n" for line in lines)

    return _OPTION.sub(sources, documentation)


def ignored(documentation: str) -> str:
    """The documentation of the same options where they have no effect."""

    def none(option: re.Match[str]) -> str:
        said = "      - Of no effect here. It can be set for all modules by C(module_defaults) for the group.\n"
        return f"  {option['name']}:\n    description:\n{said}{option['rest']}"

    return _OPTION.sub(none, documentation[: documentation.index("requirements:")])


class ModuleDocFragment:
    # Options to say who asks which service, and how. Their code: module_utils/_plugin/options.py
    DOCUMENTATION: str = with_variables(r"""
options:
  region:
    description:
      - The ID of the region of the instances, for example V(cn-hangzhou). It must be set here or in the environment. C(RegionCode) in the
        API.
      - If this is not set, the environment variables E(APSARADB_BACKUP_REGION), E(ALIBABA_CLOUD_REGION_ID), E(ALICLOUD_REGION) and
        E(ALICLOUD_REGION_ID) are used, in this order, and then C(region_id) of the command line tool's profile that the credential is
        taken from.
    type: str
    aliases: [region_id, region_code, alicloud_region]
  access_key_id:
    description:
      - The ID of the access key that signs the requests. Needs O(access_key_secret).
      - If neither this nor O(profile) is set, the whole credential is taken from the first of three sources that has one.
      - The first source is the environment variables E(ALIBABA_CLOUD_ACCESS_KEY_ID), E(ALIBABA_CLOUD_ACCESS_KEY_SECRET) and
        E(ALIBABA_CLOUD_SECURITY_TOKEN).
      - The second one is the older variables E(ALICLOUD_ACCESS_KEY) (or E(ALICLOUD_ACCESS_KEY_ID)), E(ALICLOUD_SECRET_KEY) (or
        E(ALICLOUD_SECRET_ACCESS_KEY), or E(ALICLOUD_ACCESS_KEY_SECRET)) and E(ALICLOUD_SECURITY_TOKEN).
      - The third one is the default chain of the Python package C(alibabacloud-credentials), if it is installed on the host that runs
        the module - OIDC, profiles of the command line tool, credentials file, role of the ECS instance, credentials URI.
      - Roles in environment variables are not assumed. If E(ALICLOUD_ASSUME_ROLE_ARN), or E(ALIBABA_CLOUD_ROLE_ARN) without the variables
        of OIDC, is set, and neither this nor O(profile) is, the module fails, because it would sign as another user. A
        O(profile) with the mode C(RamRoleArn) assumes its role.
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
      - The name of a profile in C(~/.aliyun/config.json), the configuration of the Alibaba Cloud command line tool,
        or else of a section in C(~/.alibabacloud/credentials.ini).
      - Needs the Python package C(alibabacloud-credentials) on the host that runs the module.
      - Mutually exclusive with O(access_key_id).
      - E(ALICLOUD_PROFILE) or E(ALIBABA_CLOUD_PROFILE) is used if no other source is set; E(ALICLOUD_SHARED_CREDENTIALS_FILE)
        and E(ALIBABA_CLOUD_CREDENTIALS_FILE) name other files.
    type: str
    aliases: [alicloud_profile]
  endpoint:
    description:
      - The host of the service, as C(host) or C(https://host[:port]), in place of the one that belongs to O(region)
        and O(network).
      - Needed for a region that is newer than this collection.
      - Plain C(http://) is accepted for loopback addresses only.
      - A loopback address is also used for RDS and OSS, unless O(rds_endpoint) or O(oss_endpoint) is set. The same holds for a loopback
        address in one of these.
    type: str
  rds_endpoint:
    description:
      - The host of RDS. It is given in the same way as O(endpoint), the host of DBS.
      - Used by M(apsaradb.backup.dbs_backup_set_info) for RDS instances, and by M(apsaradb.backup.dbs_download_task) to find
        the newest backup set, and in check mode the size of one.
    type: str
  oss_endpoint:
    description:
      - The address of OSS for links to objects in a bucket, in place of the one that belongs to O(oss_region) and O(network). It is
        given in the same way as O(endpoint).
      - Used by P(apsaradb.backup.dbs_download_location#lookup), M(apsaradb.backup.dbs_download_location_info) and
        M(apsaradb.backup.dbs_download_file).
    type: str
  oss_region:
    description:
      - The region of the bucket for links to its objects, for example V(cn-hangzhou); by default O(region).
      - Used by the same plugins as O(oss_endpoint).
    type: str
  network:
    description:
      - Which addresses of services and files to use - those on the Internet (V(public)), or those in the virtual private cloud (V(vpc)),
        which work only there. Traffic within the virtual private cloud is free.
      - With V(auto), the default, the services are called on the Internet, unless O(endpoint) says otherwise. Links to files are for the
        virtual private cloud if O(endpoint) is a host of it (its name has C(-vpc) before the first dot), and otherwise for the
        Internet.
    type: str
    choices: [auto, public, vpc]
  validate_certs:
    description:
      - Whether to check the certificates of the services and of the storage. By default they are checked. Set this to V(false) only to
        find out what is wrong with a certificate.
    type: bool
  ca_path:
    description:
      - A file or directory of CA certificates to trust in place of the default ones.
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
      - How often a request is repeated after a transient error, from V(0) to V(100) - connection errors, internal errors of
        the service, unreadable answers. Throttled requests are repeated until O(request_timeout) is over, unless this is V(0).
        By default V(5).
      - Pauses follow an exponential backoff with jitter, capped at 20 seconds. What the service asks for is added.
      - After a wrong clock, a used nonce or an expired token, the request is corrected and repeated even if this is V(0).
    type: int
  request_timeout:
    description:
      - How long one request may take with its repetitions and pauses, in seconds, from V(1) to V(86400). By default V(120).
      - A list of many pages, or of many instances, takes many requests.
    type: float
  max_connections:
    description:
      - How many requests to the services may be under way at the same time, from V(1) to V(64). By default V(8).
    type: int
requirements:
  - On the host that runs the module - Python 3.9 or newer, with the Python package requests
  - On the host that runs the module - alibabacloud-credentials, if O(profile) or the default chain is used
notes:
  - >-
    Options of the connection by topic. Who asks: O(access_key_id), O(access_key_secret), O(security_token), O(profile). Which addresses:
    O(region), O(network), O(endpoint), O(rds_endpoint), O(oss_endpoint), O(oss_region). Certificates: O(validate_certs),
    O(ca_path). How long and how often: O(connect_timeout), O(read_timeout), O(request_timeout), O(max_retries),
    O(max_connections).
  - Options of the connection can also be set by environment variables of the host that runs the module, and by the task's
    C(environment). The option wins over the variable, and the variable over the default. An empty variable is not set.
  - Proxies are taken from the environment variables E(HTTPS_PROXY), E(HTTP_PROXY) and E(NO_PROXY), but not for loopback
    addresses.
  - Give keys by the environment or by a vaulted variable, not on a command line, where other users can read them.
""")

    # For modules that ask no service, and take what is set for the group of all.
    IGNORED: str = ignored(DOCUMENTATION)

    # The same for modules whose action plugin asks, and for plugins that run on the controller.
    ON_CONTROLLER: str = re.sub(
        r"host that runs\s+the\s+module", "controller", DOCUMENTATION
    )
    CONTROLLER: str = with_sources(ON_CONTROLLER)
