# Types of _speedups.messages.hello_c, which is hello_py.py compiled.
cimport cython
from libc.stdint cimport int64_t, uint64_t

from _speedups.messages.decode_c cimport Cursor

cdef int HELLO, NEWEST, LENGTH, MAX_FIELDS

@cython.locals(cursor=Cursor, member=int, body=bytes, piece=bytes)
cpdef tuple decode_hello(bytes message)

@cython.locals(field=int, host_id=str, journal_id=str, boot_id=str, generation=uint64_t, max_seq=uint64_t, max_epoch=uint64_t,
               slots=uint64_t, protocol=uint64_t, entries=list, facts=tuple)
cdef tuple _hello(Cursor cursor)

@cython.locals(field=int, command_id=str, attempt=uint64_t, seq=uint64_t, stage=int64_t, end=Py_ssize_t)
cdef tuple _entry(Cursor cursor)

@cython.locals(field=int, labels=dict, end=Py_ssize_t)
cdef tuple _facts(Cursor cursor, tuple before)

@cython.locals(key=str, value=str, end=Py_ssize_t)
cdef tuple _label(Cursor cursor)
