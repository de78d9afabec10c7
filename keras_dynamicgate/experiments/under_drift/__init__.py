"""What each update mode recovers under drift, and what it forgets."""

from keras_dynamicgate.experiments.under_drift.kinds import DRIFTS
from keras_dynamicgate.experiments.under_drift.options import parse_drift
from keras_dynamicgate.experiments.under_drift.runner import drift
from keras_dynamicgate.experiments.under_drift.students import STUDENTS

__all__ = ["DRIFTS", "STUDENTS", "drift", "parse_drift"]
