# Types of _speedups.http2.poller_c, which is poller_py.py compiled.
cimport cython
from libc.stdint cimport uint64_t

from _speedups.http2.connection_c cimport Conn


cdef class Poller:
    cdef public object limits
    cdef public dict rates             # of the buckets
    cdef public list rows              # of this slice
    cdef public double now             # of the last poll
    cdef public object epoll
    cdef int _wakeup_fd                    # an eventfd that makes the epoll set readable
    cdef bint _wakeup_pending
    cdef dict _conns                   # file descriptor → Conn
    cdef object _ready                 # deque of Conns that are to be served
    cdef dict _preferred               # Conn → (until when it is served first, turns left)
    cdef list _closed                    # Conns whose owners are not notified yet
    cdef dict _draining                 # Conn → when it is closed by force
    cdef dict _unfinished                    # Conn → Guard, of those within a frame or a header block
    cdef object _pre_session               # bytes held for connections without a session
    cdef uint64_t _turns_served
    cdef dict _counts
    cdef dict _past                    # sums over closed Conns

    @cython.locals(conn=Conn, deadline=double, rows=list)
    cpdef list poll(self, double now, int max_events=*, Py_ssize_t max_bytes_per_conn=*, double budget_s=*)

    cpdef prefer(self, object conn, double until)
    cpdef update_memory(self, Conn conn)
    cpdef schedule(self, Conn conn)

    cpdef bint track_unfinished(self, Conn conn, object guard, object frames, bint within, double now) except -1

    cpdef wake(self)
    cpdef mark_closed(self, Conn conn)
    cpdef close_when_drained(self, Conn conn)
    cdef _finalize_closed(self)
    cdef _abort_overdue(self)
    @cython.locals(conn=Conn)
    cdef _serve_preferred(self, double now, double deadline, Py_ssize_t max_bytes)
