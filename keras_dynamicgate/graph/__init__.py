"""Keras's graphs, layers and state: all code that relies on names that Keras keeps private.

Nothing here knows of gates.
"""

from keras_dynamicgate.graph.state import all_layers
from keras_dynamicgate.graph.walk import (
    Graph,
    Node,
    Trace,
    consumers,
    functional,
    has_graph,
    input_layer,
    nodes,
    pair_inputs,
    walk,
)

__all__ = [
    "Graph",
    "Node",
    "Trace",
    "all_layers",
    "consumers",
    "functional",
    "has_graph",
    "input_layer",
    "nodes",
    "pair_inputs",
    "walk",
]
