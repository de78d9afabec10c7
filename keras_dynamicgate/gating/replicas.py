"""Means over the whole batch where several replicas of a model train on a part of it each.

What a gate measures has to be the same on all replicas, or each would move its own price. With
`tf.distribute` and with processes of PyTorch every replica calls the gates on its own part of the
batch, and Keras leaves the weights that a layer assigns in `call` to each of them. So the means are
reduced here. On JAX there is nothing to do: `keras.distribution` runs one program over the batch.
"""

from typing import Any

import keras
from keras import ops

from keras_dynamicgate.graph.state import own_losses


def mean(values: Any, axis: int | tuple[int, ...] | None = None, weights: Any = None) -> Any:
    """Give the mean over the samples of all replicas, as `keras.ops.mean` does of one.

    Args:
        values: Float32 tensor of this replica's samples.
        axis: Integer or tuple of integers, the axes to average over. Defaults to `None`, all.
        weights: Tensor that broadcasts to the shape of `values`, 1 for what counts and 0 for what
            does not. Defaults to `None`: all of it counts.

    Returns:
        Tensor without these axes, the same on each replica, of zeros if nothing counts. Its
        gradient is that of the replica's own samples, which becomes the gradient of the mean when
        gradients are averaged over the replicas.

    Examples:
        >>> from keras_dynamicgate.gating import replicas
        >>> values = keras.ops.array([[1.0, 0.0], [1.0, 1.0]])
        >>> float(replicas.mean(values))
        0.75
        >>> float(replicas.mean(values, weights=keras.ops.array([[1.0], [0.0]])))
        0.5
    """
    if all_count(values, weights):
        return ops.mean(values, axis)
    return mean_of_sum(*_sum_and_size(values, axis, weights))


def joint_mean(values: Any, axis: Any, weights: Any = None) -> Any:
    """Give the mean over the samples of all replicas to what depends on it sample by sample.

    Such a mean reaches the losses of all replicas in different ways, so its gradient on each
    replica is that of all their losses, as in a synchronised batch normalisation.

    Args:
        values: As for `mean`.
        axis: As for `mean`.
        weights: As for `mean`.

    Returns:
        As for `mean`.

    Examples:
        >>> from keras_dynamicgate.gating import replicas
        >>> replicas.joint_mean(keras.ops.array([[1.0, 0.0], [1.0, 1.0]]), 0)
        array([1. , 0.5], dtype=float32)
    """
    if _replicas() == 1:
        return mean(values, axis, weights)
    total, size = _sum_and_size(values, axis, weights)
    return ops.divide(_sum(total), ops.maximum(_sum(size), 1.0))


def all_count(values: Any, weights: Any = None) -> bool:
    """Tell whether it is known beforehand that there are values and that each of them counts."""
    return weights is None and all(values.shape) and _replicas() == 1


def count(values: Any, weights: Any = None) -> Any:
    """Give the number of values of this replica that count, as a float32 scalar."""
    if weights is None:
        return ops.cast(ops.size(values), "float32")
    return ops.sum(ops.multiply(ops.ones_like(values), weights))


def mean_of_sum(total: Any, size: Any) -> Any:
    """Give the mean over all replicas from what each has summed up.

    Args:
        total: Float32 tensor, the sum over this replica's values.
        size: The number of these values.

    Returns:
        Tensor of the shape of `total`, with the gradient as in `mean`; zeros if there are no
        values.

    Examples:
        >>> from keras_dynamicgate.gating import replicas
        >>> float(replicas.mean_of_sum(keras.ops.array(3.0), 4))
        0.75
    """
    replicas = _replicas()
    size = ops.cast(size, "float32")
    if replicas == 1:
        return ops.divide(total, ops.maximum(size, 1.0))
    # The last batch of an epoch may leave a replica fewer samples than the others, or none.
    packed = ops.concatenate([ops.reshape(total, (-1,)), ops.reshape(size, (1,))])
    packed = _sum(ops.stop_gradient(packed))
    size = ops.maximum(packed[-1], 1.0)
    everywhere = ops.divide(ops.reshape(packed[:-1], ops.shape(total)), size)
    own = ops.divide(ops.multiply(replicas, total), size)
    # In this order the value is exactly the mean.
    return ops.add(everywhere, ops.subtract(own, ops.stop_gradient(own)))


def _sum_and_size(values: Any, axis: Any, weights: Any) -> tuple[Any, Any]:
    """Sum up the values of this replica that count, and tell how many each sum has."""
    counted = count(values, weights)
    if weights is not None:
        values = ops.multiply(values, weights)
    total = ops.sum(values, axis)
    return total, ops.divide(counted, ops.cast(ops.size(total), "float32"))


def _replicas() -> int:
    """Give the number of replicas that call the gates, each on its own part of the batch."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        return 1 if context is None else context.num_replicas_in_sync
    if backend == "torch":
        from torch import distributed

        if distributed.is_available() and distributed.is_initialized():
            return distributed.get_world_size()
    return 1


def _sum(tensor: Any) -> Any:
    """Add up a tensor over the replicas; its gradient is the sum of theirs."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        with own_losses():
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tensor)
    total = _torch_sum(tensor.detach())
    if not tensor.requires_grad:
        return total
    own = tensor.clone()
    own.register_hook(_torch_sum)
    # In this order the value is exactly the sum.
    return total + (own - own.detach())


def _torch_sum(tensor: Any) -> Any:
    from torch import distributed

    total = tensor.clone()  # reduced in place
    distributed.all_reduce(total)
    return total
