# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What an action plugin and the module of its name say to each other while work goes on.

The action plugin runs the module as often as it takes, each time with a ``JobRequest`` in the
option ``_job``. The first run forks: the child does the work in the background, and this run and
all later ones only follow it for some seconds. So progress interrupts nothing. A run returns a
``JobState`` under ``_job``, or the result of the work; beside a result, ``_progress`` is the last
progress of the work.

Two more hidden options are for downloads: ``_links``, signed links to the files, and ``_names``,
the names of files whose links do not have them. A run that has ``_links`` and a directory
hands new links over to the job. An empty list says that there are none any more: the work ends
with what it has.

Without ``_job``, as for ``async``, the module works in one run, and has no more links than it was
given.
"""

from __future__ import annotations

import typing as t

Facts = t.Mapping[str, t.Any]

HIDDEN_OPTIONS = ("_job", "_links", "_names")

#: Options of each module whose work can go on in the background.
JOB_SPEC: dict[str, dict[str, t.Any]] = {
    "progress": {"type": "bool", "default": True},
    "progress_interval": {"type": "float", "default": 30.0},
    "_job": {"type": "dict"},
}


class JobRequest(t.NamedTuple):
    """What a run of the module is to do.

    ``seconds``       how long to follow the job
    ``directory``     the directory of the job; none to start one
    ``id``            of a start: one that comes twice, as where a connection plugin repeats it,
                      starts one job
    ``elapsed``       of a start: seconds since the first start
    ``is_restarted``  of a start: whether it takes the place of a job that was lost
    ``notes``         of a start: the notes of the job that was lost; none if they are lost, too
    ``renews_links``  of a start: whether the job can ask for new links
    ``links_after``   seconds after which a request of the job for new links is passed on
    ``news``          the number of the last news that was shown
    ``news_after``    seconds after which other news end the run; none if news do not
    ``stop``          end the job
    """

    seconds: float
    directory: t.Optional[str] = None
    id: t.Optional[str] = None
    elapsed: float = 0.0
    is_restarted: bool = False
    notes: t.Optional[Facts] = None
    renews_links: bool = False
    links_after: float = 0.0
    news: int = 0
    news_after: t.Optional[float] = None
    stop: bool = False


class JobState(t.NamedTuple):
    """How far a job is.

    ``directory``    its directory; none if its process was lost: start it again, with its notes
    ``progress``     what it reported last, of a shape of its own
    ``news``         the number of its last news: of what is shown at once
    ``followed``     seconds that the run followed it
    ``needs_links``  whether the links that it has do not work any more
    ``notes``        of a lost job: what it wrote down of what must not be done twice; none if
                     that is lost, too
    """

    directory: t.Optional[str] = None
    progress: Facts = {}  # noqa: RUF012
    news: int = 0
    followed: float = 0.0
    needs_links: bool = False
    notes: t.Optional[Facts] = None
