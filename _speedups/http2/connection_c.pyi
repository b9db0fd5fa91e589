# The compiled module has the interface of the plain one, because it is made from the same source.
from _speedups.http2.connection_py import Conn as Conn
