"""`count_macs`: what the layers of a model cost, averaged over samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.counting.delivery import Delivery, delivery
from keras_dynamicgate.gating.cost import Product
from keras_dynamicgate.gating.openness import Masks
from keras_dynamicgate.gating.record import count_samples, record_batches
from keras_dynamicgate.gating.use import GateUse
from keras_dynamicgate.macs.cost import ModelCost
from keras_dynamicgate.macs.layer_macs import LayerMacs
from keras_dynamicgate.macs.model_cost import model_cost
from keras_dynamicgate.macs.report import MacReport
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import Inputs


def count_macs(
    model: keras.Model, x: Inputs = None, batch_size: int = 256, y: Any = None
) -> MacReport:
    """Count the multiply-accumulates of a model, its gate networks included.

    A closed unit saves its own column in its layer, if its gate was decided from the layer's
    input, and its row in the layer that consumes it. Executed MACs are averaged over the samples
    of `x`. Single weights that a pruned or sparse layer does not keep count as saved, and the table
    marks this as theoretical.

    Executed MACs are the least that an execution could run which skips all that is closed.
    *Deliverable* MACs are what remains with what this package does on a CPU: `compact` for static
    gates, and for those that depend on the input `InferenceEngine` where it runs the model, else
    `execution="skip"`. Where that saves less than the gates promise, the report says why.

    A position that a mask marks as padding counts as the mean over the other positions of its
    sample, in usage, open ratio and MACs, as `MacBudget` counts it: what gates do there says
    nothing about the data.

    Of gates that depend on the input the report says which share of them *vary*: those that are
    open for 5 to 95 % of the inputs. The others could as well be static. With labels it also says
    how many bits a gate tells about the class.

    A layer without a rule of its own, such as a transformer block of `keras_hub`, costs what the
    layers and operations of `keras.ops` in its `call` cost. Where these cannot be followed or have
    no rule, the layer is listed by name as not counted. A layer of your own can also state its
    cost in a method `cost(inputs)`, as the layers of this package do. A gated layer that is called
    several times counts by the mean of its masks over the calls.

    Args:
        model: A built Keras model; models inside it are followed. A subclassed one is followed
            through its `call`, as a layer is.
        x: Inputs as for `model.predict`: an array or a list or dict of arrays. Axes of unknown
            size, such as the length of a sequence, get the sizes they have here. Defaults to
            `None`: input-dependent gates count by their means over the last training batch.
        batch_size: Integer, the number of samples that run at once. Defaults to 256.
        y: Labels of `x`: an array of integers, a class for each sample or, for gates that decide
            for each position, for each position. Defaults to `None`.

    Returns:
        A `MacReport`.

    Raises:
        ValueError: If the model is not built or has an axis of a size that is not known from `x`
            either, if `x` has no samples or NaN that reaches a gate or an output, or if `y` is
            not a class for each sample of `x`.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)),
        ...     keras_dynamicgate.DynamicGateDense(32, gate="static", top_k=8),
        ...     keras.layers.Dense(10),
        ... ])
        >>> keras_dynamicgate.count_macs(model).relative
        0.25

    Reference:

    - DynamicGate-MLP (arXiv 2603.16367), layer-weighted relative MACs
    """
    checks.positive_integer("batch_size", batch_size)
    labels = None if y is None else class_labels(y, x)
    cost = model_cost(model, x)
    averages = _Averages(cost, delivery(model, cost, x))
    if x is None:
        probabilities, masks = cost.decisions_in_training()
        averages.add(probabilities, masks, samples=1)
        return averages.report(samples=None)
    for rows, record in record_batches(model, x, batch_size):
        batch_labels = None if labels is None else labels[rows]
        samples = rows.stop - rows.start
        averages.add(record.probabilities(), record.masks(), samples, batch_labels)
    return averages.report(samples=averages.samples)


def class_labels(y: Any, x: Inputs) -> np.ndarray:
    """Check labels and give them without axes of size 1 at their end."""
    if x is None:
        raise ValueError(
            "Argument `y` holds the labels of `x` and needs it. Received: x=None and y with a "
            f"{type(y).__name__}"
        )
    labels = np.asarray(ops.convert_to_numpy(y))
    while labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    samples = count_samples(x, "x")
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim == 0 or len(labels) != samples:
        raise ValueError(
            "Argument `y` must be an array of integers, a class for each sample of `x` or for each "
            f"of its positions. Received: y of shape {labels.shape} and type {labels.dtype} for "
            f"{samples} samples"
        )
    return labels


class _Averages:
    """Means over samples of what the products and gates of a model do, batch by batch."""

    def __init__(self, cost: ModelCost, delivered: Delivery) -> None:
        self.cost = cost
        self.delivered = delivered
        self.samples = 0
        products = cost.all_products()
        self.expected = dict.fromkeys(map(id, products), 0.0)
        self.executed = dict.fromkeys(map(id, products), 0.0)
        self.deliverable = dict.fromkeys(cost.products, 0.0)
        self.usage = dict.fromkeys(cost.gates, 0.0)
        self.open_ratio = dict.fromkeys(cost.gates, 0.0)
        dependent = {name: gate for name, gate in cost.gates.items() if gate.input_dependent}
        self.use = {name: GateUse(gate.gates) for name, gate in dependent.items()}

    def add(
        self, probabilities: Masks, masks: Masks, samples: int, labels: np.ndarray | None = None
    ) -> None:
        """Add a batch of samples."""
        self.samples += samples
        for product in self.cost.all_products():
            self.expected[id(product)] += product.executed(probabilities) * samples
            self.executed[id(product)] += product.executed(masks) * samples
        for name, macs in self.delivered.remaining(masks).items():
            self.deliverable[name] += macs * samples
        for name, gate in self.cost.gates.items():
            self.usage[name] += float(probabilities[gate].mean()) * samples
            self.open_ratio[name] += float(masks[gate].mean()) * samples
        for name, use in self.use.items():
            use.add(masks[self.cost.gates[name]], labels)

    def report(self, samples: int | None) -> MacReport:
        """Give the report on all samples so far."""
        layers = [self._layer(name) for name in self.cost.products]
        return MacReport(layers, samples, list(self.cost.not_counted), self.cost.uncounted_macs)

    def _layer(self, name: str) -> LayerMacs:
        products = self.cost.products[name]
        own = [product for product in products if not product.of_gate]
        of_gate = [product for product in products if product.of_gate]
        gate, use = self.cost.gates.get(name), self.use.get(name)
        executed, gates = self._mean(self.executed, own), self._mean(self.executed, of_gate)
        deliverable = self.deliverable[name] / self.samples
        # Sums in float32 differ in their last digits.
        less = deliverable > (executed + gates) * (1 + 1e-5)
        return LayerMacs(
            name=name,
            dense=sum(product.macs for product in own),
            expected=self._mean(self.expected, own),
            executed=executed,
            gates=gates,
            deliverable=deliverable,
            not_delivered=self.delivered.reason(name) if less else None,
            usage=self.usage[name] / self.samples if gate else None,
            open_ratio=self.open_ratio[name] / self.samples if gate else None,
            gate_count=gate.gates if gate else 0,
            varying=use.varying if use else None,
            bits=use.bits if use and use.labelled else None,
            theoretical=any(product.theoretical for product in own),
        )

    def _mean(self, sums: Mapping[int, float], products: Sequence[Product]) -> float:
        return sum(sums[id(product)] for product in products) / self.samples
