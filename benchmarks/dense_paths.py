"""The same dense network in every library that is installed, from array to array."""

import importlib.util

import keras
import numpy as np


def weights_of(layers):
    """Give the kernels and biases of Dense layers as `dense_paths` takes them."""
    return [tuple(map(keras.ops.convert_to_numpy, (d.kernel, d.bias))) for d in layers]


def dense_paths(weights, *, threads):
    """Give functions that run dense layers with ReLU between them, by the name of the library.

    Args:
        weights: List of pairs of float32 arrays, for each layer the kernel of shape
            `(features, units)` and the bias of shape `(units,)`.
        threads: Integer, the threads of the libraries that can be told.

    Returns:
        Dict from name to a function of a float32 array. PyTorch comes before TensorFlow, which it
        must be loaded before.
    """
    paths = {"numpy": _numpy(weights)}
    makers = {
        "torch": ("torch", _torch),
        "tensorflow": ("tensorflow", _tensorflow),
        "jax": ("jax", _jax),
        "onnxruntime": ("onnxruntime", _onnxruntime),
        "openvino": ("openvino", _openvino),
    }
    for name, (module, make) in makers.items():
        if importlib.util.find_spec(module) is not None:
            paths[name] = make(weights, threads)
    return paths


def _numpy(weights):
    *hidden, (last, last_bias) = weights

    def run(x):
        for kernel, bias in hidden:
            x = x @ kernel
            x += bias
            np.maximum(x, 0.0, out=x)
        outputs = x @ last
        outputs += last_bias
        return outputs

    return run


def _torch(weights, threads):
    import torch

    torch.set_num_threads(threads)
    linear = torch.nn.functional.linear
    *hidden, last = [
        (torch.from_numpy(np.array(kernel.T, order="C")), torch.from_numpy(bias))
        for kernel, bias in weights
    ]

    def run(x):
        with torch.inference_mode():
            x = torch.from_numpy(x)
            for kernel, bias in hidden:
                x = torch.relu_(linear(x, kernel, bias))
            return linear(x, *last).numpy()

    return run


def _tensorflow(weights, threads):
    import tensorflow as tf

    *hidden, (last, last_bias) = [tuple(map(tf.constant, pair)) for pair in weights]
    features = weights[0][0].shape[0]

    @tf.function(input_signature=[tf.TensorSpec((None, features), tf.float32)])
    def network(x):
        for kernel, bias in hidden:
            x = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, kernel), bias))
        return tf.nn.bias_add(tf.matmul(x, last), last_bias)

    return lambda x: network(x).numpy()


def _jax(weights, threads):
    import jax

    arrays = jax.device_put(weights)

    @jax.jit
    def network(x, arrays):
        *hidden, (last, last_bias) = arrays
        for kernel, bias in hidden:
            x = jax.nn.relu(x @ kernel + bias)
        return x @ last + last_bias

    return lambda x: np.asarray(network(x, arrays))


def _onnx_model(weights):
    from onnx import helper, numpy_helper

    nodes, arrays, value = [], [], "x"
    for number, (kernel, bias) in enumerate(weights):
        names = [f"kernel{number}", f"bias{number}"]
        arrays += map(numpy_helper.from_array, (kernel, bias), names)
        last = number == len(weights) - 1
        output = "y" if last else f"hidden{number}"
        nodes.append(helper.make_node("Gemm", [value, *names], [output]))
        value = f"open{number}"
        if not last:
            nodes.append(helper.make_node("Relu", [output], [value]))
    features, outputs = weights[0][0].shape[0], weights[-1][0].shape[1]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", 1, ["batch", features])],
        [helper.make_tensor_value_info("y", 1, ["batch", outputs])],
        arrays,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    return model.SerializeToString()


def _onnxruntime(weights, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        _onnx_model(weights), options, providers=["CPUExecutionProvider"]
    )
    return lambda x: session.run(None, {"x": x})[0]


def _openvino(weights, threads):
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    model = core.read_model(_onnx_model(weights))
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda x: request.infer({0: x})[0]
