"""Who is known, who is connected, and what a list of names stands for."""

from __future__ import annotations

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


def test_names_ids_and_all_become_ids_without_doubles_in_order() -> None:
    made = registry(("1", "web"), ("2", "db"), ("3", "app"))
    found = made.resolve(["db", "1", "web", "all"])
    assert found.host_ids == ("2", "1", "3") and not found.unknown and not found.ambiguous


def test_every_unknown_and_every_ambiguous_name_is_told() -> None:
    made = registry(("1", "web"), ("2", "web"))
    found = made.resolve(["x", "web", "y", "x", "2"])
    assert found.host_ids == ("2",) and found.unknown == ("x", "y") and found.ambiguous == {"web": ("1", "2")}


def test_a_host_that_is_named_all_is_that_host() -> None:
    assert registry(("1", "all"), ("2", "db")).resolve(["all"]).host_ids == ("1",)


def test_a_new_name_replaces_the_old_one() -> None:
    made = registry(("1", "web"))
    made.put(Host("1", "www"))
    made.put(Host("1", "www", ip="10.0.0.1"))
    assert made.resolve(["web", "www"]).unknown == ("web",)
    assert [presence.host.ip for presence in made.roster()] == ["10.0.0.1"]


def test_a_removed_host_is_unknown() -> None:
    made = registry(("1", "web"), ("2", "web"))
    made.remove("1")
    made.remove("1")
    assert made.resolve(["web"]).host_ids == ("2",) and made.presence("1") is None and made.counts() == {"known": 1, "connected": 0}


def test_the_roster_is_in_order_of_names() -> None:
    made = registry(("9", "a"), ("1", "c"), ("5", "b"))
    made.attach("5", "peer", 77, STIRRED.append)
    assert [(p.host.hostname, p.since) for p in made.roster()] == [("a", None), ("b", 77), ("c", None)]


def test_the_newest_session_wins_and_the_old_one_cannot_evict_it() -> None:
    made = registry(("1", "web"))
    old = made.attach("1", "a", 1, STIRRED.append)
    new = made.attach("1", "b", 2, STIRRED.append)
    assert old.ended == "superseded" and new.ended is None and new.number > old.number > 3 << 32
    assert not made.detach(old)
    assert made.presence("1").session == new.number  # type: ignore[union-attr]
    assert made.detach(new) and made.sessions() == []


def test_messages_reach_the_session_they_were_meant_for_or_nobody() -> None:
    made = registry(("1", "web"))
    old = made.attach("1", "a", 1, STIRRED.append)
    new = made.attach("1", "b", 2, STIRRED.append)
    made.send(Welcome("1", old.number))
    made.send(Ack("2", new.number, "c", 1))
    assert not len(new)
    made.send(Welcome("1", new.number))
    assert new.take() == [Welcome("1", new.number)]


def test_a_host_that_does_not_read_is_cut_off_and_costs_no_more_memory() -> None:
    made = registry(("1", "web"), messages=2)
    session = made.attach("1", "a", 1, STIRRED.append)
    for _ in range(2):
        made.send(Welcome("1", session.number))
    assert session.ended is None
    made.send(Welcome("1", session.number))
    made.send(Welcome("1", session.number))
    assert session.ended == "outbox_full" and len(session) == 2


def test_a_session_says_when_there_is_something_to_do() -> None:
    stirred: list[Session] = []
    session = registry(("1", "web")).attach("1", "a", 1, stirred.append)
    session.push(Welcome("1", 1))
    session.push(Welcome("1", 1))
    assert stirred == [session, session] and session.take() == [Welcome("1", 1)] * 2 and session.take() == []
    session.end("silent")
    session.end("superseded")
    session.push(Welcome("1", 1))
    assert len(stirred) == 3 and session.ended == "silent" and len(session) == 0
