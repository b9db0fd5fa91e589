# Types of _speedups.http2.stream_c, which is stream_py.py compiled.
cimport cython
from libc.stdint cimport uint64_t

from _speedups.http2.socket_c cimport BufferedSocket

cdef Py_ssize_t PREFIX
cdef int END_STREAM, PADDED
cdef Py_ssize_t CACHED_SIZES
cdef object _decode, _frame_header, _prefix, _update
cdef dict _frame_heads


@cython.final
cdef class AttachedStream:
    cdef public object tag
    cdef public Py_ssize_t stream
    cdef public Py_ssize_t debt        # bytes consumed, not returned to the connection's window
    cdef public Py_ssize_t window_left        # bytes that may arrive before the windows are read again
    cdef public uint64_t messages
    cdef public bytearray waiting      # messages held back by the peer's windows, or None
    cdef object _h2
    cdef object _h2_stream
    cdef BufferedSocket _buffered
    cdef object _guard
    cdef object _limits
    cdef list _rows
    cdef Py_ssize_t _debt_stream
    cdef Py_ssize_t _grant_at              # debt at which it is returned: half of the window
    cdef Py_ssize_t _needed              # bytes of the message in _part, as far as known
    cdef public Py_ssize_t largest     # bytes of a message
    cdef public bint expects_hello           # a first message, also when it is empty
    cdef bytearray _partial               # a message that has begun, or None
    cdef Py_ssize_t _window            # outbound, as _allowed found them
    cdef Py_ssize_t _stream_window
    cdef bint _broken
    cdef double _tokens                  # messages that the bucket holds
    cdef double _refilled_at

    cpdef bind_h2(self, object h2, object h2_stream)

    @cython.locals(length=Py_ssize_t)
    cpdef bint frame(self, bytes data, int flags, Py_ssize_t start, Py_ssize_t stop, double now) except -1

    @cython.locals(size=Py_ssize_t, row=object)
    cpdef consume(self, bytes data, Py_ssize_t start, Py_ssize_t stop, double now)

    cpdef Py_ssize_t partial_bytes(self) except -1

    cpdef grant(self)

    @cython.locals(connection=Py_ssize_t, stream=Py_ssize_t)
    cdef _read_windows(self)

    @cython.locals(full=double)
    cdef _refill(self, double now)

    cdef _mark_malformed(self, str reason)

    @cython.locals(parts=list, total=Py_ssize_t, message=bytes, head=bytes)
    cpdef send(self, list messages)

    @cython.locals(waiting=bytearray, frames=list, done=Py_ssize_t, size=Py_ssize_t)
    cpdef send_waiting(self)

    @cython.locals(largest=Py_ssize_t)
    cdef Py_ssize_t _allowed(self) except? -1

    cdef _spend(self, Py_ssize_t size)
