"""The compiled kernels behind the same interface as the NumPy ones; needs Numba."""

import numpy as np

from keras_dynamicgate.inference import helpers, kernels, packing
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
        space = self._idle[1][0]
        kernels.open_call(space.control)
        kernels.help_run(*self._arguments(space, outputs, outputs, 0, 1), -1)

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
        shared = self.threads > 1 and (
            samples * positions * self.program.largest_work >= kernels.WORTH_SHARING
        )
        space, call = self._take(samples, positions, shared)
        arguments = self._arguments(space, inputs, outputs, samples, positions)
        try:
            if shared:
                helpers.ask(self.threads - 1, kernels.help_run, (*arguments, call))
            kernels.run(*arguments)
        finally:
            self._idle[positions].append(space)

    def _arguments(self, space, inputs, outputs, samples, positions):
        program = self.program
        return (
            space.ops,
            program.weights,
            program.tables,
            inputs,
            outputs,
            space.values,
            space.lists,
            space.scratch,
            space.control,
            (samples, positions, space.samples),
        )

    def _take(self, samples, positions, shared):
        """Take an idle workspace, or a new one; give the number of the call that it is open for."""
        idle = self._idle.setdefault(positions, [])
        for _ in range(len(idle)):
            try:
                space = idle.pop(0)
            except IndexError:  # another thread was faster
                break
            if not space.fits(samples):
                continue  # it is let go, a larger one takes its place
            call = kernels.open_call(space.control) if shared else 0
            if call >= 0:
                return space, call
            idle.append(space)
        space = Workspace(self.program, samples, positions, self.threads)
        return space, kernels.open_call(space.control) if shared else 0
