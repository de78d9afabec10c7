"""`Setup`: where and how times were measured."""

import dataclasses
import importlib.metadata
import pathlib
import platform
import re
import warnings
from typing import Literal

import keras

from keras_dynamicgate.utils.cores import available_cores

Runtime = Literal["compact", "engine"]


@dataclasses.dataclass(frozen=True)
class Setup:
    """Where and how times were measured.

    Attributes:
        runtime: `"compact"`, the compacted model in a compiled function of Keras's backend, or
            `"engine"`, the `InferenceEngine`.
        backend: What computes: Keras's backend, or `"numba"` or `"numpy"` in the engine.
        version: Its version.
        processor: Name of the processor.
        cores: Integer, the cores that the process may use.
        threads: Integer, the threads of one call.
        batch_size: Integer, the samples of one call.
    """

    runtime: Runtime
    backend: str
    version: str
    processor: str
    cores: int
    threads: int
    batch_size: int

    @classmethod
    def here(
        cls,
        runtime: Runtime,
        batch_size: int,
        backend: str | None = None,
        threads: int | None = None,
    ) -> "Setup":
        """Describe this machine.

        Args:
            runtime: As in `Setup`.
            batch_size: As in `Setup`.
            backend: As in `Setup`. Defaults to `None`: Keras's backend.
            threads: As in `Setup`. Defaults to `None`: one for each core.
        """
        backend = backend or keras.backend.backend()
        version = importlib.metadata.version(backend)
        cores = available_cores()
        return cls(runtime, backend, version, _processor(), cores, threads or cores, batch_size)

    def check(self) -> None:
        """Compare with where and on what Keras runs now.

        Raises:
            ValueError: If compacted models would run on another backend. On another machine, or
                with another version, times only are other ones, and a warning says so.
        """
        backend = keras.backend.backend()
        if self.runtime == "compact" and self.backend != backend:
            raise ValueError(
                "Argument `table` must be measured on the backend that runs the compacted model. "
                f"Received: a table of {self.backend!r}, while Keras runs on {backend!r}"
            )
        here = Setup.here(self.runtime, self.batch_size, self.backend, self.threads)
        differing = [
            f"{name} {getattr(self, name)!r}, here {getattr(here, name)!r}"
            for name in ("version", "processor", "cores")
            if getattr(self, name) != getattr(here, name)
        ]
        if differing:
            warnings.warn(
                "The latency table was measured elsewhere, so times here may be others: "
                f"{'; '.join(differing)}.",
                stacklevel=4,
            )


def _processor() -> str:
    """Give the name of the processor as the system has it."""
    path = pathlib.Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", path.read_text()) if path.exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()
