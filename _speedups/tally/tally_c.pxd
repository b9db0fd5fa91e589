# Types of _speedups.tally.tally_c, which is tally_py.py compiled.
cimport cython

cdef Py_ssize_t WIDTH
cdef Py_ssize_t OPEN
cdef Py_ssize_t MAX_SLOTS
cdef long long MAX_COUNT


cdef class Tally:
    cdef Py_ssize_t _capacity          # slots that there is room for
    cdef Py_ssize_t _size              # slots that are live
    cdef long long[::1] _cells         # WIDTH counters per slot, slot after slot
    cdef signed char[::1] _live        # per slot: 1 while it is in use
    cdef long long[::1] _totals        # WIDTH sums over the live slots
    cdef dict _changed                 # slot → None, in order of first change

    @cython.locals(row=tuple, state=Py_ssize_t, base=Py_ssize_t, new="long long[::1]")
    cpdef add(self, object slot, object counts)

    @cython.locals(count=Py_ssize_t, done=Py_ssize_t, slot=Py_ssize_t, old=Py_ssize_t, new=Py_ssize_t, base=Py_ssize_t,
                   cells="long long[::1]", totals="long long[::1]", live="signed char[::1]")
    cpdef apply(self, list slots, list olds, list news)

    @cython.locals(base=Py_ssize_t, state=Py_ssize_t)
    cpdef tuple counts(self, object slot)

    @cython.locals(base=Py_ssize_t)
    cpdef long long open(self, object slot) except -1

    @cython.locals(state=Py_ssize_t)
    cpdef tuple totals(self)

    cpdef list take_changed(self)

    @cython.locals(base=Py_ssize_t, state=Py_ssize_t)
    cpdef drop(self, object slot)

    cdef Py_ssize_t _base(self, object slot) except -1

    @cython.locals(capacity=Py_ssize_t, index=Py_ssize_t, cells="long long[::1]", live="signed char[::1]")
    cdef _grow(self, Py_ssize_t needed)
