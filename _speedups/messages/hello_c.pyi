# The compiled module has the interface of the plain one, because it is made from the same source.
from _speedups.messages.hello_py import decode_hello as decode_hello
