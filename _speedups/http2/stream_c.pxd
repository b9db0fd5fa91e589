# Types of _speedups.http2.stream_c, which is stream_py.py compiled. What is inside, at a glance:
cimport cython
from libc.stdint cimport uint64_t

from _speedups.http2.socket_c cimport Pipe

cdef Py_ssize_t PREFIX
cdef int END_STREAM, PADDED
cdef Py_ssize_t CACHED
cdef object _decode, _frame, _prefix, _update
cdef dict _heads


@cython.final
cdef class Lane:
    cdef public object tag
    cdef public Py_ssize_t stream
    cdef public Py_ssize_t debt        # bytes consumed, not given back to the connection's window
    cdef public Py_ssize_t room        # bytes that may come before the windows are looked at again
    cdef public uint64_t messages
    cdef public bytearray waiting      # for the peer's windows; None: nothing
    cdef object _h2
    cdef object _h2_stream
    cdef Pipe _pipe
    cdef object _guard
    cdef object _limits
    cdef list _rows
    cdef Py_ssize_t _debt_stream
    cdef Py_ssize_t _half              # of the window: debt at which it is given back
    cdef Py_ssize_t _need              # bytes of the message in _part, as far as known
    cdef public Py_ssize_t largest     # bytes of a message
    cdef public bint expects           # a first message, also when it is empty
    cdef bytearray _part               # a message that has begun; None: none
    cdef Py_ssize_t _window            # outbound, as _allowed found them
    cdef Py_ssize_t _stream_window
    cdef bint _broken
    cdef double _left                  # messages that the bucket holds
    cdef double _refilled

    cpdef become(self, object h2, object h2_stream)

    @cython.locals(length=Py_ssize_t)
    cpdef bint frame(self, bytes data, int flags, Py_ssize_t start, Py_ssize_t stop, double now) except -1

    @cython.locals(size=Py_ssize_t, row=object)
    cpdef consume(self, bytes data, Py_ssize_t start, Py_ssize_t stop, double now)

    cpdef Py_ssize_t begun(self) except -1

    cpdef grant(self)

    @cython.locals(connection=Py_ssize_t, stream=Py_ssize_t)
    cdef _measure(self)

    @cython.locals(full=double)
    cdef _refill(self, double now)

    cdef _break(self, str reason)

    @cython.locals(parts=list, total=Py_ssize_t, message=bytes, head=bytes)
    cpdef send(self, list messages)

    @cython.locals(waiting=bytearray, frames=list, done=Py_ssize_t, size=Py_ssize_t)
    cpdef pump(self)

    @cython.locals(largest=Py_ssize_t)
    cdef Py_ssize_t _allowed(self) except? -1

    cdef _spend(self, Py_ssize_t size)
