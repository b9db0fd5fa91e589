# Types of _speedups.http2.connection_c, which is connection_py.py compiled.
cimport cython
from libc.stdint cimport uint64_t

from _speedups.http2.socket_c cimport BufferedSocket
from _speedups.http2.stream_c cimport AttachedStream

cdef object read_frames


@cython.final
cdef class Conn:
    cdef public object poller
    cdef public BufferedSocket buffered
    cdef public int fd
    cdef public object tag
    cdef public Py_ssize_t recorded_bytes     # bytes, see pre_session_bytes
    cdef public bint closed
    cdef public bint waiting           # for its turn in the poller
    cdef public double last_read
    cdef public object on_closed
    cdef object _protocol
    cdef object _limits
    cdef object _guard
    cdef object _h2
    cdef object _reason                # why it is closed, as far as known
    cdef list _rows
    cdef AttachedStream _attached                    # the attached stream, or None
    cdef Py_ssize_t _stream_id            # its id, or 0
    cdef bytes _held                   # read, and not yet handled
    cdef bint _preface                 # not yet received
    cdef bint _closing
    cdef bint _unfinished                    # checked by Poller.overdue
    cdef bint _goaway_seen                  # the peer's was seen
    cdef int _trailers_end_stream                   # the attached stream's trailers have begun
    cdef Py_ssize_t _max_frame           # bytes of a frame
    cdef double _now
    cdef double _frames_full           # that it can hold
    cdef double _frames_left           # that the bucket holds
    cdef uint64_t _frames
    cdef uint64_t _messages  # of streams that were attached before
    cdef uint64_t _bytes_in

    cpdef write(self, bytes data)
    cpdef attach(self, Py_ssize_t stream_id, object tag, bytes leftover=*, Py_ssize_t first=*)

    cpdef bind_h2(self, object http2)

    @cython.locals(attached=AttachedStream)
    cpdef detach(self)

    cpdef send(self, list messages)
    cpdef close(self)
    cpdef abort(self, object reason=*)

    @cython.locals(attached=AttachedStream)
    cpdef Py_ssize_t pre_session_bytes(self) except -1

    @cython.locals(buffered=BufferedSocket, more=bint, full=double)
    cpdef bint serve(self, double now, double deadline, Py_ssize_t max_bytes) except -1

    cpdef finalize(self)

    @cython.locals(buffered=BufferedSocket, total=Py_ssize_t, data=bytes)
    cdef bint _read(self, double deadline, Py_ssize_t max_bytes) except -1

    @cython.locals(end=Py_ssize_t, position=Py_ssize_t)
    cdef bint _split(self, bytes data, double deadline) except -1

    @cython.locals(attached=AttachedStream)
    cdef _pass_to_grpclib(self, bytes frames)

    cdef _end_session(self, str reason)
    cpdef refuse(self, int code, str reason)

    @cython.locals(buffered=BufferedSocket)
    cdef _after_write(self)

    cdef _end(self, str reason, bint gently=*)
    cdef object _http2(self)
