"""The same dense feed-forward block in every library that is installed, from array to array."""

import importlib.util

import numpy as np


def dense_paths(hidden_kernel, hidden_bias, output_kernel, output_bias, *, threads):
    """Give functions that compute `relu(x A + a) B + b`, by the name of the library.

    Args:
        hidden_kernel: Float32 array of shape `(features, hidden)`.
        hidden_bias: Float32 array of shape `(hidden,)`.
        output_kernel: Float32 array of shape `(hidden, outputs)`.
        output_bias: Float32 array of shape `(outputs,)`.
        threads: Integer, the threads of the libraries that can be told.

    Returns:
        Dict from name to a function of a float32 array. PyTorch comes before TensorFlow, which it
        must be loaded before.
    """
    weights = (hidden_kernel, hidden_bias, output_kernel, output_bias)
    paths = {"numpy": _numpy(*weights)}
    makers = {
        "torch": ("torch", _torch),
        "tensorflow": ("tensorflow", _tensorflow),
        "jax": ("jax", _jax),
        "onnxruntime": ("onnxruntime", _onnxruntime),
        "openvino": ("openvino", _openvino),
    }
    for name, (module, make) in makers.items():
        if importlib.util.find_spec(module) is not None:
            paths[name] = make(*weights, threads)
    return paths


def _numpy(a, a_bias, b, b_bias):
    def run(x):
        hidden = x @ a
        hidden += a_bias
        np.maximum(hidden, 0.0, out=hidden)
        outputs = hidden @ b
        outputs += b_bias
        return outputs

    return run


def _torch(a, a_bias, b, b_bias, threads):
    import torch

    torch.set_num_threads(threads)
    first, first_bias, second, second_bias = (
        torch.from_numpy(np.array(weight.T, order="C")) for weight in (a, a_bias, b, b_bias)
    )
    linear = torch.nn.functional.linear

    def run(x):
        with torch.inference_mode():
            hidden = torch.relu_(linear(torch.from_numpy(x), first, first_bias))
            return linear(hidden, second, second_bias).numpy()

    return run


def _tensorflow(a, a_bias, b, b_bias, threads):
    import tensorflow as tf

    first, first_bias, second, second_bias = map(tf.constant, (a, a_bias, b, b_bias))

    @tf.function(input_signature=[tf.TensorSpec((None, a.shape[0]), tf.float32)])
    def block(x):
        hidden = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, first), first_bias))
        return tf.nn.bias_add(tf.matmul(hidden, second), second_bias)

    return lambda x: block(x).numpy()


def _jax(a, a_bias, b, b_bias, threads):
    import jax

    weights = [jax.device_put(weight) for weight in (a, a_bias, b, b_bias)]

    @jax.jit
    def block(x, first, first_bias, second, second_bias):
        return jax.nn.relu(x @ first + first_bias) @ second + second_bias

    return lambda x: np.asarray(block(x, *weights))


def _onnx_model(a, a_bias, b, b_bias):
    from onnx import helper, numpy_helper

    arrays = {"a": a, "a_bias": a_bias, "b": b, "b_bias": b_bias}
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "a", "a_bias"], ["hidden"]),
            helper.make_node("Relu", ["hidden"], ["open"]),
            helper.make_node("Gemm", ["open", "b", "b_bias"], ["y"]),
        ],
        "block",
        [helper.make_tensor_value_info("x", 1, ["batch", a.shape[0]])],
        [helper.make_tensor_value_info("y", 1, ["batch", b.shape[1]])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    return model.SerializeToString()


def _onnxruntime(a, a_bias, b, b_bias, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        _onnx_model(a, a_bias, b, b_bias), options, providers=["CPUExecutionProvider"]
    )
    return lambda x: session.run(None, {"x": x})[0]


def _openvino(a, a_bias, b, b_bias, threads):
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    model = core.read_model(_onnx_model(a, a_bias, b, b_bias))
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda x: request.infer({0: x})[0]
