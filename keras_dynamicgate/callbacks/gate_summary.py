"""`GateSummary`: what the gates do and what the model costs, epoch by epoch."""

import csv
import os
import pathlib
import warnings
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_dynamicgate.callbacks.finite import check_finite
from keras_dynamicgate.callbacks.requirements import require_counted_gates, require_gates
from keras_dynamicgate.counting.count import class_labels, count_macs
from keras_dynamicgate.gating.not_a_number import samples_with_nan
from keras_dynamicgate.gating.record import count_samples
from keras_dynamicgate.graph.data_sizes import has_open_axes
from keras_dynamicgate.layers.gated_layer import gated_layers
from keras_dynamicgate.macs.report import MacReport
from keras_dynamicgate.pictures import figure
from keras_dynamicgate.pictures.summary import plot_summary
from keras_dynamicgate.utils.files import written_at_once
from keras_dynamicgate.utils.types import Inputs, Logs

COLLAPSED = 0.01
VARYING = 0.1
COLUMNS = ("epoch", "layer", "usage", "open_ratio", "dense", "expected", "executed", "gates")


class GateSummary(keras.callbacks.Callback):
    """Log gate usage and MACs each epoch, and sum them up in a table and a picture at the end.

    The logs, and so the progress bar, `History`, `CSVLogger` and TensorBoard, also get:

    - `gate_usage`: mean gate probability over all gates,
    - `open_ratio`: mean of the mask over all gates, the gate activation ratio,
    - `relative_macs`: (executed + gate MACs) / dense MACs,
    - `gate_penalty`: what usage regularizers and the budget added to the loss of the last batch.

    A warning names each layer whose gates have collapsed: less than 1 % open at the end of an
    epoch, or more than 99 % at the end of the training. Another names each layer whose
    input-dependent gates are static in effect: at the end, fewer than a tenth of them vary, that
    is, are open for 5 to 95 % of the inputs.

    Put it before callbacks that read the logs. With `MacBudget` the order does not matter.

    Args:
        x: Inputs on which masks and MACs are measured, such as the validation inputs; some
            thousand samples are enough. Defaults to `None`: the means of the last training
            batch, which take no extra pass.
        log_dir: Folder for `gates.csv` (a row for each epoch and layer) and `gates.png` (if
            matplotlib is installed). Defaults to `None`: no files.
        batch_size: Integer, the number of samples of `x` that run at once. Defaults to 256.
        verbose: 0 for silence or 1 to print the table at the end. Defaults to 1.
        y: Labels of `x`: an array of integers, a class for each sample or position. The table then
            says how many bits a gate tells about the class. Defaults to `None`.

    Raises:
        ValueError: If the model has no gated layers.
        FloatingPointError: If the loss is no longer finite; it names the layer.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)),
        ...     keras_dynamicgate.DynamicGateDense(64, gate="static", top_k=8),
        ...     keras.layers.Dense(2),
        ... ])
        >>> model.compile("adam", "mse")
        >>> x = np.random.default_rng(0).normal(size=(64, 64))
        >>> summary = keras_dynamicgate.GateSummary(x[:16], log_dir="logs", verbose=0)
        >>> history = model.fit(x, x[:, :2], verbose=0, callbacks=[summary])
        >>> history.history["open_ratio"]
        [0.25]

    Reference:

    - DynamicGate-MLP (arXiv 2603.16367), gate activation ratio and relative MACs
    """

    def __init__(
        self,
        x: Inputs = None,
        log_dir: str | os.PathLike[str] | None = None,
        batch_size: int = 256,
        verbose: int = 1,
        y: Any = None,
    ) -> None:
        super().__init__()
        self.x = x
        self.y = y
        self.log_dir = None if log_dir is None else pathlib.Path(log_dir)
        self.batch_size = batch_size
        self.verbose = verbose
        self.report: MacReport | None = None
        self.rows: list[dict[str, Any]] = []
        self.warned: set[str] = set()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        require_gates(self.model, "GateSummary")
        if self.x is None and has_open_axes(self.model):
            raise ValueError(
                f"Model {self.model.name!r} leaves sizes of its inputs open, on which its cost "
                "depends. Give `GateSummary` inputs of the sizes that matter. Received: x=None"
            )
        if self.x is not None:
            count_samples(self.x, "x")
        require_counted_gates(self.model, "GateSummary", self.x)
        self.rows = []
        self.warned = set()
        if self.x is not None:
            # Inputs of the wrong shape or with NaN fail now rather than after the first epoch. One
            # sample tells the shape; NaN does harm only where it reaches a gate or an output.
            one = keras.tree.map_structure(lambda array: array[:1], self.x)
            x = self.x if samples_with_nan(self.x).any() else one
            count_macs(self.model, x, self.batch_size)
            if self.y is not None:
                class_labels(self.y, self.x)
        if self.log_dir is not None:
            self.log_dir.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        check_finite(self.model, logs)
        self.report = count_macs(self.model, self.x, self.batch_size, self.y)
        penalties = [layer.gate.penalty for layer in gated_layers(self.model)]
        logs["gate_usage"] = self.report.usage
        logs["open_ratio"] = self.report.open_ratio
        logs["relative_macs"] = self.report.relative
        logs["gate_penalty"] = sum(float(ops.convert_to_numpy(value)) for value in penalties)
        self._keep(epoch, self.report)
        self._warn(self.report, lambda ratio: ratio < COLLAPSED, "closed", CLOSED_ADVICE)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.report is None:
            return
        self._warn(self.report, lambda ratio: ratio > 1 - COLLAPSED, "open", OPEN_ADVICE)
        self._warn_of_static_in_effect(self.report)
        if self.verbose:
            print(f"\n{self.report}")
        if self.log_dir is not None and figure.available():
            figure.save(plot_summary(self.rows, self.report), self.log_dir / "gates.png")

    def _keep(self, epoch: int, report: MacReport) -> None:
        rows = [
            (epoch, *(getattr(layer, column, layer.name) for column in COLUMNS[1:]))
            for layer in report.layers
            if layer.gate_count
        ]
        self.rows += [dict(zip(COLUMNS, row, strict=True)) for row in rows]
        if self.log_dir is not None:
            path = self.log_dir / "gates.csv"
            # A training that is resumed goes on with the file.
            before = path.read_bytes() if epoch and path.exists() else b""
            with (
                written_at_once(path) as part,
                open(part, "w", encoding="utf-8", newline="") as file,
            ):
                file.write(before.decode())
                csv.writer(file).writerows(rows if before else [COLUMNS, *rows])

    def _warn(
        self, report: MacReport, collapsed: Callable[[float], bool], state: str, advice: str
    ) -> None:
        for layer in report.layers:
            ratio = layer.open_ratio
            if ratio is not None and collapsed(ratio) and layer.name not in self.warned:
                self.warned.add(layer.name)
                warnings.warn(
                    f"The gates of layer {layer.name!r} are {state}: open ratio "
                    f"{ratio:.3f}. {advice}",
                    stacklevel=2,
                )

    def _warn_of_static_in_effect(self, report: MacReport) -> None:
        for layer in report.layers:
            if layer.varying is None or layer.varying >= VARYING or layer.name in self.warned:
                continue
            self.warned.add(layer.name)
            warnings.warn(
                f"The gates of layer {layer.name!r} are static in effect: {layer.varying:.0%} of "
                f"them are open for some inputs and closed for others. {STATIC_ADVICE}",
                stacklevel=2,
            )


STATIC_ADVICE = (
    'Take `gate="static"`, which costs no gate network and which `compact` removes for good, or '
    "`balance=0.1`, which keeps each gate open for some inputs and closed for others."
)
CLOSED_ADVICE = (
    "Nothing passes through it any more. Give it a floor with `min_open`, a larger budget, a "
    "weaker usage regularizer or a longer warm-up."
)
OPEN_ADVICE = (
    "It saves nothing. Give the model a budget with `MacBudget`, a stronger usage regularizer, or "
    "take its gates away with `gate=None`."
)
