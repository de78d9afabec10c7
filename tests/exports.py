"""Models exported by `model.export` and run by what the format is made for."""

import importlib.util
import warnings

import keras
import numpy as np
import pytest

BACKEND = keras.backend.backend()


def outputs(name, model, folder, x):
    """Export a model and run the export, or skip with the reason where Keras cannot export it.

    Args:
        name: A key of `FORMATS`.
        model: A Keras model with one input and one output.
        folder: A `pathlib.Path`, for the export.
        x: Array, the input of the model.

    Returns:
        Array, the output of what was exported.
    """
    needs, run = FORMATS[name]
    if BACKEND not in needs:
        pytest.skip(f"Keras exports {name} with {' or '.join(needs)}, not with {BACKEND}")
    for module in needs[BACKEND]:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    return run(model, folder, x)


def _export(model, path, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters use deprecated functions
        model.export(str(path), format=name, verbose=False)
    return str(path)


def _onnx(model, folder, x):
    import onnxruntime

    path = _export(model, folder / "model.onnx", "onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def _openvino(model, folder, x):
    import openvino

    path = _export(model, folder / "model.xml", "openvino")
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled([x])[0]


def _litert(model, folder, x):
    import tensorflow as tf

    path = _export(model, folder / "model.tflite", "litert")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the interpreter moves to a package of its own
        interpreter = tf.lite.Interpreter(path)
    details = interpreter.get_input_details()[0]
    interpreter.resize_tensor_input(details["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(details["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _saved_model(model, folder, x):
    import tensorflow as tf

    loaded = tf.saved_model.load(_export(model, folder / "model", "tf_saved_model"))
    return np.asarray(loaded.serve(x))


def _torch_program(model, folder, x):
    import torch

    program = torch.export.load(_export(model, folder / "model.pt2", "torch")).module()
    # Keras fixes the batch size at 1 here.
    return np.concatenate([program(torch.from_numpy(row[None])).detach().numpy() for row in x])


# For each format what has to be installed, by backend, and the function that exports and runs.
FORMATS = {
    "onnx": (
        {
            "tensorflow": ["tf2onnx", "onnxruntime"],
            "jax": ["jax2onnx", "onnxruntime"],
            "torch": ["onnx", "onnxruntime"],
        },
        _onnx,
    ),
    "openvino": ({"tensorflow": ["openvino"], "torch": ["openvino"]}, _openvino),
    "litert": ({"tensorflow": ["tensorflow"], "torch": ["litert_torch"]}, _litert),
    "tf_saved_model": ({"tensorflow": ["tensorflow"], "jax": ["tensorflow"]}, _saved_model),
    "torch": ({"torch": ["torch"]}, _torch_program),
}
