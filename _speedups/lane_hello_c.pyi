# The compiled module has the plain one's interface, because it is made from the same source.
from _speedups.lane_hello_py import decode_hello as decode_hello
from _speedups.lane_hello_py import encode_welcome as encode_welcome
