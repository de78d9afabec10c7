"""Files of every version so far load in this one, on every backend, with the same outputs.

Of a damaged one the commands say that it is damaged. (In a file of `save_weights` Keras has no
checksum, so that in one of these only a lost end can be found.)
"""

import json
import pathlib
import re
import zipfile

import keras
import numpy as np
import pytest
from golden import models

import keras_dynamicgate as kdg
from keras_dynamicgate.cli.files import load_model
from keras_dynamicgate.cli.wrong_input import WrongInput

FOLDER = pathlib.Path(__file__).parent
FILES = sorted(FOLDER.glob("*/*/*.keras"))
WEIGHTS_FILES = sorted(FOLDER.glob("*/*/*.weights.h5"))
# One backend's files are damaged in one run of the suite. This model loads quickly.
OWN = [path for path in FILES if path.parent.name == keras.backend.backend()]
QUICK = [path for path in OWN if path.stem == "int4_blocks"]
# No checksum covers the directory of a ZIP file, which is its end.
DIRECTORY = 256

# JAX has float32 for it.
pytestmark = pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64")

# Backends round sums in low precision differently: on the same file they are apart by up to 0.0103
# of the largest output in bfloat16, and by 1e-7 where weights are quantized.
TOLERANCES = {
    "mixed_bfloat16": 2e-2,
    "mixed_float16": 1e-3,
    "mixed_others": 2e-2,
    "bfloat16": 2e-2,
    "float16": 2e-3,
    "quantized_policies": 2e-2,
}


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
    name = path.name.split(".")[0]
    own = path.with_name(f"{name}.npz")
    if own.exists():
        with np.load(own) as outputs:
            return dict(outputs)
    # The first files have one for all of a folder.
    with np.load(path.with_name("outputs.npz")) as outputs:
        start = f"{name}/"
        return {key.removeprefix(start): outputs[key] for key in outputs if key.startswith(start)}


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


@pytest.mark.parametrize("path", WEIGHTS_FILES, ids=name_of)
def test_weights_file_of_an_earlier_version_loads_into_a_model_that_is_built_now(path):
    model = models.WITH_WEIGHTS_FILE[path.name.split(".")[0]]()
    model.load_weights(path)
    check(model, path)


@pytest.mark.parametrize("folder", sorted(FOLDER.glob("*/*/")), ids=name_of)
def test_no_golden_file_got_lost(folder):
    with np.load(folder / "outputs.npz") as outputs:
        names = {name.split("/")[0] for name in outputs}
    names |= {path.stem for path in folder.glob("*.npz")} - {"outputs"}
    assert names == {path.stem for path in folder.glob("*.keras")}


def test_all_that_can_be_saved_is_in_a_golden_file():
    for name in kdg.__all__:
        getattr(kdg, name)  # some register classes only when they are asked for
    saved = set()
    for path in FILES:
        with zipfile.ZipFile(path) as archive:
            config = archive.read("config.json").decode()
        # That of a function stands where the config of a class would be.
        saved |= set(re.findall(r'"(?:registered_name|config)": "keras_dynamicgate>(\w+)"', config))
    registered = {name for name in keras.saving.get_custom_objects() if "dynamicgate>" in name}
    # Stands in no file of a model: gated layers make their gates.
    registered.remove("keras_dynamicgate>Gate")
    assert registered == {f"keras_dynamicgate>{name}" for name in saved}


def check_damaged(content, path, folder):
    """Load a file with other content: it is refused by its name, or answers as before."""
    damaged = folder / path.name
    damaged.write_bytes(content)
    try:
        model = load_model(str(damaged))
    except WrongInput as error:
        named = f"cannot load the model {str(damaged)!r}" in str(error)
        return "refused" if named else error
    check(model, path)
    return "right"


def flipped(content, position, bit):
    damaged = bytearray(content)
    damaged[position] ^= 1 << bit
    return bytes(damaged)


def drawn(stop, number, seed):
    return np.random.default_rng(seed).choice(stop, size=number, replace=False).tolist()


@pytest.mark.parametrize("path", OWN, ids=name_of)
def test_truncated_file_is_refused(path, tmp_path):
    skip_if_keras_is_older(path)
    content = path.read_bytes()
    for length in [0, len(content) - 1, *drawn(len(content), 100, seed=1)]:
        assert check_damaged(content[:length], path, tmp_path) == "refused", length


@pytest.mark.parametrize("path", OWN, ids=name_of)
def test_file_with_a_flipped_bit_is_refused_or_right(path, tmp_path):
    skip_if_keras_is_older(path)
    content = path.read_bytes()
    positions = drawn(len(content), 100, seed=2)
    if path in QUICK:
        positions += [len(content) - 1 - each for each in drawn(DIRECTORY, 50, seed=4)]
    found = [
        check_damaged(flipped(content, position, index % 8), path, tmp_path)
        for index, position in enumerate(positions)
    ]
    # What is not read, such as a date, may be damaged.
    assert set(found) <= {"refused", "right"}
    assert found.count("refused") > (75 if path in QUICK else 90)
    assert "right" in found or path not in QUICK


@pytest.mark.parametrize("path", WEIGHTS_FILES, ids=name_of)
def test_truncated_weights_file_is_refused_and_the_model_stays_as_it_was(path, tmp_path):
    model = models.WITH_WEIGHTS_FILE[path.name.split(".")[0]]()
    before = model.get_weights()
    content = path.read_bytes()
    damaged = tmp_path / path.name
    for length in [0, len(content) - 1, *drawn(len(content), 100, seed=5)]:
        damaged.write_bytes(content[:length])
        with pytest.raises(OSError, match="Unable to synchronously open file"):
            model.load_weights(damaged)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
