"""`ParetoCheckpoint`: the epochs that no other beats in both accuracy and cost."""

import dataclasses
import itertools
import json
import math
import os
import pathlib
from typing import Any, Literal

import keras

from keras_dynamicgate.counting.count import count_macs
from keras_dynamicgate.graph.state import save_at_once
from keras_dynamicgate.utils.files import written_at_once
from keras_dynamicgate.utils.types import Inputs, Logs

FRONT = "front.json"


@dataclasses.dataclass(frozen=True)
class ParetoPoint:
    """A saved model that no other saved one beats in both value and cost.

    Attributes:
        epoch: The epoch at whose end the model was saved, from 0 on.
        value: The monitored value.
        relative_macs: (executed + gate MACs) / dense MACs.
        file_name: Name of the model's file.
    """

    epoch: int
    value: float
    relative_macs: float
    file_name: str


class ParetoCheckpoint(keras.callbacks.Callback):
    """Save the models that no other epoch beats in both accuracy and relative MACs.

    While a budget falls, each epoch costs less than the one before; this leaves the choice among
    them for later. A model that a later epoch beats is deleted. The folder also holds
    `front.json`, with which a later training continues. Epochs whose accuracy or cost is not a
    number are not kept.

    Put it after `GateSummary` if there is one: it then takes the count from the logs.

    Args:
        path: Folder for the models, `epoch-0000.keras` and so on, and for `front.json`. A later
            training calls its models `epoch-0000-2.keras` where a name is taken.
        x: Inputs on which relative MACs are counted if the logs do not have them. Defaults to
            `None`: input-dependent gates as in the last training batch.
        monitor: Name of the value in the logs. Defaults to `"val_accuracy"`.
        mode: `"max"` if a larger value is better, otherwise `"min"`. Defaults to `"max"`.
        batch_size: Integer, the number of samples of `x` that run at once. Defaults to 256.

    Raises:
        ValueError: If `mode` is neither, or the logs have no value of the name `monitor`.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)),
        ...     keras_dynamicgate.DynamicGateDense(64, activation="relu"),
        ...     keras.layers.Dense(2),
        ... ])
        >>> model.compile("adam", "mse")
        >>> x = np.random.default_rng(0).normal(size=(64, 64))
        >>> keep = keras_dynamicgate.ParetoCheckpoint("front", x, monitor="loss", mode="min")
        >>> history = model.fit(x, x[:, :2], verbose=0, callbacks=[keep])
        >>> [point.file_name for point in keep.front]
        ['epoch-0000.keras']
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        x: Inputs = None,
        monitor: str = "val_accuracy",
        mode: Literal["max", "min"] = "max",
        batch_size: int = 256,
    ) -> None:
        super().__init__()
        if mode not in ("max", "min"):
            raise ValueError(f"Argument `mode` must be 'max' or 'min'. Received: mode={mode!r}")
        self.path = pathlib.Path(path)
        self.x = x
        self.monitor = monitor
        self.mode = mode
        self.batch_size = batch_size
        self.front: list[ParetoPoint] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        if (self.path / FRONT).exists():
            self.front = [_read(point) for point in json.loads((self.path / FRONT).read_text())]

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if self.monitor not in logs:
            raise ValueError(
                f"The logs have no {self.monitor!r}; they have {', '.join(logs) or 'nothing'}. "
                f"Received: monitor={self.monitor!r}"
            )
        relative = logs.get("relative_macs")
        if relative is None:
            relative = count_macs(self.model, self.x, self.batch_size).relative
        value, relative = float(logs[self.monitor]), float(relative)
        if math.isnan(value) or math.isnan(relative):
            # No other epoch would ever beat it.
            return
        point = ParetoPoint(epoch, value, relative, self._free_name(epoch))
        if not any(self._beats(other, point) for other in self.front):
            self._keep(point)

    def _free_name(self, epoch: int) -> str:
        """Name a file that is not there yet: an earlier training may have kept the same epoch."""
        kept = {point.file_name for point in self.front}
        names = (_file_name(epoch, number) for number in itertools.count(1))
        return next(name for name in names if name not in kept and not (self.path / name).exists())

    def _beats(self, one: ParetoPoint, other: ParetoPoint) -> bool:
        """Tell whether `one` is at least as good in both as `other`."""
        sign = 1.0 if self.mode == "max" else -1.0
        better = sign * one.value >= sign * other.value
        return better and one.relative_macs <= other.relative_macs

    def _keep(self, point: ParetoPoint) -> None:
        beaten = [other for other in self.front if self._beats(point, other)]
        save_at_once(self.model, self.path / point.file_name)
        front = [point, *(other for other in self.front if other not in beaten)]
        self.front = sorted(front, key=lambda each: each.relative_macs)
        # Write the list first, so that it never names a deleted model.
        with written_at_once(self.path / FRONT) as part:
            part.write_text(json.dumps([dataclasses.asdict(each) for each in self.front], indent=1))
        for other in beaten:
            (self.path / other.file_name).unlink(missing_ok=True)


def _file_name(epoch: int, number: int = 1) -> str:
    return f"epoch-{epoch:04d}.keras" if number == 1 else f"epoch-{epoch:04d}-{number}.keras"


def _read(point: dict[str, Any]) -> ParetoPoint:
    """Make a point of an entry of `front.json`; those of earlier versions name no file."""
    return ParetoPoint(**{"file_name": _file_name(point["epoch"]), **point})
