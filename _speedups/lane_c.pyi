# The compiled lane has the plain one's interface, because it is made from the same source.
from _speedups.lane_hub_py import Hub as Hub
from _speedups.lane_py import Conn as Conn
from _speedups.lane_wire_py import encode_ack as encode_ack
from _speedups.lane_wire_py import encode_dispatch as encode_dispatch
from _speedups.lane_wire_py import encode_heartbeat as encode_heartbeat
