import atexit
import os
import pathlib
import shutil
import tempfile

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
# Most of what is compiled runs once or twice, so that optimising it takes longer than running it.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
# JAX compiles once what many tests train. Each process has a folder of its own, since JAX may read
# what another one is still writing.
OWNER = os.getpid()
COMPILED = os.environ.get("JAX_COMPILATION_CACHE_DIR", "")


def remove_compiled():
    if os.getpid() == OWNER:  # and no process that was forked from it
        shutil.rmtree(COMPILED, ignore_errors=True)


if not COMPILED:
    COMPILED = tempfile.mkdtemp(prefix="keras-dynamicgate-")
    atexit.register(remove_compiled)
worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.path.join(COMPILED, worker)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
# Keras, which takes seconds, is imported by what runs in the workers of pytest-xdist alone.


def pytest_collection_modifyitems(items):
    """Skip tests marked `one_backend("torch")`, say, in the sessions of other backends.

    These show that an example, a page or a command runs, which takes long and tells little of a
    backend. What the package computes is tested on every backend.
    """
    import keras

    for item in items:
        for mark in item.iter_markers("one_backend"):
            if mark.args[0] != keras.backend.backend():
                item.add_marker(pytest.mark.skip(reason=f"runs on {mark.args[0]} alone"))


@pytest.fixture(autouse=True)
def reset_keras():
    """Start each test with the same seed, fresh layer names and float32."""
    import keras

    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def data_dir():
    """The folder with the original data sets, or a skip that says how to get them."""
    default = pathlib.Path(__file__).parents[2] / "shared" / "data"
    folder = pathlib.Path(os.environ.get("KDG_DATA_DIR", default))
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder}; set KDG_DATA_DIR to a folder that holds them")
    return folder
