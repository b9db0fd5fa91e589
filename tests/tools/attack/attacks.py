"""All attacks: who can make them, what the server must do, and the reason that it must report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.tools.attack import plays
from tests.tools.attack.link import AGENT, GUEST, NOBODY, STRANGER
from tests.tools.attack.plays import Play

HTTP2 = (STRANGER, AGENT)
CUT, IGNORE, DROP = "cut off", "ignore", "drop"
"""What the server must do: end the connection and report a reason; ignore the attack; end it without a reason."""
SHUT_OUT = "address_shut_out"


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack.

    Attributes:
        who: The kind of peer on the plaintext port. On the TLS port a stranger fails in the handshake, so only bare
            sockets and hosts attack it.
        reasons: Each cut-off connection must have reported one of these reasons.
        width: Concurrent connections.
        reads: True if it reads what the server sends.
        half: True if it shuts down its sending side after the first bytes.
        work: True if the host gets commands.
        slow: True if a timeout ends it.
        looks_up: True if it reads once the server must have cut it off, because unread data delays the end.
        only: "tls" or "plain" for an attack on one port only.
    """

    play: Callable[[], Play]
    who: tuple[str, ...] = HTTP2
    must: str = CUT
    reasons: frozenset[str] = frozenset()
    width: int = 1
    reads: bool = True
    half: bool = False
    work: bool = False
    slow: bool = False
    looks_up: bool = False
    only: str = ""
    claims: bool = False
    """True if its Hello names executions that never existed."""
    facts: bool = False
    """True if its Hello reports another machine each time."""
    database: bool = False
    """True if it tries to fill the database."""
    window: int | None = None
    receive_buffer: int | None = None


def _reasons(*names: str) -> frozenset[str]:
    return frozenset(names)


ANY = _reasons("protocol_error", "flow_control", "frame_too_large", "too_many_streams", "header_block", "flood_of_frames", "flood_of_settings", "flood_of_pings",  # noqa: E501
               "flood_of_resets", "flood_of_resets_sent", "flood_of_streams", "flood_of_priorities", "flood_of_empty_data", "flood_of_continuations",  # noqa: E501
               "flood_of_window_updates", "malformed_message", "message_too_large")  # fmt: skip
MADE = _reasons(
    "flood_of_resets_sent",
    "flood_of_resets",
    "flood_of_streams",
    "protocol_error",
    "flood_of_priorities",
    "too_many_streams",
)
LATE = _reasons("no_hello")
NOT_TLS = _reasons("not_tls", "tls")
SHAKEN = _reasons("handshake_timeout", "handshake_crowded_out")

ATTACKS: dict[str, Attack] = {
    "lying 4 GiB length": Attack(
        plays.lying_length, reasons=_reasons("message_too_large", "protocol_error", "second_call")
    ),
    "lying 4 GiB length in a session": Attack(plays.lying_length_of_a_session, (AGENT,), reasons=ANY),
    "hoarding before Hello": Attack(plays.hoard, (GUEST,), reasons=LATE | _reasons("crowded_out"), width=60, slow=True),
    "rapid reset": Attack(plays.rapid_reset, reasons=_reasons("flood_of_resets")),
    "MadeYouReset: window overflow": Attack(plays.reset_by_overflow, reasons=MADE),
    "MadeYouReset: increment of 0": Attack(plays.reset_by_no_increment, reasons=MADE),
    "MadeYouReset: DATA after the end": Attack(
        plays.reset_by_data_after_the_end, reasons=MADE | _reasons("message_too_large")
    ),
    "MadeYouReset: depends on itself": Attack(plays.reset_by_a_stream_on_itself, reasons=MADE),
    "SETTINGS flood, unread": Attack(plays.settings, reads=False, reasons=_reasons("flood_of_settings")),
    "PING flood": Attack(plays.pings, reasons=_reasons("flood_of_pings")),
    "PING flood, unread": Attack(plays.pings, reads=False, reasons=_reasons("flood_of_pings")),
    "PRIORITY flood": Attack(plays.priorities, reasons=_reasons("flood_of_priorities")),
    "WINDOW_UPDATE flood": Attack(plays.window_updates, reasons=_reasons("flood_of_window_updates")),
    "empty DATA flood": Attack(
        plays.empty_data, reasons=_reasons("flood_of_empty_data", "flood_of_resets_sent", "second_call")
    ),
    "empty DATA flood in a session": Attack(
        plays.empty_data_of_a_session, (AGENT,), reasons=_reasons("flood_of_empty_data")
    ),
    "CONTINUATION flood": Attack(plays.continuations, reasons=_reasons("flood_of_continuations")),
    "big CONTINUATIONs": Attack(plays.big_continuations, reasons=_reasons("header_block")),
    "HPACK bomb": Attack(plays.hpack_bomb, reasons=_reasons("protocol_error")),
    "header block never ended": Attack(
        plays.headers_without_end, width=20, slow=True, reasons=_reasons("slow_headers")
    ),
    "slow headers, 1 byte/s": Attack(plays.slow_headers, width=20, slow=True, reasons=_reasons("slow_headers")),
    "slow frame, 1 byte/s": Attack(plays.slow_frame, width=20, slow=True, reasons=_reasons("slow_frame", "no_hello")),
    "slow preface, 1 byte/s": Attack(plays.slow_preface, (NOBODY,), width=20, slow=True, only="plain", reasons=LATE),
    "silent connections": Attack(
        plays.silence,
        (NOBODY,),
        width=800,
        slow=True,
        reasons=LATE | _reasons("too_many_from_address", "handshake_timeout", "handshake_crowded_out"),
    ),
    "streams at once": Attack(plays.streams_at_once, reasons=_reasons("too_many_streams", "second_call")),
    "calls one after the other": Attack(plays.calls, reasons=_reasons("flood_of_streams", "too_many_streams")),
    "frame too long": Attack(plays.long_frame, reasons=_reasons("frame_too_large")),
    "second call in a session": Attack(
        plays.second_calls, (AGENT,), slow=True, only="tls", reasons=_reasons("second_call")
    ),
    "not reading, with work to do": Attack(
        plays.beats,
        (AGENT,),
        reads=False,
        work=True,
        slow=True,
        looks_up=True,
        window=0,
        receive_buffer=4_096,
        width=3,
        reasons=_reasons("slow_reader"),
    ),
    "message flood": Attack(plays.messages, (AGENT,), reasons=_reasons("flood_of_messages")),
    "results of invented executions, at their pace": Attack(
        plays.invented_results(plays.PACE), (AGENT,), IGNORE, database=True
    ),
    "results of invented executions, flood": Attack(
        plays.invented_results(0.0),
        (AGENT,),
        reasons=_reasons("flood_of_reports", "flood_of_frames", "flow_control"),
        database=True,
    ),
    "results of executions that a false Hello named": Attack(
        plays.claimed_results, (AGENT,), IGNORE, claims=True, database=True
    ),
    "one late result again and again": Attack(plays.repeated_results, (AGENT,), IGNORE, claims=True, database=True),
    "other facts and labels each time": Attack(
        plays.comes_again, (AGENT,), DROP, claims=True, facts=True, database=True
    ),
    "unknown frame types": Attack(plays.unknown_frames, must=IGNORE),
    "unknown frame flood": Attack(plays.unknown_frame_flood, reasons=_reasons("flood_of_frames")),
    "random frames": Attack(plays.random_frames, reasons=ANY),
    "random bytes": Attack(plays.random_bytes, (NOBODY,), reasons=_reasons("not_http2") | NOT_TLS),
    "plaintext on the TLS port": Attack(plays.preface_in_clear, (NOBODY,), only="tls", reasons=NOT_TLS),
    "no certificate": Attack(plays.silence, (STRANGER,), only="tls", reasons=_reasons("certificate_missing")),
    "stalled handshakes": Attack(
        plays.stalled_client_hello, (NOBODY,), only="tls", width=50, slow=True, reasons=SHAKEN
    ),
    "slow handshakes, 1 byte/s": Attack(
        plays.slow_client_hello, (NOBODY,), only="tls", width=50, slow=True, reasons=SHAKEN
    ),
    "big handshakes": Attack(plays.big_client_hello, (NOBODY,), only="tls", reasons=_reasons("handshake_too_large")),
    "half-closed sockets": Attack(plays.preface_in_clear, (NOBODY,), DROP, half=True, only="plain"),
    "half-closed in a handshake": Attack(
        plays.stalled_client_hello, (NOBODY,), half=True, only="tls", reasons=_reasons("handshake_cut_off", "tls")
    ),
}


def pairs(name: str, tls: bool) -> list[str]:
    """Return the attacks of a port with their peers."""
    attack = ATTACKS[name]
    if attack.only and (attack.only == "tls") != tls:
        return []
    if attack.only:
        return list(attack.who)
    return [who for who in attack.who if not tls or who != STRANGER]
