"""Each attack on a real server with a few connections: it is cut off, reported once, and does not affect other hosts.

`make attack` is the long version: each attack for half a minute while 500 agents work, with the latency of the healthy
ones.
"""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from loadtest.measure.proc import rss_kb
from tests.system.rig import until
from tests.tools.attack.attacker import Outcome, obey
from tests.tools.attack.attacks import ATTACKS, CUT, DROP, IGNORE, SHUT_OUT, pairs
from tests.tools.attack.judge import MOST_MIB, MOST_STORED_MIB
from tests.tools.attack.site import Site, Watching, order, settled

CONNECTIONS, SECONDS, PATIENCE, HOLD = 2, 10.0, 15.0, 5.0
WIDE, HOSTS, GUESTS = 60, 3, 60
"""Connections of a wide attack (more than one address may have), of one by hosts (each another host), and before Hello.
"""


def attack(site: Site, name: str, who: str, number: int = 0) -> Outcome:
    """Attack in this process from a separate address. `number`: the first attacking host."""
    place = 2 + sorted(ATTACKS).index(name) * 4 + ["nobody", "stranger", "guest", "agent"].index(who)
    connections = max(CONNECTIONS, min({"agent": HOSTS, "guest": GUESTS}.get(who, WIDE), ATTACKS[name].width))
    return obey(
        order(
            site,
            name,
            who,
            source=f"127.0.1.{place}",
            seconds=SECONDS,
            connections=connections,
            patience=PATIENCE,
            number=number,
            hold=HOLD,
        )
    )


def memory(site: Site) -> float:
    assert site.rig.server is not None
    return rss_kb(site.rig.server.pid) or 0.0


def is_told(site: Site, before: tuple[Counter[str], Counter[str]], at_least: int) -> Counter[str]:
    """Return what was refused since then once it matches: one count and one log line each."""
    until("all refusals counted", lambda: sum((site.refused() - before[0]).values()) >= at_least, 5.0)
    counted = site.refused() - before[0]
    lines = site.told() - before[1]
    assert {**counted, SHUT_OUT: 0} == {**lines, SHUT_OUT: 0}
    return counted


@pytest.mark.capability("I16")
@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if not attack.slow])
def test_an_attack_is_cut_off_and_reported(site: Site, name: str) -> None:
    for who in pairs(name, site.tls):
        rss, before = memory(site), (site.refused(), site.told())
        done, must = attack(site, name, who), ATTACKS[name].must
        if must == IGNORE:
            assert (done.left, done.answers) == (1, {}), "what is not known must be ignored"
            continue
        assert done.left == 0 and sum(done.answers.values()) == CONNECTIONS, (who, done.answers)
        counted = is_told(site, before, CONNECTIONS if must == CUT else 0)
        assert must == DROP or (counted and set(counted) <= ATTACKS[name].reasons), (who, counted, done.answers)
        assert memory(site) - rss < MOST_MIB * 1024


def test_slow_attacks_are_cut_off_and_reported(site: Site) -> None:
    """All attacks run at the same time, because each takes a second or two."""
    rss, before = memory(site), (site.refused(), site.told())
    done: dict[tuple[str, str], Outcome] = {}
    slow = [(name, who) for name, attack in ATTACKS.items() if attack.slow for who in pairs(name, site.tls)]

    hosts = {pair: 1 + HOSTS * place for place, pair in enumerate(pair for pair in slow if pair[1] == "agent")}

    def one(name: str, who: str) -> None:
        done[name, who] = attack(site, name, who, hosts.get((name, who), 0))

    threads = [threading.Thread(target=one, args=pair) for pair in slow]
    readers = [number for (name, _), number in hosts.items() if ATTACKS[name].work]
    with Watching(site, [site.attacker_ids[number] for number in readers]) as watching:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS + 2 * PATIENCE)
    assert set(done) == set(slow)
    assert {pair: outcome.left for pair, outcome in done.items() if outcome.left} == {}
    total = sum(outcome.connections for outcome in done.values())
    counted = is_told(site, before, total)
    wanted = frozenset[str]().union(*(ATTACKS[name].reasons for name, _ in slow))
    assert set(counted) <= wanted and "slow_frame" in counted, counted
    assert sum(counted.values()) == total, "one count each"
    assert watching.failure == ""
    assert watching.seen().rss_peak - rss < MOST_MIB * 1024


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.database])
def test_false_reports_of_one_host_leave_almost_nothing_in_the_database(site: Site, name: str) -> None:
    """Two connections for a few seconds; every result has different output of 500 KiB."""
    before = site.stored()
    attack(site, name, "agent")
    assert site.stored() - before < MOST_STORED_MIB << 20


@pytest.mark.capability("I16")
def test_after_the_attacks_every_healthy_agent_is_still_connected(site: Site) -> None:
    settled(site)
    with site.api() as api:
        assert site.everybody_answers(api)
    assert site.came_back() == 0
    assert site.internal_errors() == []
