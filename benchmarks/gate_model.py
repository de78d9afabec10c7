"""How long `gate_model` takes for 100 million parameters, and how much memory at its peak.

    python benchmarks/gate_model.py                  # all installed backends, one after another
    python benchmarks/gate_model.py --backend jax

The memory is that of the process (Linux), the original model included, in multiples of what the
weights of the original take.
"""

import argparse
import resource
import time

import each_backend

WIDTH, LAYERS = 2048, 24

parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
options = each_backend.parse(parser)

import keras

import keras_dynamicgate as kdg


def largest_memory():
    """Give the bytes that the process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def dense(layers, width):
    """Build dense layers whose weights are written, so that they really take memory."""
    return keras.Sequential(
        [
            keras.Input((width,)),
            *(
                keras.layers.Dense(width, "relu", kernel_initializer="ones", name=f"dense{number}")
                for number in range(layers)
            ),
        ]
    )


# What a backend loads on its first use is no part of the measurement.
kdg.gate_model(dense(1, width=1024), layers=["dense0"])
before = largest_memory()
model = dense(LAYERS, WIDTH)
start = time.perf_counter()
gated = kdg.gate_model(model, layers=[layer.name for layer in model.layers])
seconds = time.perf_counter() - start
size = 4 * model.count_params()
print(
    f"{options.backend:10}  {model.count_params() / 1e6:.0f} million parameters   "
    f"{seconds:.1f} s (limit 10)   "
    f"memory {(largest_memory() - before) / size:.2f} times the model's (limit 2.2)",
    flush=True,
)
