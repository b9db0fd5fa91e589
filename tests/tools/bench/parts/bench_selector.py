"""Time to parse a selector and find its hosts among 10,000. `python -m tests.tools.bench.parts.bench_selector`"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from server.core.model import Host
from server.core.selectors.evaluate import select
from server.core.selectors.fold import fold
from server.core.selectors.inventory import HostDirectory
from server.core.selectors.parser import parse

HOSTS = 10_000
REPEATS = 15
SELECTORS: dict[str, Callable[[int], bool]] = {
    "all": lambda index: True,
    "online and not role=db": lambda index: index < HOSTS * 99 // 100 and index % 3 != 0,
    "web-0* and role in (web,mq) and env=prod": lambda index: index % 3 != 0 and index % 4 != 0,
    "*dc3* or ip=10.3.0.0/16": lambda index: index % 7 == 3 or index // 256 == 3,
    "web-[00000-00499]*": lambda index: index < 500,
    "not (role!=db or env=test) and os=debian and rack in (1,2,3,4,5)": lambda index: (
        index % 3 == 0 and index % 4 != 0 and index % 2 == 1 and 1 <= index % 100 <= 5
    ),
}
"""Expected meaning of each selector, by the number of a host."""


def fleet() -> HostDirectory:
    directory = HostDirectory()
    for index in range(HOSTS):
        directory.put(
            Host(
                f"01900000-0000-7000-8000-{index:012d}",
                f"web-{index:05d}.dc{index % 7}.example",
                ip=f"10.{index // 256}.{index % 256}.1",
                os="debian" if index % 2 else "rhel",
                arch="x86_64",
                labels={"role": ("db", "web", "mq")[index % 3], "env": "prod" if index % 4 else "test"},
                agent_labels={"rack": str(index % 100)},
            )
        )
    return directory


def lines() -> Iterator[str]:
    """Return the lines of the report.

    Raises:
        RuntimeError: A selector finds other hosts than expected.
    """
    directory = fleet()
    online = set(list(directory.hosts)[: HOSTS * 99 // 100])
    for text, meant in SELECTORS.items():
        best = float("inf")
        for _ in range(REPEATS):
            begin = time.process_time()
            found = select([parse(text)], directory, online, {}).host_ids
            best = min(best, time.process_time() - begin)
        wanted = sum(map(meant, range(HOSTS)))
        if len(found) != wanted:
            raise RuntimeError(f"{text}: {len(found)} hosts instead of {wanted}")
        yield f"{len(found):6,} of {HOSTS:,} hosts in {best * 1e3:6.2f} ms  {text}"
    begin = time.process_time()
    folded = fold(host.hostname for host in directory.hosts.values())
    yield f"{HOSTS:6,} names folded to {len(folded.text):,} characters in {(time.process_time() - begin) * 1e3:.0f} ms"


if __name__ == "__main__":
    for line in lines():
        print(line)
