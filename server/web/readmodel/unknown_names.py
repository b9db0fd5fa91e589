"""Error texts for names that match no host or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proto.ids import is_id
from proto.readable import escaped
from server.core.inputs.hostnames import fault
from server.core.selectors.fold import quoted
from server.errors import ClarionError
from server.ports import Fleet

SHOWN = 5
"""Number of names, or of ids of one name, in a sentence. `details` contains all of them."""
DETAILED = 1_000
"""Names of each kind in an error's details, or in a warning."""
ADVISED = 3
"""Number of unknown names for which a sentence suggests others."""
WAY_OUT = "use an id; 'clarion hosts rename', 'clarion hosts delete' or 'clarion hosts replace' ends it for good"


def no_host(fleet: Fleet, name: str) -> str:
    """`No host named 'web0'. Did you mean web01?`, or the current name of the host that had this name."""
    shown = f"No host named {label(name)}."
    renamed = sorted(fleet.directory.hosts[host_id].hostname for host_id in fleet.directory.formerly_named(name))
    if renamed:
        return f"{shown} {_one_of(renamed)} was called so before."
    near = fleet.directory.similar_names(name)
    return f"{shown} Did you mean {_one_of(near)}?" if near else shown


def no_hosts(fleet: Fleet, names: Sequence[str]) -> str:
    """The same for several names. The sentence begins with their number."""
    if len(names) == 1:
        return no_host(fleet, names[0])
    advice = [
        f"{label(name)}: {_one_of(near)}"
        for name in names[:ADVISED]
        if (near := fleet.directory.similar_names(name, 1))
    ]
    proposed = f" Did you mean, for {'; for '.join(advice)}?" if advice else ""
    return (
        f"{len(names):,} names belong to no host: "
        f"{listed([label(name) for name in names[:SHOWN]], len(names))}.{proposed}"
    )


def several_hosts(name: str, ids: Sequence[str], where: str = "") -> str:
    """`2 hosts are named 'vm': ID, ID.`"""
    verb = "are or were" if where else "are"
    return f"{len(ids):,} hosts{where} {verb} named {label(name)}: {listed(ids)}."


def ambiguous(fleet: Fleet, name: str, ids: Sequence[str], where: str = "") -> ClarionError:
    """The host_ambiguous error, with the ids and whether each host is online."""
    online = fleet.online()
    hosts = [
        {"host_id": host_id, "connected": host_id in online, "last_seen_at": seen}
        for host_id, seen in ((one, _seen(fleet, one)) for one in ids)
    ]
    return ClarionError(
        "host_ambiguous", several_hosts(name, ids, where), hint=WAY_OUT, details={"ids": list(ids), "hosts": hosts}
    )


def refused(
    fleet: Fleet,
    field: str,
    unknown: Sequence[str],
    several: Mapping[str, Sequence[str]],
    malformed: Mapping[str, object],
) -> ClarionError:
    """One unknown_hosts error for all wrong names.

    Args:
        fleet: The hosts, for names that are similar.
        field: Name of the field or parameter with the names, for the error.
        unknown: Names of no host. The details list the first DETAILED; a selector may stand for 100,000.
        several: Names of several hosts, with their ids.
        malformed: Texts that are not selectors, with their errors.
    """
    said = [several_hosts(name, ids) for name, ids in list(several.items())[:SHOWN]]
    if len(several) > SHOWN:
        said.append(f"{len(several) - SHOWN:,} more names are those of several hosts.")
    if unknown:
        said.insert(0, no_hosts(fleet, unknown))
    said += [f"{label(text)} cannot be understood: {why}." for text, why in list(malformed.items())[:SHOWN]]
    hint = WAY_OUT if several else None
    never: list[str] = []  # no host can have such a name
    possible: list[str] = []
    for name in unknown[:DETAILED]:
        (possible if fault(name) is None or is_id(name) else never).append(name)
    details: dict[str, object] = {
        "unknown": possible,
        "malformed": [text[:255] for text in (*malformed, *never)],
        "ambiguous": {name: list(ids) for name, ids in several.items()},
    }
    return ClarionError("unknown_hosts", " ".join(said), field=field, hint=hint, details=details)


def label(name: str) -> str:
    """A name for use in a sentence."""
    return f"'{escaped(name if len(name) <= 80 else name[:79] + '…')}'"


def listed(texts: Sequence[str], number: int | None = None) -> str:
    """The first few texts, and the number of the others. `number` is the total number if `texts` contains only the
    first."""
    shown, number = ", ".join(texts[:SHOWN]), len(texts) if number is None else number
    return shown if number <= SHOWN else f"{shown} and {number - SHOWN:,} more"


def _one_of(names: Sequence[str]) -> str:
    shown = [quoted(name) for name in names[:SHOWN]]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def _seen(fleet: Fleet, host_id: str) -> int | None:
    presence = fleet.presence(host_id)
    return None if presence is None else presence.seen
