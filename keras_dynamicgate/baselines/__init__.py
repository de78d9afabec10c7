"""Other ways to spend less computation, to compare gates with."""

from keras_dynamicgate.baselines.magnitude_pruning import MagnitudePrunedDense, MagnitudePruning
from keras_dynamicgate.baselines.rigl import RigLDense, RigLUpdate
from keras_dynamicgate.baselines.soft_moe import SoftMoE
from keras_dynamicgate.baselines.switch_moe import SwitchMoE

__all__ = [
    "MagnitudePrunedDense",
    "MagnitudePruning",
    "RigLDense",
    "RigLUpdate",
    "SoftMoE",
    "SwitchMoE",
]
