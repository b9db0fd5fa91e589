# The compiled route has the plain one's interface, because it is made from the same source.
from _speedups.route.route_py import route as route
