"""The compiled kernels behind the same interface as the NumPy ones; needs Numba."""

import numpy as np

from keras_dynamicgate.inference import kernels, packing
from keras_dynamicgate.inference.workspace import Workspace


class CompiledKernels:
    """Runs a plan with compiled kernels, from several threads at a time if asked.

    Args:
        plan: The `steps.Plan` to run; its weights move into packed form.
        threads: Integer, the threads of one call.
    """

    def __init__(self, plan, threads):
        self.program = packing.pack(plan)
        self.threads = threads
        # Idle workspaces by positions. Taking and returning one is atomic, so calls need no lock.
        self._idle: dict[int, list[Workspace]] = {}
        self._warm_up()

    def _warm_up(self):
        """Compile, or load what was compiled before."""
        features = self.program.plan.steps[0].features
        outputs = np.zeros((1, self.program.plan.output_features), "float32")
        self.run(np.zeros((1, features), "float32"), outputs, 1, 1)
        self._idle[1][0].help()

    def weight_bytes(self):
        """Give the bytes that the weights take."""
        return self.program.weights.nbytes + self.program.tables.nbytes

    def workspace_bytes(self):
        """Give the bytes that idle workspaces take."""
        return sum(space.nbytes() for idle in self._idle.values() for space in idle)

    def run(self, inputs, outputs, samples, positions):
        """Compute the outputs of a batch.

        Args:
            inputs: Float32 array of shape `(rows, features)`.
            outputs: Float32 array of shape `(rows, features)` that is written.
            samples: Integer, the number of samples.
            positions: Integer, the rows of one sample where the network works on sequences.
        """
        work = samples * positions * self.program.largest_work
        shared = self.threads > 1 and work >= kernels.WORTH_SHARING
        space = self._take(samples, positions)
        try:
            space.run(inputs, outputs, samples, shared)
        finally:
            self._idle[positions].append(space)

    def _take(self, samples, positions):
        """Take the workspace that was used last, or a new one where none is idle or it is small."""
        idle = self._idle.setdefault(positions, [])
        try:
            space = idle.pop()
        except IndexError:
            space = None
        if space is None or not space.fits(samples):
            space = Workspace(self.program, samples, positions, self.threads)
        return space
