"""An agent port on plaintext loopback for conformance runs: `python -m tests.tools.h2.serve`.

It prints its port and serves until stdin ends.
"""

from __future__ import annotations

import logging
import sys

import structlog
import trio

from server.rpc.accept.listener import ListenerLimits
from tests.rpc.peer import Edge

MANY = 1_000_000


async def main() -> None:
    # stdout is only for the port; the server's log output is dropped
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.ERROR)
    edge = Edge(hello_timeout=600)
    async with edge.serve(
        ListenerLimits(per_address=MANY, handshakes_per_second=MANY, burst=MANY, refusals_per_minute=MANY),
        patience=float("inf"),
    ):
        print(edge.address[1], flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


if __name__ == "__main__":
    trio.run(main)
