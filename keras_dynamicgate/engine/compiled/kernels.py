"""The compiled kernels behind the same interface as the NumPy ones; needs Numba."""

import numpy as np

from keras_dynamicgate.engine.compiled import packing, run
from keras_dynamicgate.engine.compiled.workspace import Workspace


class CompiledKernels:
    """Runs a plan with compiled kernels, from several threads at a time if asked.

    Args:
        plan: The `steps.Plan` to run; its weights move into packed form.
        threads: Integer, the threads of one call.
    """

    def __init__(self, plan, threads):
        self.program = packing.pack(plan)
        self.threads = threads
        # Idle workspaces. Taking and returning one is atomic, so calls need no lock.
        self._idle: list[Workspace] = []
        self._warm_up()

    def _warm_up(self):
        """Compile, or load what was compiled before."""
        plan = self.program.plan
        inputs = np.zeros((plan.positions, plan.steps[0].features), "float32")
        self.run(inputs, np.zeros((1, plan.output_features), "float32"))
        self._idle[0].help()

    def weight_bytes(self):
        """Give the bytes that the weights take."""
        return self.program.weights.nbytes + self.program.tables.nbytes

    def workspace_bytes(self):
        """Give the bytes that idle workspaces take."""
        return sum(space.nbytes() for space in self._idle)

    def run(self, inputs, outputs):
        """Compute the outputs of a batch.

        Args:
            inputs: Float32 array of shape `(rows, features)`.
            outputs: Float32 array of shape `(rows, features)` that is written.
        """
        samples = len(outputs)
        work = len(inputs) * self.program.largest_work
        shared = self.threads > 1 and work >= run.WORTH_SHARING
        space = self._take(samples)
        try:
            space.run(inputs, outputs, samples, shared)
        finally:
            self._idle.append(space)

    def _take(self, samples):
        """Take the workspace that was used last, or a new one where none is idle or it is small."""
        try:
            space = self._idle.pop()
        except IndexError:
            space = None
        if space is None or not space.fits(samples):
            space = Workspace(self.program, samples, self.threads)
        return space
