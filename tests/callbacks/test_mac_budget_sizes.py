import keras
import numpy as np
import pytest
from keras import ops

import keras_dynamicgate as kdg

X, Y = np.zeros((16, 5, 8), "float32"), np.zeros((16, 4))


def open_model():
    """A model of ungated products at each position of any length and gated ones after them."""
    model = keras.Sequential(
        [
            keras.Input((None, 8)),
            keras.layers.Dense(32),
            keras.layers.GlobalAveragePooling1D(),
            kdg.DynamicGateDense(64, gate="static", block_size=1),
            keras.layers.Dense(4),
        ]
    )
    model.compile("sgd", "mse")
    return model


# With half of the gates open, for 5 positions.
HALF_OPEN = (5 * 8 * 32 + 32 * 32 + 32 * 4) / (5 * 8 * 32 + 32 * 64 + 64 * 4)


@pytest.mark.filterwarnings("ignore:The training ended at")
@pytest.mark.parametrize("batch_size", [4, 16], ids=["four steps", "one step"])
def test_sizes_that_a_model_leaves_open_are_those_of_the_data_it_trains_on(batch_size):
    model, seen = open_model(), []
    gate = model.layers[2].gate

    def look(epoch, logs):
        half = gate.budget.relative_macs({gate: ops.full((64,), 0.5)})
        seen.append(float(ops.convert_to_numpy(half)))

    callbacks = [kdg.MacBudget(0.8), keras.callbacks.LambdaCallback(on_epoch_end=look)]
    model.fit(X, Y, batch_size=batch_size, epochs=2, verbose=0, callbacks=callbacks)
    assert seen == pytest.approx([HALF_OPEN] * 2)
    assert gate.budget is None
    assert float(gate.budget_state[0]) == pytest.approx(1.0)
    assert "train_step" not in vars(model)


def test_budget_out_of_reach_for_the_sizes_of_the_data_is_refused_at_the_first_step():
    # 5 * 8 * 32 of 3584 are not gated.
    with pytest.raises(ValueError, match=r"out of reach: .* at least 0.357 relative MACs"):
        open_model().fit(X, Y, batch_size=4, verbose=0, callbacks=[kdg.MacBudget(0.3)])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="other backends know the sizes")
def test_data_of_open_sizes_is_refused_with_the_way_out():
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
    spec = (tf.TensorSpec((None, None, 8)), tf.TensorSpec((None, 4)))
    batches = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=spec)
    fit = {"epochs": 2, "shuffle": False, "verbose": 0}
    with pytest.raises(ValueError, match=r"leaves them open.*`padded_batch"):
        open_model().fit(batches, callbacks=[kdg.MacBudget(0.8)], **fit)
