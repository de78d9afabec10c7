import keras
import numpy as np
import pytest
from plasticity.small_models import numpy

from keras_dynamicgate.plasticity import MaskedUpdate

KERNEL = np.array([[1.0], [1.0]], "float32")
FIRST = [np.array([[True], [False]]), np.array([False])]


def one_layer(optimizer):
    """A layer of which the first weight of two learns, and not the bias."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.layers[0].set_weights([KERNEL, np.zeros(1)])
    model.compile(optimizer, "mse")
    model.optimizer.build(model.trainable_variables)
    masked = model.optimizer
    while not isinstance(masked, MaskedUpdate):
        masked = masked.inner_optimizer
    masked.set_masks(FIRST, 2)
    return model


def step(model, times=1):
    for _ in range(times):
        model.train_on_batch(np.array([[1.0, 2.0]]), np.array([[0.0]]))
    return numpy(model.layers[0].kernel).tolist(), numpy(model.layers[0].bias).tolist()


def test_what_is_closed_stays_and_what_is_open_moves_as_without_the_wrapper():
    # (1 + 2)^2 has the gradient 2 * 3 * (1, 2) by the weights.
    assert step(one_layer(MaskedUpdate(keras.optimizers.SGD(0.125)))) == ([[0.25], [1.0]], [0.0])


def test_weight_decay_and_constraints_stop_at_the_mask():
    model = one_layer(MaskedUpdate(keras.optimizers.SGD(0.125, weight_decay=4.0)))
    # Halved by the decay, then .75 less.
    assert step(model) == ([[-0.25], [1.0]], [0.0])


def test_clipping_takes_the_gradients_of_all_weights():
    # The norm of (6, 12, 6) is 14.7; clipped to half of it, the step is half as long.
    optimizer = keras.optimizers.SGD(0.125, global_clipnorm=float(np.sqrt(54.0)))
    (first, second), bias = step(one_layer(MaskedUpdate(optimizer)))
    assert first == pytest.approx([0.625])
    assert second + bias == [1.0, 0.0]


def test_momentum_of_what_is_closed_stays():
    model = one_layer(MaskedUpdate(keras.optimizers.SGD(0.125, momentum=0.5)))
    step(model)
    momentums = [v for v in model.optimizer.variables if v.name.endswith("momentum")]
    assert [numpy(v).reshape(-1).tolist() for v in momentums] == [[-0.75, 0.0], [0.0]]


@pytest.mark.parametrize("frequency", [None, 2])
def test_moving_averages_leave_what_is_closed_alone(frequency):
    inner = keras.optimizers.SGD(0.125, use_ema=True, ema_overwrite_frequency=frequency)
    model = one_layer(MaskedUpdate(inner))
    model.fit(np.array([[1.0, 2.0]] * 3), np.zeros((3, 1)), batch_size=1, verbose=0)
    kernel, bias = (numpy(weight) for weight in model.layers[0].weights)
    assert kernel[0] != 1.0
    assert kernel[1].tolist() + bias.tolist() == [1.0, 0.0]


def test_an_average_of_what_was_closed_starts_from_its_weight_when_it_opens():
    model = one_layer(MaskedUpdate(keras.optimizers.SGD(0.125, use_ema=True)))
    step(model, 3)
    averages = [v for v in model.optimizer.variables if v.name.endswith("average")]
    assert numpy(averages[0])[1] == 1.0


def test_accumulated_gradients_make_one_step_of_two():
    inner = keras.optimizers.SGD(0.125, gradient_accumulation_steps=2)
    model = one_layer(MaskedUpdate(inner))
    assert step(model)[0] == [[1.0], [1.0]]
    assert step(model)[0] == [[0.25], [1.0]]


@pytest.mark.parametrize("outside", [True, False])
def test_loss_scaling_works_outside_and_inside(outside):
    scaled = keras.optimizers.LossScaleOptimizer
    sgd = keras.optimizers.SGD(0.125)
    optimizer = scaled(MaskedUpdate(sgd)) if outside else MaskedUpdate(scaled(sgd))
    assert step(one_layer(optimizer)) == ([[0.25], [1.0]], [0.0])


def test_a_gradient_that_is_not_finite_does_not_reach_what_is_closed():
    model = one_layer(MaskedUpdate("sgd"))
    model.train_on_batch(np.array([[np.inf, np.nan]]), np.array([[0.0]]))
    assert np.isnan(numpy(model.layers[0].kernel)[0]).all()
    assert numpy(model.layers[0].kernel)[1] == 1.0


def test_an_optimizer_that_has_trained_keeps_what_it_knows():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(), "mse")
    model.train_on_batch(np.ones((1, 2)), np.ones((1, 1)))
    optimizer = MaskedUpdate(model.optimizer)
    model.compile(optimizer, "mse")
    model.train_on_batch(np.ones((1, 2)), np.ones((1, 1)))
    assert int(optimizer.iterations) == 2


def test_learning_rates_are_those_of_the_optimizer_inside():
    optimizer = MaskedUpdate(keras.optimizers.SGD(0.5))
    optimizer.learning_rate = 0.25
    assert float(optimizer.inner_optimizer.learning_rate) == 0.25
    assert float(optimizer.learning_rate) == 0.25


def test_a_file_keeps_masks_and_state(tmp_path):
    model = one_layer(MaskedUpdate(keras.optimizers.Adam(0.1)))
    step(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert step(loaded) == step(model)


def test_a_loop_of_ones_own_keeps_to_the_masks():
    model = one_layer(MaskedUpdate(keras.optimizers.SGD(0.125)))
    gradients = [keras.ops.convert_to_tensor(np.full((2, 1), 4.0, "float32")), None]
    gradients[1] = keras.ops.ones((1,))
    model.optimizer.apply(gradients, model.trainable_variables)
    assert numpy(model.layers[0].kernel).tolist() == [[0.5], [1.0]]
    assert numpy(model.layers[0].bias).tolist() == [0.0]
