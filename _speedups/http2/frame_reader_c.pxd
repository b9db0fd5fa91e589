# Types of _speedups.http2.frame_reader_c, which is frame_reader_py.py compiled.
cimport cython

from _speedups.http2.connection_c cimport Conn
from _speedups.http2.stream_c cimport AttachedStream

cdef Py_ssize_t HEADER
cdef double FULL_FRAME_DISCOUNT
cdef int DATA, HEADERS, RST_STREAM, GOAWAY, CONTINUATION, END_STREAM, END_HEADERS
cdef int GRPCLIB_BATCH, FRAMES_PER_CLOCK_CHECK


@cython.locals(run=Py_ssize_t, batch=int, work=int, length=Py_ssize_t, stop=Py_ssize_t, kind=int, flags=int, stream=Py_ssize_t, attached=AttachedStream)
cpdef Py_ssize_t read_frames(Conn conn, bytes data, Py_ssize_t position, Py_ssize_t end, double deadline) except? -1

cdef bint _ends_stream(Conn conn, int kind, int flags) except -1
