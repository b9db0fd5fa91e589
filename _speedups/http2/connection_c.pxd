# Types of _speedups.http2.connection_c, which is connection_py.py compiled. What is inside, at a glance:
cimport cython
from libc.stdint cimport uint64_t

from _speedups.http2.socket_c cimport Pipe
from _speedups.http2.stream_c cimport Lane

cdef Py_ssize_t HEADER
cdef double FULL_IS_LESS
cdef int DATA, HEADERS, RST_STREAM, GOAWAY, CONTINUATION, END_STREAM, END_HEADERS
cdef int BATCH, PATIENCE
cdef object _last_words, _last_data


@cython.final
cdef class Conn:
    cdef public object hub
    cdef public Pipe pipe
    cdef public int fd
    cdef public object tag
    cdef public Py_ssize_t counted     # bytes, see held_back
    cdef public bint closed
    cdef public bint waiting           # for its turn in the hub
    cdef public double last_read
    cdef public object on_gone
    cdef object _protocol
    cdef object _limits
    cdef object _guard
    cdef object _h2
    cdef object _reason                # why it is gone, as far as known
    cdef list _rows
    cdef Lane _lane                    # the attached stream, or None
    cdef Py_ssize_t _stream            # its id, or 0
    cdef bytes _held                   # read, and not yet looked at
    cdef bint _preface                 # still to come
    cdef bint _closing
    cdef bint _slow                    # among the hub's slow ones
    cdef bint _goaway                  # the peer's was seen
    cdef int _ending                   # the attached stream's trailers have begun
    cdef Py_ssize_t _largest           # bytes of a frame
    cdef double _now
    cdef double _frames_full           # that it can hold
    cdef double _frames_left           # that the bucket holds
    cdef uint64_t _frames
    cdef uint64_t _messages  # of streams that were attached before
    cdef uint64_t _bytes_in

    cpdef write(self, bytes data)
    cpdef attach(self, Py_ssize_t stream_id, object tag, bytes leftover=*, Py_ssize_t first=*)

    cpdef become(self, object http2)

    @cython.locals(lane=Lane)
    cpdef detach(self)

    cpdef send(self, list messages)
    cpdef close(self)
    cpdef abort(self, object reason=*)

    @cython.locals(lane=Lane)
    cpdef Py_ssize_t held_back(self) except -1

    @cython.locals(pipe=Pipe, more=bint, full=double)
    cpdef bint ready(self, double now, double deadline, Py_ssize_t max_bytes) except -1

    cpdef bury(self)

    @cython.locals(pipe=Pipe, total=Py_ssize_t, data=bytes)
    cdef bint _read(self, double deadline, Py_ssize_t max_bytes) except -1

    @cython.locals(end=Py_ssize_t, position=Py_ssize_t)
    cdef bint _split(self, bytes data, double deadline) except -1

    @cython.locals(run=Py_ssize_t, batch=int, work=int, length=Py_ssize_t, stop=Py_ssize_t, kind=int, flags=int, stream=Py_ssize_t, lane=Lane)
    cdef Py_ssize_t _frames_in(self, bytes data, Py_ssize_t position, Py_ssize_t end, double deadline) except? -1

    cdef bint _leaves(self, int kind, int flags) except -1

    @cython.locals(lane=Lane)
    cdef _feed(self, bytes frames)

    cdef _leave(self, str reason)
    cpdef refuse(self, int code, str reason)

    @cython.locals(pipe=Pipe)
    cdef _check(self)

    cdef _end(self, str reason, bint gently=*)
    cdef object _http2(self)
