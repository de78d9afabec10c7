"""The compiled kernels, with the interface of the NumPy ones."""

import numpy as np

from keras_dynamicgate.engine import steps
from keras_dynamicgate.engine.compiled import packing, run
from keras_dynamicgate.engine.compiled.workspace import Workspace


class CompiledKernels:
    """Runs a plan with compiled kernels, on several threads if asked.

    Args:
        plan: The `steps.Plan` to run; its steps lose their arrays, which are packed.
        threads: Integer, the threads of one call.
    """

    def __init__(self, plan: steps.Plan, threads: int) -> None:
        self.program = packing.pack(plan)
        self.threads = threads
        # Idle workspaces. Taking and returning one is atomic, so calls need no lock.
        self._idle: list[Workspace] = []
        self._warm_up()

    def _warm_up(self) -> None:
        """Compile the kernels, or load them from the cache."""
        plan = self.program.plan
        inputs = np.zeros((plan.positions, plan.steps[0].features), "float32")
        prices = np.asarray(plan.prices, "float32")
        self.run(inputs, np.zeros((1, plan.output_features), "float32"), prices)
        self._idle[0].help()

    def weight_bytes(self) -> int:
        """Count the bytes of the weights."""
        return self.program.weights.nbytes + self.program.tables.nbytes

    def workspace_bytes(self) -> int:
        """Count the bytes of idle workspaces."""
        return sum(space.nbytes() for space in self._idle)

    def run(self, inputs: np.ndarray, outputs: np.ndarray, prices: np.ndarray) -> None:
        """Compute the outputs of a batch.

        Args:
            inputs: Float32 array of shape `(rows, features)`.
            outputs: Float32 array of shape `(rows, features)` that is written.
            prices: Float32 array of what each gate charges, which nobody changes.
        """
        samples = len(outputs)
        work = len(inputs) * self.program.largest_work
        shared = self.threads > 1 and work >= run.WORTH_SHARING
        space = self._take(samples)
        try:
            space.run(inputs, outputs, prices, samples, shared)
        finally:
            self._idle.append(space)

    def _take(self, samples: int) -> Workspace:
        """Take the workspace that was used last; make one if none is idle or it is too small."""
        try:
            space = self._idle.pop()
        except IndexError:
            space = None
        if space is None or not space.fits(samples):
            space = Workspace(self.program, samples, self.threads)
        return space
