# Types of _speedups.messages.encode_c, which is encode_py.py compiled.
cimport cython
from libc.stdint cimport uint64_t

cdef uint64_t MAX_UINT64
cdef uint64_t CACHED_VARINTS
cdef list _varints


@cython.locals(left=uint64_t, out=bytearray)
cpdef bytes varint(object value)

@cython.locals(own=bytes)
cpdef bytes encode_dispatch(bytes shared, object attempt, object seq, object session)

@cython.locals(text=bytes, body=bytes)
cpdef bytes encode_ack(str command_id, object attempt)

@cython.locals(body=bytes)
cpdef bytes encode_heartbeat(object beat, bint answer)

@cython.locals(parts=list, own=bytes, text=bytes, body=bytes)
cpdef bytes encode_welcome(object epoch, object session, object credits, object heartbeat_ms, object silence_ms, list verdicts)
