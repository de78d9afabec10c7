"""Which weights learn while a model serves, and what stays as it is, bit for bit."""

from keras_dynamicgate.plasticity.continual import continual_measures, flip_rate
from keras_dynamicgate.plasticity.inactive import inactive_units
from keras_dynamicgate.plasticity.learned import Learned
from keras_dynamicgate.plasticity.learner import OnlineLearner
from keras_dynamicgate.plasticity.masked_update import MaskedUpdate
from keras_dynamicgate.plasticity.modes import set_update_mode, update_mode
from keras_dynamicgate.plasticity.opening import open_units
from keras_dynamicgate.plasticity.prequential import FadingAccuracy, Prequential
from keras_dynamicgate.plasticity.report import UpdateReport, update_report
from keras_dynamicgate.plasticity.reserve import reserve_units

__all__ = [
    "FadingAccuracy",
    "Learned",
    "MaskedUpdate",
    "OnlineLearner",
    "Prequential",
    "UpdateReport",
    "continual_measures",
    "flip_rate",
    "inactive_units",
    "open_units",
    "reserve_units",
    "set_update_mode",
    "update_mode",
    "update_report",
]
