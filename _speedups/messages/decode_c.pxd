# Types of _speedups.messages.decode_c, which is decode_py.py compiled.
cimport cython
from libc.stdint cimport int64_t, uint64_t

cdef uint64_t MAX_UINT64
cdef uint64_t MAX_INT64
cdef uint64_t MAX_UINT32
cdef uint64_t MAX_INT32
cdef int VARINT, FIXED64, LENGTH, FIXED32
cdef int RESULT, ACCEPTED, STARTED, OUTPUT, HEARTBEAT, NEWEST
cdef int MAX_MEMBERS, MAX_FIELDS


@cython.final
@cython.freelist(4)
cdef class Cursor:
    cdef bytes data
    cdef Py_ssize_t position
    cdef Py_ssize_t end                # end of what is read
    cdef Py_ssize_t stop               # end of the field of wire type LENGTH
    cdef int field
    cdef int wire
    cdef int left                      # fields that are still allowed

    @cython.locals(data=bytes, position=Py_ssize_t, value=uint64_t, byte=uint64_t, shift=int)
    cdef uint64_t varint(self) except *

    @cython.locals(tag=uint64_t, length=uint64_t, room=uint64_t)
    cdef bint next(self) except -1

    cdef int skip(self) except -1
    cdef int expect(self, int wire) except -1

    @cython.locals(start=Py_ssize_t)
    cdef str text(self)

    @cython.locals(start=Py_ssize_t)
    cdef bytes octets(self)

    cdef uint64_t uint64(self) except *
    cdef uint64_t uint32(self) except *

    @cython.locals(value=uint64_t, rest=int64_t)
    cdef int64_t int64(self) except *

    @cython.locals(value=uint64_t, rest=int64_t)
    cdef int64_t int32(self) except *

    @cython.locals(value=uint64_t, half=int64_t)
    cdef int64_t sint32(self) except *

    cdef bint boolean(self) except -1


@cython.locals(cursor=Cursor, source=bytes, row=tuple, member=int, unknown=int, at=Py_ssize_t, stop=Py_ssize_t, members=int)
cpdef tuple decode(object tag, bytes data, Py_ssize_t start, Py_ssize_t end)

cdef tuple _member(object tag, int kind, bytes data, Py_ssize_t start, Py_ssize_t end)

@cython.locals(field=int, command_id=str, error_code=str, error_message=str, attempt=uint64_t,
               outcome=int64_t, exit_code=object, signal=uint64_t, started_at_ms=int64_t,
               finished_at_ms=int64_t, duration_us=uint64_t, leftovers_killed=uint64_t, left_running=uint64_t, observed=uint64_t,
               pipe_held=bint,
               stdout=tuple, stderr=tuple, usage=tuple, kill=tuple)
cdef tuple _result(object tag, Cursor cursor)

@cython.locals(field=int, head=bytes, tail=bytes, total=uint64_t, sha256=bytes, end=Py_ssize_t)
cdef tuple _digest(Cursor cursor, tuple before)

@cython.locals(field=int, user_us=uint64_t, system_us=uint64_t, max_rss_kb=uint64_t,
               end=Py_ssize_t)
cdef tuple _usage(Cursor cursor, tuple before)

@cython.locals(field=int, reason=str, term_at_ms=int64_t, kill_at_ms=int64_t, tree_empty=bint, end=Py_ssize_t)
cdef tuple _kill(Cursor cursor, tuple before)

@cython.locals(field=int, command_id=str, piece=bytes, attempt=uint64_t, pid=uint64_t, stream=int64_t, offset=uint64_t,
               order=uint64_t, at_ms=int64_t)
cdef tuple _of_execution(object tag, int kind, Cursor cursor)

@cython.locals(field=int, beat=uint64_t, running=uint64_t, answer=bint)
cdef tuple _heartbeat(object tag, Cursor cursor)
