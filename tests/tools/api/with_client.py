"""A program that uses the generated client: `python -m tests.tools.api.with_client ADDRESS HOST`, with CLARION_TOKEN
set.

It runs a command, follows it to its end, and prints the result as one JSON object. The package `clarion_client` must be
on PYTHONPATH.
"""

from __future__ import annotations

import json
import os
import sys

from clarion_client import AuthenticatedClient  # type: ignore[import-not-found]
from clarion_client.api.executions import get_tasks_task_id_hosts, get_tasks_task_id_hosts_host_output  # type: ignore[import-not-found]
from clarion_client.api.tasks import get_tasks_task_id, post_run  # type: ignore[import-not-found]
from clarion_client.models import ErrorBody, GetTasksTaskIdHostsHostOutputStream, TaskBody  # type: ignore[import-not-found]


def main(address: str, host: str, token: str) -> int:
    client = AuthenticatedClient(base_url=address, token=token, raise_on_unexpected_status=True)
    with client:
        task = post_run.sync(
            client=client,
            body=TaskBody(
                targets=[host], command='echo "hello $1"; echo oops >&2; exit 3', args=["generated"], success_codes=[3]
            ),
        )
        while task.status in ("pending", "running"):
            task = get_tasks_task_id.sync(task.task_id, client=client, wait=5.0, since=task.version)
        rows = get_tasks_task_id_hosts.sync(task.task_id, client=client).items
        texts = [
            get_tasks_task_id_hosts_host_output.sync(task.task_id, host, client=client, stream=stream).text
            for stream in GetTasksTaskIdHostsHostOutputStream
        ]
        refused = post_run.sync(client=client, body=TaskBody(targets=["nothing-here"], command="true"))
    assert isinstance(refused, ErrorBody), refused
    print(
        json.dumps(
            {
                "status": task.status,
                "hosts": [[row.hostname, row.status, row.exit_code] for row in rows],
                "outputs": sorted(texts),
                "refused": refused.error.code,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3], os.environ["CLARION_TOKEN"]))
