"""grpclib's server with the limits of this port, and with answers for requests that are not gRPC.

grpclib announces h2's defaults, which exceed what the guard allows, and answers requests that are not gRPC without a
body.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from grpclib.config import Configuration
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.protocol import Connection, EventsProcessor, H2Protocol
from grpclib.server import Handler as Requests
from grpclib.server import Server
from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hpack import Decoder, HPACKError, OversizedHeaderListError
from hyperframe.frame import GoAwayFrame

from proto.link.grpclib_internals import (
    config_of,
    h2_of,
    make_request_handler,
    method_name,
    methods_of,
    set_methods,
    start_task,
    write_raw,
)

H2 = H2Configuration(
    client_side=False,
    header_encoding="ascii",
    validate_inbound_headers=True,
    normalize_inbound_headers=True,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)
"""grpclib switches the checks of inbound headers off; here they are on (RFC 9113 section 8.2)."""

GRPC = ("application/grpc", "application/grpc+proto")
GC_INTERVAL = 4_096
"""grpclib scans its connections at every tenth new one. With ten thousand that is most of the cost of connecting."""


_TIMEOUT = re.compile("[0-9]{1,8}[HMSmun]")


class BadBlock(ProtocolError):
    """A header block that cannot be decoded. h2 reports it as a PROTOCOL_ERROR."""

    error_code = ErrorCodes.COMPRESSION_ERROR


class _Decoder(Decoder):
    def decode(self, data: bytes, raw: bool = False) -> Any:
        """Decode a header block.

        Raises:
            BadBlock: it cannot be decoded (RFC 9113 section 4.3).
            OversizedHeaderListError: it is too large; h2 handles this.
        """
        try:
            return super().decode(data, raw)
        except OversizedHeaderListError:
            raise
        except (HPACKError, IndexError, TypeError, UnicodeDecodeError) as error:
            raise BadBlock(f"header block: {error}") from error


class ServerProtocol(H2Protocol):
    """grpclib's protocol object for one connection.

    Args:
        handler: grpclib's request handler.
        config: grpclib's configuration.
        streams: concurrent streams to announce (RFC 9113 section 6.5.2).
        header_list: bytes of a header list to announce.
    """

    def __init__(self, handler: Requests, config: Configuration, streams: int, header_list: int) -> None:
        super().__init__(handler, config, H2)
        self._streams = streams
        self._header_list = header_list

    def connection_made(self, transport: Any) -> None:
        """Start the connection like grpclib does, but announce everything in the first SETTINGS frame.

        Raises:
            OSError: the peer has already closed the connection.
        """
        http2 = H2Connection(config=self.h2_config)
        http2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: self._streams,
                SettingCodes.MAX_HEADER_LIST_SIZE: self._header_list,
                SettingCodes.INITIAL_WINDOW_SIZE: self.config.http2_stream_window_size,
            },
        )
        http2.decoder = _Decoder()
        http2.decoder.max_allowed_table_size = http2.local_settings.header_table_size
        http2.decoder.max_header_list_size = self._header_list
        http2.initiate_connection()
        if delta := self.config.http2_connection_window_size - http2.inbound_flow_control_window:
            http2.increment_flow_control_window(delta)
        self.connection = Connection(http2, transport, config=self.config)
        self.connection.flush()
        self.connection.initialize()
        self.processor = EventsProcessor(self.handler, self.connection)

    def goaway(self) -> None:
        """Send a GOAWAY that accepts no further stream (RFC 9113 section 6.8). Open streams continue."""
        if not self.connection.is_closing() and h2_of(self).state_machine.state is not ConnectionState.CLOSED:
            last = h2_of(self).highest_inbound_stream_id
            write_raw(self, GoAwayFrame(0, last_stream_id=last, error_code=ErrorCodes.NO_ERROR).serialize())


class Methods(dict[str, Handler]):
    """Path → handler. grpclib's answer for an unknown path lacks the content-type that gRPC requires."""

    def get(self, path: str, default: Any = None) -> Any:
        return super().get(path) or Handler(_unknown, Cardinality.STREAM_STREAM, bytes, bytes)


async def _unknown(stream: Any) -> None:
    raise GRPCError(Status.UNIMPLEMENTED, f"unknown method {method_name(stream)}")


class _Requests(Requests):
    def accept(self, stream: Any, headers: list[tuple[str, str]], release_stream: Callable[[], None]) -> None:
        known = dict(headers)
        wrong = http_refusal(known)
        if wrong is None and _TIMEOUT.fullmatch(known.get("grpc-timeout", "1S")) is None:
            self.__gc_step__()
            start_task(self, stream, _refuse(stream, Status.INTERNAL, "grpc-timeout is malformed", release_stream))
        elif wrong is None:
            super().accept(stream, headers, release_stream)
        else:
            self.__gc_step__()
            stream.buffer = sink = _Sink(partial(stream.connection.ack, stream.id))
            start_task(self, stream, _turn_away(stream, sink.ended, *wrong, release_stream))


class _Sink:
    """Replaces grpclib's buffer of a stream: drops the data and returns its window, so that the request can end."""

    def __init__(self, ack: Callable[[int], None]) -> None:
        self._ack = ack
        self.ended = asyncio.Event()

    def add(self, data: bytes, ack_size: int) -> None:
        self._ack(ack_size)

    def eof(self) -> None:
        self.ended.set()

    def unacked_size(self) -> int:
        return 0


def http_refusal(headers: Mapping[str, str]) -> tuple[int, str, bool] | None:
    """The HTTP answer to a request that is not gRPC (PROTOCOL-HTTP2, "Requests").

    Returns:
        None for a gRPC request, else the HTTP status, the text, and whether the text is sent.
    """
    if headers[":method"] != "POST":
        return 405, "This port speaks gRPC: it takes POST requests only.\n", headers[":method"] != "HEAD"
    if headers.get("content-type") not in GRPC:
        return 415, f"This port speaks gRPC: the content-type must be {' or '.join(GRPC)}.\n", True
    return None


async def _refuse(stream: Any, status: Status, words: str, release: Callable[[], None]) -> None:
    """Answer without a message ("Trailers-Only")."""
    try:
        await stream.send_headers(
            [
                (":status", "200"),
                ("content-type", GRPC[1]),
                ("grpc-status", str(status.value)),
                ("grpc-message", words),
            ],
            end_stream=True,
        )
        if stream.closable:
            stream.reset_nowait()
    except (ProtocolError, StreamTerminatedError, ConnectionError):
        return  # the client has disconnected
    finally:
        release()


async def _turn_away(
    stream: Any, ended: asyncio.Event, status: int, words: str, wanted: bool, release: Callable[[], None]
) -> None:
    body = words.encode()
    headers = [
        (":status", str(status)),
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", str(len(body))),
    ]
    if status == 405:
        headers.append(("allow", "POST"))
    try:
        await ended.wait()  # only at its end is it known whether the request is malformed
        await stream.send_headers(headers, end_stream=not wanted)
        if wanted:
            await stream.send_data(body, end_stream=True)
    except (ProtocolError, StreamTerminatedError, ConnectionError):
        return  # the client has disconnected
    finally:
        release()


class GrpcServer(Server):
    """Makes grpclib's protocol objects; it does not listen by itself.

    Args:
        services: grpclib's services.
        codec: grpclib's codec.
        window: bytes of the windows of connection and stream.
        streams: concurrent streams of a connection.
        header_list: bytes of a header list.
    """

    def __init__(self, services: list[Any], codec: Any, window: int, streams: int, header_list: int) -> None:
        super().__init__(
            services,
            codec=codec,
            config=Configuration(http2_connection_window_size=window, http2_stream_window_size=window),
        )
        set_methods(self, Methods(methods_of(self)))
        self._streams = streams
        self._header_list = header_list
        self.__gc_interval__ = GC_INTERVAL

    def protocol(self) -> ServerProtocol:
        """Make the protocol object for a new connection. Needs a running asyncio loop."""
        self.__gc_step__()
        handler = make_request_handler(self, _Requests)
        return ServerProtocol(handler, config_of(self), self._streams, self._header_list)
