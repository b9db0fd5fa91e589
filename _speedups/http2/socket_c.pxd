# Types of _speedups.http2.socket_c, which is socket_py.py compiled.
cimport cython
from libc.stdint cimport uint64_t

cdef Py_ssize_t CHUNK


@cython.final
cdef class BufferedSocket:
    cdef public object sock
    cdef public int fd
    cdef public bint secure            # TLS
    cdef public bint corked            # writes only queue
    cdef public bint closed
    cdef public bint reading         # reads
    cdef public bint registered        # is in the epoll set
    cdef public object error           # why the socket failed, or None
    cdef public Py_ssize_t queued      # bytes
    cdef public uint64_t sends
    cdef public uint64_t sent  # bytes
    cdef Py_ssize_t _limit
    cdef object _epoll
    cdef object _recv
    cdef object _send
    cdef object _queue                 # deque of bytes behind _head
    cdef bytes _head
    cdef Py_ssize_t _offset            # of _head, sent
    cdef Py_ssize_t _tls_retry_length             # length of the piece that TLS must be given again
    cdef bint _wants_write                   # for the socket to take more
    cdef int _interest                 # as registered

    cpdef register(self)
    cpdef unregister(self)
    cpdef bytes read(self, Py_ssize_t size)
    cpdef bint epoll_reports_all(self) except -1
    cpdef write(self, bytes data)

    @cython.locals(left=Py_ssize_t, sent=Py_ssize_t)
    cpdef flush(self)

    cpdef stop_reading(self)

    @cython.locals(length=Py_ssize_t)
    cdef object _piece(self, Py_ssize_t left)

    @cython.locals(head=bytes, piece=bytes, size=Py_ssize_t)
    cdef _next_head(self)

    @cython.locals(interest=int)
    cdef _update_interest(self)

    cdef _fail(self, object error)
