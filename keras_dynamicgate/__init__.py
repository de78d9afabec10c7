"""Gated layers for Keras: networks that do less work for the same answer."""

import importlib
from typing import TYPE_CHECKING, Any

# Whatever a saved model may hold is imported, so that Keras knows it when it loads the model.
from keras_dynamicgate import baselines, plasticity
from keras_dynamicgate.conversion import gated_composite as gated_composite
from keras_dynamicgate.conversion import gated_model as gated_model
from keras_dynamicgate.gating.activation_gate import ActivationGate
from keras_dynamicgate.gating.gate_network import AffineMap, GateNetwork
from keras_dynamicgate.gating.networks import LinearGate, LowRankGate, MLPGate, StaticGate
from keras_dynamicgate.gating.penalties import TargetUsage, UsagePenalty
from keras_dynamicgate.layers.dense_weights import load_dense_weights
from keras_dynamicgate.layers.dynamic_gate import DynamicGate
from keras_dynamicgate.layers.dynamic_gate_conv2d import DynamicGateConv2D
from keras_dynamicgate.layers.dynamic_gate_dense import DynamicGateDense
from keras_dynamicgate.layers.dynamic_gate_mlp import DynamicGateMLP
from keras_dynamicgate.training import distillation as distillation
from keras_dynamicgate.training import one_cycle as one_cycle

if TYPE_CHECKING:
    from keras_dynamicgate import datasets, experiments, reports
    from keras_dynamicgate.benchmarking.benchmark import benchmark
    from keras_dynamicgate.benchmarking.report import BenchmarkReport
    from keras_dynamicgate.callbacks.gate_schedule import GateSchedule
    from keras_dynamicgate.callbacks.gate_summary import GateSummary
    from keras_dynamicgate.callbacks.mac_budget import MacBudget
    from keras_dynamicgate.callbacks.pareto_checkpoint import ParetoCheckpoint
    from keras_dynamicgate.callbacks.time_budget import TimeBudget
    from keras_dynamicgate.compaction.compact import compact, compact_with_report
    from keras_dynamicgate.compaction.report import CompactionReport
    from keras_dynamicgate.conversion.gate_model import gate_model
    from keras_dynamicgate.conversion.skip_experts import skip_experts
    from keras_dynamicgate.counting.count import count_macs
    from keras_dynamicgate.elastic.set_budget import budgets, set_budget
    from keras_dynamicgate.engine.engine import InferenceEngine
    from keras_dynamicgate.latency.predict_time import predict_time
    from keras_dynamicgate.latency.report import TimeReport
    from keras_dynamicgate.latency.table import LatencyTable
    from keras_dynamicgate.macs.report import MacReport
    from keras_dynamicgate.pictures.gates import plot_gates
    from keras_dynamicgate.serving.governor import BudgetGovernor

__version__ = "0.1.0"

__all__ = [
    "ActivationGate",
    "AffineMap",
    "BenchmarkReport",
    "BudgetGovernor",
    "CompactionReport",
    "DynamicGate",
    "DynamicGateConv2D",
    "DynamicGateDense",
    "DynamicGateMLP",
    "GateNetwork",
    "GateSchedule",
    "GateSummary",
    "InferenceEngine",
    "LatencyTable",
    "LinearGate",
    "LowRankGate",
    "MLPGate",
    "MacBudget",
    "MacReport",
    "ParetoCheckpoint",
    "StaticGate",
    "TargetUsage",
    "TimeBudget",
    "TimeReport",
    "UsagePenalty",
    "baselines",
    "benchmark",
    "budgets",
    "compact",
    "compact_with_report",
    "count_macs",
    "datasets",
    "experiments",
    "gate_model",
    "load_dense_weights",
    "plasticity",
    "plot_gates",
    "predict_time",
    "reports",
    "set_budget",
    "skip_experts",
]

# Everything else comes with its first use, so that `import keras_dynamicgate` stays quick.
_MODULES = ("datasets", "experiments", "reports")
_MEMBERS = {
    "BenchmarkReport": "benchmarking.report",
    "BudgetGovernor": "serving.governor",
    "CompactionReport": "compaction.report",
    "GateSchedule": "callbacks.gate_schedule",
    "GateSummary": "callbacks.gate_summary",
    "InferenceEngine": "engine.engine",
    "LatencyTable": "latency.table",
    "MacBudget": "callbacks.mac_budget",
    "MacReport": "macs.report",
    "ParetoCheckpoint": "callbacks.pareto_checkpoint",
    "TimeBudget": "callbacks.time_budget",
    "TimeReport": "latency.report",
    "benchmark": "benchmarking.benchmark",
    "budgets": "elastic.set_budget",
    "compact": "compaction.compact",
    "compact_with_report": "compaction.compact",
    "count_macs": "counting.count",
    "gate_model": "conversion.gate_model",
    "plot_gates": "pictures.gates",
    "predict_time": "latency.predict_time",
    "set_budget": "elastic.set_budget",
    "skip_experts": "conversion.skip_experts",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _MEMBERS:
        return getattr(importlib.import_module(f"{__name__}.{_MEMBERS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
