# The compiled Tally has the plain one's interface, because it is made from the same source.
from _speedups.tally.tally_py import Tally as Tally
