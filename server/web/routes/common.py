"""Values that several rows of the route table share."""

from __future__ import annotations

from server.web.http.auth import Access
from server.web.resource import WRITE as WRITE
from server.web.service.create_task import HEADER

T, READ, OPEN, SHELL = Access.TOKEN, Access.READ, Access.OPEN, Access.SHELL
KEY = (
    (
        HEADER,
        (
            "1 to 128 printable ASCII characters of your choice. Repeated requests with the same key and the same body "
            "return the same task; a request with the same key and another body is refused."
        ),
    ),
)
IDEMPOTENT = {200: "The task that an earlier request with this Idempotency-Key created."}
CREATE = ("unknown_hosts", "unknown_set", "invalid_expression", "no_hosts", "idempotency_mismatch", *WRITE)
"""Error codes of requests that create a task."""
