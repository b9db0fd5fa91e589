# The compiled lane has the plain one's interface, because it is made from the same source.
from _speedups.http2.connection_py import Conn as Conn
from _speedups.http2.poller_py import Hub as Hub
from _speedups.messages.codec_py import encode_ack as encode_ack
from _speedups.messages.codec_py import encode_dispatch as encode_dispatch
from _speedups.messages.codec_py import encode_heartbeat as encode_heartbeat
