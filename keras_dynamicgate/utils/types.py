"""Names for the types that many signatures share."""

from typing import Any

# Of one sample, so without the batch axis.
Shape = tuple[int, ...]
# With the batch axis: integers, or `None` for a size that a model leaves open.
PartialShape = tuple[Any, ...]

# A tensor of the backend that Keras runs on.
Tensor = Any

# Inputs as for `model.predict`: an array or a list or dict of arrays.
Inputs = Any

# What Keras tells callbacks about an epoch.
Logs = dict[str, Any]
