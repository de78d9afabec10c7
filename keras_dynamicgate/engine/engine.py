"""`InferenceEngine`: runs a trained model and skips the blocks that its gates close."""

import importlib.util
import math
import warnings
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.engine.arrays import as_float32
from keras_dynamicgate.engine.compiled.opcodes import BY_BLOCK, BY_SAMPLE, product_mode
from keras_dynamicgate.engine.numpy_kernels import NumpyKernels
from keras_dynamicgate.engine.plan import make_plan
from keras_dynamicgate.engine.price_list import PriceList
from keras_dynamicgate.engine.steps import Plan, Product
from keras_dynamicgate.gating.not_a_number import samples_with_nan
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.cores import available_cores
from keras_dynamicgate.utils.extras import install_command

_FLOAT32 = np.dtype("float32")
KERNEL_NAMES = {BY_SAMPLE: "by_sample", BY_BLOCK: "by_block"}


class InferenceEngine:
    """Runs a trained model with input-dependent gates and skips closed blocks for each sample.

    A mask that is multiplied saves nothing; the engine reads and computes only what is open. The
    weights are copied and packed once, at construction: later training does not reach the engine.
    Single rows run sample by sample, each open block read once; batches run block by block, each
    open block read once for all samples that need it. `kernel_for` says which.

    With Numba (`pip install "keras-dynamicgate[engine]"`) the kernels are compiled, run on several
    threads and release the GIL; without it NumPy runs the same steps, slower, and a warning says
    so. An engine can be called from several threads at once.

    A model that `MacBudget` has trained for several budgets runs at any of them, with one copy of
    the weights: set `budget`, or give it to a single call. What static gates close at the largest
    is left out; what they close at smaller ones only becomes zero, which saves no time.

    Args:
        model: A built Sequential or linear Functional model in float32 of `Dense`, `DynamicGate`,
            `DynamicGateDense`, `DynamicGateMLP`, activation, `BatchNormalization`,
            `LayerNormalization`, `RMSNormalization`, `Normalization`, `Rescaling`, `Dropout` and
            `Flatten` layers, with at least one input-dependent gate. Sparse weights of `baselines`
            run as zeros.
        threads: Integer, the threads that one call may use, of which no more are started than
            there are cores for the process. Defaults to `None`: one for each core.

    Raises:
        ValueError: If the model holds a layer that the engine cannot run, which is named, or has
            no input-dependent gates, or if `threads` is no positive integer.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)),
        ...     keras_dynamicgate.DynamicGateMLP(256, 10, block_size=32, top_k=2),
        ... ])
        >>> engine = keras_dynamicgate.InferenceEngine(model, threads=1)
        >>> engine.predict(np.ones((3, 64))).shape
        (3, 10)

    Reference:

    - DynamicGate-MLP (arXiv 2603.16367)
    """

    def __init__(self, model: keras.Model, threads: int | None = None) -> None:
        if threads is not None:
            checks.positive_integer("threads", threads)
        self._load(make_plan(model), threads)

    @classmethod
    def of_plan(cls, plan: Plan, threads: int | None = None) -> "InferenceEngine":
        """Make an engine that runs a plan, whose steps lose their arrays."""
        engine = cls.__new__(cls)
        engine._load(plan, threads)
        return engine

    def _load(self, plan: Plan, threads: int | None) -> None:
        cores = available_cores()
        threads = cores if threads is None else min(threads, cores)
        self._input_shape = plan.input_shape
        self._features = plan.steps[0].features
        self._output_features = plan.output_features
        self._output_per_position = plan.output_per_position
        self._products = [
            (
                step.name,
                step.in_mask.block if step.in_mask else 0,
                step.out_mask.block if step.out_mask else 0,
            )
            for step in plan.steps
            if isinstance(step, Product) and step.name
        ]
        self._price_list = PriceList(plan)
        self._standing: tuple[float | None, np.ndarray] = None, self._price_list.standing
        self._kernels = _kernels(plan, threads)

    @property
    def budget(self) -> float | None:
        """The budget of calls that name none; `None`, at first, is that at which the model stood.

        Calls that are going on keep theirs.
        """
        return self._standing[0]

    @budget.setter
    def budget(self, budget: float | None) -> None:
        prices = self._price_list.standing if budget is None else self._price_list.at(budget)
        self._standing = budget, prices

    @property
    def budgets(self) -> tuple[float, ...]:
        """The budgets that the model was trained for together, the smallest first."""
        return self._price_list.trained

    @property
    def threads(self) -> int:
        """The threads that one call uses."""
        return getattr(self._kernels, "threads", 1)

    @property
    def compiled(self) -> bool:
        """Whether the kernels are compiled; else NumPy runs them."""
        return not isinstance(self._kernels, NumpyKernels)

    def kernel_for(self, batch_size: int) -> dict[str, str]:
        """Tell how each layer runs a batch.

        Args:
            batch_size: Integer, the number of samples; of positions, for a model on sequences.

        Returns:
            A dict from the name of each layer with a product to `"by_sample"`, `"by_block"` or,
            without Numba, `"numpy"`. `DynamicGateMLP` has two products and so two entries.

        Raises:
            ValueError: If `batch_size` is no positive integer.
        """
        checks.positive_integer("batch_size", batch_size)
        if not self.compiled:
            return dict.fromkeys((name for name, _, _ in self._products), "numpy")
        return {
            name: KERNEL_NAMES[product_mode(batch_size, in_block, out_block)]
            for name, in_block, out_block in self._products
        }

    def memory(self) -> dict[str, int]:
        """Count the bytes that the engine holds: `weights`, and `workspace` for calls."""
        return {
            "weights": self._kernels.weight_bytes(),
            "workspace": self._kernels.workspace_bytes() if self.compiled else 0,
        }

    def predict(self, x: Any, budget: float | None = None) -> np.ndarray:
        """Compute the model's outputs, as `model.predict(x)` does.

        NaN in a sample makes the outputs of this sample NaN, and a warning says so.

        Args:
            x: Array of numbers of shape `(batch, ...)` with the model's input shape; anything but
                float32 is converted.
            budget: Float, the relative MACs of this call, among those that the model was trained
                for. Defaults to `None`: those of the engine.

        Returns:
            A float32 NumPy array of shape `(batch, ..., units)`.

        Raises:
            ValueError: If `x` holds no numbers or its shape does not fit the model, or if the model
                was not trained for `budget`.
        """
        # Taken once, so that the whole call has one budget.
        prices = self._standing[1] if budget is None else self._price_list.at(budget)
        if type(x) is not np.ndarray or x.dtype != _FLOAT32:
            x = as_float32(x)
        shape = x.shape
        if shape[1:] != self._input_shape:
            self._check_shape(shape)
        lead = shape[:-1] if self._output_per_position else shape[:1]
        outputs = np.empty((*lead, self._output_features), _FLOAT32)
        if outputs.size:
            rows = x if x.ndim == 2 else x.reshape(-1, self._features)
            if not rows.flags.carray:
                # The compiled kernels are made for aligned, contiguous, writeable arrays.
                rows = np.array(rows, order="C")
            flat = outputs if outputs.ndim == 2 else outputs.reshape(-1, self._output_features)
            self._kernels.run(rows, flat, prices)
            # NaN propagates, so it shows in the outputs, which mostly are fewer than the inputs. A
            # dot product would ask as quickly, but leave threads of the BLAS library spinning.
            if math.isnan(outputs.max()):
                _warn_of_nan(x)
        return outputs

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise a `ValueError` if an input shape is not that of the model."""
        wanted = self._input_shape
        if len(shape) != len(wanted) + 1 or any(
            size not in (None, received) for size, received in zip(wanted, shape[1:], strict=True)
        ):
            sizes = ", ".join("any" if size is None else str(size) for size in wanted)
            raise ValueError(
                f"Argument `x` must have shape (batch, {sizes}). Received: x.shape={shape}"
            )

    def __repr__(self) -> str:
        kind = "compiled" if self.compiled else "NumPy"
        return f"<InferenceEngine {kind}, threads={self.threads}>"


def _warn_of_nan(x: np.ndarray) -> None:
    wrong = samples_with_nan(x)
    if wrong.any():
        warnings.warn(
            f"Argument `x` holds NaN in {np.count_nonzero(wrong)} of {len(wrong)} samples, and so "
            f"do their outputs. The first is sample {int(wrong.argmax())}.",
            stacklevel=3,
        )


def _kernels(plan: Plan, threads: int) -> Any:
    problem = "is not installed"
    if importlib.util.find_spec("numba") is not None:
        try:
            from keras_dynamicgate.engine.compiled.kernels import CompiledKernels
        except Exception as error:
            # A broken installation, or one that does not fit NumPy's, may fail in any way.
            problem = f"cannot be imported ({type(error).__name__}: {error})"
        else:
            return CompiledKernels(plan, threads)
    warnings.warn(
        f"Numba {problem}, so the engine runs on NumPy: correct, but slower. "
        f"Install it with: {install_command('numba')}",
        stacklevel=3,
    )
    return NumpyKernels(plan)
