"""What the compiled kernels hand to each other, by name."""

from collections import namedtuple

# Arrays that all workers share, and the scratch of the worker itself.
Memory = namedtuple("Memory", "weights tables inputs outputs values lists scratch")

# A part of a step: the first row of the input or output that it starts from, its rows, the rows
# that there is room for, and which of how many tickets it is.
Part = namedtuple("Part", "first_row rows capacity ticket tickets")
