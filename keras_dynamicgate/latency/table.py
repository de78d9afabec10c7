"""`LatencyTable`: the milliseconds that a model takes for each open share of its layers."""

import dataclasses
import json
import os
import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import keras

from keras_dynamicgate.latency.deployed_cost import DeployedCost, Signature
from keras_dynamicgate.latency.product_times import ProductTimes
from keras_dynamicgate.latency.setup import Runtime, Setup
from keras_dynamicgate.utils.files import written_at_once

FORMAT = "keras_dynamicgate latency table 1"


@dataclasses.dataclass(frozen=True)
class LatencyTable:
    """The milliseconds of a model for each open share of its layers, as it will be deployed.

    `LatencyTable.measure` makes one; `predict_time` and `TimeBudget` read it. It belongs to a
    network, whatever its weights and names, to a way to run it and to a machine.

    Attributes:
        products: List of the `ProductTimes` of the products that gates make quicker.
        rest: Float, the milliseconds of all else: what gates do not close, and the call itself.
        signatures: List of what each product of the model is, to know the model by.
        setup: `Setup`, where and how it was measured.
        error: Float, by which share the times that were measured differ from what the table says
            of them, in the median; `None` for a table that was not measured.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)),
        ...     keras_dynamicgate.DynamicGate(),
        ...     keras.layers.Dense(128),
        ... ])
        >>> table = keras_dynamicgate.LatencyTable.measure(model, rounds=2, verbose=0)
        >>> table.save("table.json")
        >>> keras_dynamicgate.LatencyTable.load("table.json") == table
        True
    """

    products: list[ProductTimes]
    rest: float
    signatures: list[Signature]
    setup: Setup
    error: float | None = None

    @classmethod
    def measure(
        cls,
        model: keras.Model,
        runtime: Runtime = "compact",
        batch_size: int = 1,
        *,
        shares: Sequence[float] = (0.25, 0.5, 1.0),
        threads: int | None = None,
        rounds: int = 20,
        verbose: int = 1,
    ) -> "LatencyTable":
        """Measure what each product of a model takes, in the model, as it will be deployed.

        The model is run with its gates open in many ways, by chance, all of them in turns, and what
        counts is what a call takes in quiet moments, so that other load on the machine matters
        little. From these times follows what each product
        takes at each open share of its inputs and outputs: the times that come closest, of those
        that never fall as more is open. A layer by itself takes longer than in a model, which
        calls the backend once. That takes up to some minutes, once for a network; its weights,
        and so its training, do not matter.

        Args:
            model: A built Sequential or Functional model with gated layers and one input. It is as
                before afterwards.
            runtime: `"compact"`: what `compact` makes of the model, with other open units each
                time, as a compiled function of Keras's backend (on PyTorch eagerly). Or `"engine"`:
                the `InferenceEngine`. Defaults to `"compact"`.
            batch_size: Integer, the samples of one call. Defaults to 1.
            shares: Floats above 0 and up to 1 that rise, the last of them 1: the open shares
                between which times are linear. Defaults to `(0.25, 0.5, 1.0)`.
            threads: Integer, the threads of the engine; Keras's backends take their own settings.
                Defaults to `None`: all cores.
            rounds: Integer, how often each way is measured. Defaults to 20.
            verbose: 0 for silence or 1 for a progress bar. Defaults to 1.

        Returns:
            A `LatencyTable`.

        Raises:
            ValueError: If an argument is out of range, if the runtime cannot run the model, or if
                no gates make it quicker there.

        Examples:
            >>> model = keras.Sequential([
            ...     keras.Input((64,)),
            ...     keras_dynamicgate.DynamicGateDense(64, activation="relu"),
            ...     keras.layers.Dense(2),
            ... ])
            >>> table = keras_dynamicgate.LatencyTable.measure(
            ...     model, "engine", batch_size=8, rounds=2, verbose=0
            ... )
            >>> table.setup.batch_size
            8
        """
        from keras_dynamicgate.latency.measuring import measure_table

        return measure_table(model, runtime, batch_size, shares, threads, rounds, verbose)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the table as a JSON file, which is whole or not there.

        Args:
            path: The file.
        """
        content = {"format": FORMAT, **dataclasses.asdict(self)}
        with written_at_once(pathlib.Path(path)) as part:
            part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "LatencyTable":
        """Load a table that `save` has written.

        Args:
            path: The file.

        Returns:
            A `LatencyTable`.

        Raises:
            ValueError: If the file holds no latency table.
        """
        try:
            content = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
            if content.pop("format") != FORMAT:
                raise ValueError("another format")
            return cls(
                [ProductTimes(**_tuples(each)) for each in content["products"]],
                float(content["rest"]),
                [_signature(each) for each in content["signatures"]],
                Setup(**content["setup"]),
                content["error"],
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                "Argument `path` must be a file that `LatencyTable.save` has written, whole. "
                f"Received: path={str(path)!r} ({type(error).__name__}: {error})"
            ) from error

    def positions(self) -> list[int]:
        """Give the place of each of `products` among all products of the model."""
        seen: Counter[str] = Counter()
        places = {}
        for position, (layer, *_) in enumerate(self.signatures):
            places[layer, seen[layer]] = position
            seen[layer] += 1
        return [places[times.layer, times.product] for times in self.products]

    def check(self, deployed: DeployedCost, name: str) -> None:
        """Raise a `ValueError` unless the table is of a model and of how Keras runs it.

        Args:
            deployed: The `DeployedCost` of the model in the runtime of the table.
            name: The name of the model.
        """
        for own, other in _pairs(self.signatures, deployed.signatures):
            # Keras numbers the names of layers that have none.
            if own is None or other is None or own[1:] != other[1:]:
                raise ValueError(
                    "Argument `table` must be measured on a model of the same layers. Received: "
                    f"a table with {_named(own)} where model {name!r} has {_named(other)}"
                )
        self.setup.check()


def _pairs(one: Sequence[Any], other: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Put two lists side by side, with `None` behind the end of the shorter."""
    length = max(len(one), len(other))
    return [
        (one[at] if at < len(one) else None, other[at] if at < len(other) else None)
        for at in range(length)
    ]


def _named(signature: Signature | None) -> str:
    """Say what a product is."""
    if signature is None:
        return "nothing more"
    layer, macs, shape, *gated = signature
    sides = [side for side, closed in zip(("inputs", "outputs"), gated, strict=True) if closed]
    of_gates = f" and gates on its {' and '.join(sides)}" if sides else ""
    kernel = f", a kernel of {shape}" if shape else ""
    return f"layer {layer!r} with {macs:,} MACs{kernel}{of_gates}"


def _tuples(content: dict[str, Any]) -> dict[str, Any]:
    times = tuple(map(tuple, content["milliseconds"]))
    sides = {name: tuple(content[name]) for name in ("input_shares", "output_shares")}
    return {**content, **sides, "milliseconds": times}


def _signature(content: Sequence[Any]) -> Signature:
    layer, macs, shape, inputs, outputs = content
    return layer, macs, tuple(shape), inputs, outputs
