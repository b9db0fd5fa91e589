# Types of _speedups.route.route_c, which is route_py.py compiled.
cimport cython


@cython.locals(executions=dict)
cpdef route(object world, dict peers, object events, dict reports, dict others)
