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


def mean(values: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """Give the mean over the samples of all replicas, as `keras.ops.mean` does of one.

    Args:
        values: Float32 tensor of this replica's samples.
        axis: Integer or tuple of integers, the axes to average over. Defaults to `None`, all.

    Returns:
        Tensor without these axes, the same on each replica. Its gradient is that of the replica's
        own samples, which becomes the gradient of the mean when gradients are averaged over the
        replicas.

    Examples:
        >>> from keras_dynamicgate.gating import replicas
        >>> float(replicas.mean(keras.ops.array([[1.0, 0.0], [1.0, 1.0]])))
        0.75
    """
    if _count() == 1:
        return ops.mean(values, axis)
    total = ops.sum(values, axis)
    samples = ops.cast(ops.size(values), "float32") / ops.cast(ops.size(total), "float32")
    return mean_of_sum(total, samples)


def mean_of_sum(total: Any, size: Any) -> Any:
    """Give the mean over all replicas from what each has summed up.

    Args:
        total: Float32 tensor, the sum over this replica's values.
        size: The number of these values.

    Returns:
        Tensor of the shape of `total`, with the gradient as in `mean`.

    Examples:
        >>> from keras_dynamicgate.gating import replicas
        >>> float(replicas.mean_of_sum(keras.ops.array(3.0), 4))
        0.75
    """
    count = _count()
    size = ops.cast(size, "float32")
    if count == 1:
        return ops.divide(total, size)
    # The last batch of an epoch may leave a replica fewer samples than the others, or none.
    packed = ops.concatenate([ops.reshape(total, (-1,)), ops.reshape(size, (1,))])
    packed = _sum(ops.stop_gradient(packed))
    everywhere = ops.divide(ops.reshape(packed[:-1], ops.shape(total)), packed[-1])
    own = ops.divide(ops.multiply(count, total), packed[-1])
    # In this order the value is exactly the mean.
    return ops.add(everywhere, ops.subtract(own, ops.stop_gradient(own)))


def _count() -> int:
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
    """Add up a tensor without a gradient over the replicas."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        with own_losses():
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tensor)
    from torch import distributed

    total = tensor.clone()  # reduced in place
    distributed.all_reduce(total)
    return total
