"""Known hosts, sessions, and when hosts were last heard of."""

from __future__ import annotations

import pytest

from server.core.effects import Ack, Welcome
from server.core.model import Host
from server.fleet.registry import Registry
from server.fleet.session import OutboxLimits, Session

STIRRED: list[Session] = []


def registry(*hosts: tuple[str, str], messages: int = 256) -> Registry:
    made = Registry(OutboxLimits(messages), epoch=3)
    for host_id, hostname in hosts:
        made.put(Host(host_id, hostname))
    return made


def test_a_new_name_replaces_the_old_one() -> None:
    made = registry(("1", "web"))
    made.put(Host("1", "www"))
    made.put(Host("1", "www", ip="10.0.0.1"))
    assert (made.directory.named("web"), made.directory.named("www")) == (set(), {"1"})
    assert [presence.host.ip for presence in made.roster()] == ["10.0.0.1"]


def test_a_removed_host_is_unknown() -> None:
    made = registry(("1", "web"), ("2", "web"))
    made.remove("1")
    made.remove("1")
    assert (
        made.directory.named("web") == {"2"}
        and made.presence("1") is None
        and made.counts() == {"known": 1, "connected": 0}
    )


def test_offline_hosts_are_counted_after_every_change() -> None:
    made = registry(("1", "a"), ("2", "b"), ("3", "c"))
    assert (made.known(), made.offline()) == (3, 3)
    first = made.attach("1", "peer", 1, STIRRED.append)
    stranger = made.attach("9", "peer", 1, STIRRED.append)
    assert (made.known(), made.offline()) == (3, 2)
    made.put(Host("2", "b", replaced_by="3"))
    assert (made.known(), made.offline()) == (2, 1)
    made.put(Host("2", "b"))
    second = made.attach("1", "peer", 2, STIRRED.append)
    assert not made.detach(first) and (made.known(), made.offline()) == (3, 2)
    made.detach(stranger)
    assert (made.known(), made.offline()) == (3, 2), "nobody knows it"
    made.remove("1")
    assert made.detach(second) and (made.known(), made.offline()) == (2, 2)
    made.put(Host("3", "renamed"))
    made.remove("2")
    made.remove("3")
    assert (made.known(), made.offline()) == (0, 0)


def test_the_roster_is_sorted_by_name() -> None:
    made = registry(("9", "a"), ("1", "c"), ("5", "b"))
    made.attach("5", "peer", 77, STIRRED.append)
    assert [(p.host.hostname, p.since) for p in made.roster()] == [("a", None), ("b", 77), ("c", None)]


@pytest.mark.capability("Z9", "I14")
def test_the_newest_session_wins_and_the_old_one_cannot_evict_it() -> None:
    made = registry(("1", "web"))
    old = made.attach("1", "a", 1, STIRRED.append)
    new = made.attach("1", "b", 2, STIRRED.append)
    assert old.ended == "superseded" and new.ended is None and new.number > old.number > 3 << 32
    assert not made.detach(old)
    assert made.presence("1").session == new.number  # type: ignore[union-attr]
    assert made.detach(new) and made.sessions() == []


@pytest.mark.capability("C4")
def test_messages_reach_only_their_session() -> None:
    made = registry(("1", "web"))
    old = made.attach("1", "a", 1, STIRRED.append)
    new = made.attach("1", "b", 2, STIRRED.append)
    made.send(Welcome("1", old.number))
    made.send(Ack("2", new.number, "c", 1))
    assert not len(new)
    made.send(Welcome("1", new.number))
    assert new.take() == [Welcome("1", new.number)]


@pytest.mark.capability("M22", "I9", "I15")
def test_a_host_that_does_not_read_is_disconnected() -> None:
    made = registry(("1", "web"), messages=2)
    session = made.attach("1", "a", 1, STIRRED.append)
    for _ in range(2):
        made.send(Welcome("1", session.number))
    assert session.ended is None
    made.send(Welcome("1", session.number))
    made.send(Welcome("1", session.number))
    assert session.ended == "outbox_full" and len(session) == 2


def test_a_session_notifies_when_there_is_something_to_do() -> None:
    stirred: list[Session] = []
    session = registry(("1", "web")).attach("1", "a", 1, stirred.append)
    session.push(Welcome("1", 1))
    session.push(Welcome("1", 1))
    assert stirred == [session, session] and session.take() == [Welcome("1", 1)] * 2 and session.take() == []
    session.end("silent")
    session.end("superseded")
    session.push(Welcome("1", 1))
    assert len(stirred) == 3 and session.ended == "silent" and len(session) == 0


def test_the_last_contact_is_known_after_a_disconnect() -> None:
    made = registry(("1", "web"), ("2", "db"))
    made.put(Host("3", "old", last_seen_at=5))
    assert [made.presence(host_id).seen for host_id in "123"] == [None, None, 5]  # type: ignore[union-attr]
    session = made.attach("1", "peer", 100, STIRRED.append)
    assert made.presence("1").seen == 100  # type: ignore[union-attr]
    session.last_heard_at = 170
    assert made.take_seen(connected=False) == {} and made.take_seen(connected=True) == {"1": 170}
    made.detach(session)
    assert made.presence("1").seen == 170  # type: ignore[union-attr]
    assert made.take_seen(connected=False) == {"1": 170} and made.take_seen(connected=True) == {}, "once"


def test_a_host_that_is_deleted_leaves_nothing_to_save() -> None:
    made = registry(("1", "web"), ("2", "db"))
    gone, here = made.attach("1", "peer", 100, STIRRED.append), made.attach("2", "peer", 100, STIRRED.append)
    made.detach(gone)
    made.remove("1")
    made.remove("2")
    assert made.take_seen(connected=True) == {}
    assert made.detach(here) and made.take_seen(connected=True) == {}
