import keras
import numpy as np
import pytest
from keras import ops

from keras_dynamicgate.graph.averages import average_all, average_without


def two_steps(optimizer, variables):
    """Take 1 from the first variable and 2 from the second, twice."""
    for _ in range(2):
        optimizer.apply([ops.array([1.0]), ops.array([2.0])], variables)


@pytest.mark.parametrize("wrapper", [lambda inner: inner, keras.optimizers.LossScaleOptimizer])
def test_average_of_a_variable_that_is_left_out_is_its_value(wrapper):
    optimizer = keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
    variables = [keras.Variable(np.array([8.0], "float32")) for _ in range(2)]
    optimizer.build(variables)
    average_without(wrapper(optimizer), variables[1:])
    two_steps(optimizer, variables)
    # 7 and 6, of which the average begins with the first; 8 - 2 - 2.
    averages = optimizer._model_variables_moving_average
    assert [float(ops.convert_to_numpy(each)[0]) for each in averages] == [6.5, 4.0]
    average_all(wrapper(optimizer))
    two_steps(optimizer, variables)
    # 5 and 4 join 6.5, 2 and 0 join 4.
    assert [float(ops.convert_to_numpy(each)[0]) for each in averages] == [4.875, 1.5]


def test_optimizer_without_averages_is_left_as_it_is():
    optimizer = keras.optimizers.SGD()
    before = set(vars(optimizer))
    average_without(optimizer, [])
    assert set(vars(optimizer)) == before
