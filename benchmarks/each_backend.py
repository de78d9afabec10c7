"""The option `--backend` of the benchmarks that run on one Keras backend after another."""

import importlib.util
import os
import subprocess
import sys

BACKENDS = ("tensorflow", "jax", "torch")


def parse(parser):
    """Parse the options and set the backend; without `--backend`, run the script on each and exit.

    Args:
        parser: An `argparse.ArgumentParser`, which gets the option `--backend`.

    Returns:
        The options. Keras may be imported from now on.
    """
    parser.add_argument("--backend", choices=BACKENDS)
    options = parser.parse_args()
    if options.backend is None:
        for name in filter(importlib.util.find_spec, BACKENDS):
            subprocess.run([sys.executable, *sys.argv, "--backend", name], check=True)
        sys.exit()
    os.environ["KERAS_BACKEND"] = options.backend
    return options
