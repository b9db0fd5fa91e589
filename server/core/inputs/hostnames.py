"""Rules for the names of hosts, and how a host's name follows from its agent and from operators.

A name follows RFC 1123 section 2.1 and may contain `_`, as many real names do. It is therefore always one plain word of
a selector and cannot mean anything else.
"""

from __future__ import annotations

import re
from dataclasses import replace

from proto.readable import hidden
from server.core.model import Host
from server.core.selectors.fold import RESERVED

LONGEST = 255
"""Characters of a name."""
FORMER = 8
"""Earlier names that are kept of a host."""
RULE = (
    "letters, digits, '-', '_' and '.', at most 255; each part between dots has 1 to 63 and neither begins nor "
    "ends with '-'"
)

_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_PART}(?:\.{_PART})*\Z")
_ID = re.compile(r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}\Z")


def fault(name: str) -> str | None:
    """Return why this text cannot be a host's name, or None if it can.

    The result is the end of a sentence that begins with the name.
    """
    if not name:
        return "is empty"
    if len(name) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if (character := hidden(name)) is not None:
        return f"holds {character}, which cannot be seen"
    if name.lower() in RESERVED:
        return "is a word of selectors"
    if _ID.match(name) is not None:
        return "is written like a host's id"
    return None if _NAME.match(name) is not None else f"must consist of {RULE}"


def claimed(host: Host, claim: str) -> Host:
    """Return the host with the name that its agent reports.

    A text that cannot be a name changes nothing. A name that an operator has set stays in use.
    """
    if fault(claim) is not None:
        return host if host.hostname else replace(host, hostname=host.host_id)
    return _called(replace(host, claimed=claim), host.given or claim)


def given(host: Host, name: str | None) -> Host:
    """Return the host with the name that an operator has set. With None, the agent's name is used again."""
    return _called(replace(host, given=name), name or host.claimed or host.hostname)


def _called(host: Host, hostname: str) -> Host:
    if hostname == host.hostname:
        return host
    kept = dict.fromkeys(name for name in (host.hostname, *host.former) if name not in ("", hostname, host.host_id))
    return replace(host, hostname=hostname, former=tuple(kept)[:FORMER])
