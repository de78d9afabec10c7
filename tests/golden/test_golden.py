"""Files of every version so far load in this one, on every backend, with the same outputs."""

import json
import pathlib
import re
import zipfile

import keras
import numpy as np
import pytest
from golden import models

import keras_dynamicgate as kdg

FOLDER = pathlib.Path(__file__).parent
FILES = sorted(FOLDER.glob("*/*/*.keras"))

# Backends round sums in low precision differently: on the same file they are apart by up to 0.0103
# of the largest output in bfloat16, and by 1e-7 where weights are quantized.
TOLERANCES = {"mixed_bfloat16": 2e-2, "mixed_float16": 1e-3}


def name_of(path):
    return "/".join(path.relative_to(FOLDER).with_suffix("").parts)


def skip_if_keras_is_older(path):
    """Skip where the Keras that runs is older than the one that wrote a file.

    An older Keras does not know what a newer one writes into the configs of its own classes.
    """
    with zipfile.ZipFile(path) as archive:
        written = json.loads(archive.read("metadata.json"))["keras_version"]
    if numbers(keras.__version__) < numbers(written):
        pytest.skip(f"written by Keras {written}, which is newer than {keras.__version__}")


def numbers(version):
    return [int(number) for number in version.split(".")[:2]]


def expected(path):
    """Give what a model was, when it was saved, by the name of the value."""
    with np.load(path.parent / "outputs.npz") as outputs:
        start = path.name.split(".")[0] + "/"
        return {
            name.removeprefix(start): outputs[name] for name in outputs if name.startswith(start)
        }


def check(model, path):
    """Compare all that a model answers with what it answered when it was saved."""
    name, before = path.name.split(".")[0], expected(path)
    now = models.answers(model, before.pop("inputs"), losses=name in models.WITH_LOSSES)
    assert now.keys() == before.keys()
    tolerance = TOLERANCES.get(name, 1e-5)
    for key, value in before.items():
        bound = tolerance * max(1.0, np.abs(value).max())
        np.testing.assert_allclose(now[key], value, rtol=0, atol=bound, err_msg=f"{name}/{key}")


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_file_of_an_earlier_version_loads_with_the_same_outputs_and_state(path):
    skip_if_keras_is_older(path)
    model = keras.saving.load_model(path)
    check(model, path)
    if not model.compiled:
        for weight in model.weights:
            if weight.name in models.STATE:
                value = keras.ops.convert_to_numpy(weight)
                np.testing.assert_allclose(value, models.STATE[weight.name], err_msg=weight.path)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/*/*.weights.h5")), ids=name_of)
def test_weights_file_of_an_earlier_version_loads_into_a_model_that_is_built_now(path):
    model = models.WITH_WEIGHTS_FILE[path.name.split(".")[0]]()
    model.load_weights(path)
    check(model, path)


@pytest.mark.parametrize("folder", sorted(FOLDER.glob("*/*/")), ids=name_of)
def test_no_golden_file_got_lost(folder):
    with np.load(folder / "outputs.npz") as outputs:
        names = {name.split("/")[0] for name in outputs}
    assert names == {path.stem for path in folder.glob("*.keras")}


def test_every_class_that_can_be_saved_is_in_a_golden_file():
    for name in kdg.__all__:
        getattr(kdg, name)  # some register classes only when they are asked for
    saved = set()
    for path in FILES:
        with zipfile.ZipFile(path) as archive:
            config = archive.read("config.json").decode()
        saved |= set(re.findall(r'"registered_name": "keras_dynamicgate>(\w+)"', config))
    registered = {name for name in keras.saving.get_custom_objects() if "dynamicgate>" in name}
    # Stands in no file of a model: gated layers make their gates.
    registered.remove("keras_dynamicgate>Gate")
    assert registered == {f"keras_dynamicgate>{name}" for name in saved}
