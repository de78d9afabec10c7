"""Gated layers for Keras: networks that do less work for the same answer."""

from keras_dynamicgate import datasets
from keras_dynamicgate.callbacks.gate_schedule import GateSchedule
from keras_dynamicgate.callbacks.gate_summary import GateSummary
from keras_dynamicgate.callbacks.mac_budget import MacBudget
from keras_dynamicgate.gating.networks import LinearGate, LowRankGate, MLPGate, StaticGate
from keras_dynamicgate.gating.penalties import TargetUsage, UsagePenalty
from keras_dynamicgate.inference.compact import (
    CompactionReport,
    compact,
    compact_with_report,
)
from keras_dynamicgate.layers.dynamic_gate import DynamicGate
from keras_dynamicgate.layers.dynamic_gate_dense import DynamicGateDense
from keras_dynamicgate.layers.dynamic_gate_mlp import DynamicGateMLP
from keras_dynamicgate.macs.report import MacReport, count_macs
from keras_dynamicgate.pictures import plot_gates

__version__ = "0.1.0"

__all__ = [
    "CompactionReport",
    "DynamicGate",
    "DynamicGateDense",
    "DynamicGateMLP",
    "GateSchedule",
    "GateSummary",
    "LinearGate",
    "LowRankGate",
    "MLPGate",
    "MacBudget",
    "MacReport",
    "StaticGate",
    "TargetUsage",
    "UsagePenalty",
    "compact",
    "compact_with_report",
    "count_macs",
    "datasets",
    "plot_gates",
]
