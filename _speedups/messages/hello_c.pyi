# The compiled module has the plain one's interface, because it is made from the same source.
from _speedups.messages.hello_py import decode_hello as decode_hello
from _speedups.messages.hello_py import encode_welcome as encode_welcome
