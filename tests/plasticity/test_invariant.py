"""What strict `"inactive"` promises: the answers to the reference stay, bit for bit."""

import keras
import numpy as np
import pytest
from plasticity.small_models import DRIFTED, REFERENCE, TARGETS, numpy, two_gated_layers

import keras_dynamicgate as kdg
from keras_dynamicgate.plasticity import MaskedUpdate, set_update_mode

STEPS = 500
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "muon": lambda: keras.optimizers.Muon(0.01),
}


@keras.saving.register_keras_serializable("tests")
class MaskedGradient(MaskedUpdate):
    """The mistake: masks the gradient and lets the optimizer do the rest."""

    def apply(self, grads, trainable_variables=None):
        if not self.built:
            self.build(trainable_variables)
        grads = [
            keras.ops.multiply(keras.ops.cast(mask, grad.dtype), grad)
            for mask, grad in zip(self.masks, grads, strict=True)
        ]
        self.inner_optimizer.apply(grads, trainable_variables)

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        return keras.optimizers.Optimizer.stateless_apply(
            self, optimizer_variables, grads, trainable_variables
        )


def compiled(optimizer):
    """Give a model that has trained a little, so that momentums are not 0."""
    model = two_gated_layers()
    model.compile(optimizer, "mse")
    model.fit(DRIFTED, TARGETS, batch_size=4, epochs=2, verbose=0)
    return model


def change_of_answers(model, steps=STEPS):
    """Train on drifted data and tell whether answers to the reference and to these have changed."""
    x, y = (np.resize(each, (4 * steps, each.shape[1])) for each in (DRIFTED, TARGETS))
    before = [numpy(model(inputs, training=False)) for inputs in (REFERENCE, DRIFTED)]
    predicted = model.predict(REFERENCE, verbose=0)
    model.fit(x, y, batch_size=4, verbose=0)
    after = [numpy(model(inputs, training=False)) for inputs in (REFERENCE, DRIFTED)]
    assert np.array_equal(numpy(predicted), numpy(model.predict(REFERENCE, verbose=0))) == (
        np.array_equal(before[0], after[0])
    )
    return [not np.array_equal(*pair) for pair in zip(before, after, strict=True)]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_answers_to_the_reference_stay_bit_for_bit(name, policy):
    keras.config.set_dtype_policy(policy)
    model = compiled(MaskedUpdate(OPTIMIZERS[name]()))
    set_update_mode(model, "inactive", REFERENCE)
    assert change_of_answers(model) == [False, True]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_masked_gradients_would_change_them(name):
    model = compiled(MaskedGradient(OPTIMIZERS[name]()))
    set_update_mode(model, "inactive", REFERENCE)
    assert change_of_answers(model, 10) == [True, True]


def test_a_moving_output_bias_would_change_them():
    model = compiled(MaskedUpdate("adam"))
    set_update_mode(model, "inactive", REFERENCE)
    optimizer, bias = model.optimizer, model.get_layer("head").bias
    masks = [numpy(mask) > 0 for mask in optimizer.masks]
    for variable, mask in zip(optimizer.trained_variables, masks, strict=True):
        mask |= variable is bias
    optimizer.set_masks(masks, 2)
    assert change_of_answers(model, 10) == [True, True]


def test_a_model_that_was_loaded_keeps_to_its_mode(tmp_path):
    model = compiled(MaskedUpdate("adam"))
    set_update_mode(model, "inactive", REFERENCE)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert kdg.plasticity.update_mode(loaded) == "inactive"
    assert change_of_answers(loaded, 10) == [False, True]


def test_train_on_batch_keeps_to_the_mode():
    model = compiled(MaskedUpdate("adam"))
    set_update_mode(model, "inactive", REFERENCE)
    before = numpy(model(REFERENCE))
    for _ in range(3):
        model.train_on_batch(DRIFTED, TARGETS)
    assert np.array_equal(before, numpy(model(REFERENCE)))


def test_a_change_of_mode_compiles_nothing_anew():
    model = compiled(MaskedUpdate("adam"))
    function = model.train_function
    set_update_mode(model, "none")
    before = model.get_layer("head").get_weights()
    model.fit(DRIFTED, TARGETS, verbose=0)
    held = model.get_layer("head").get_weights()
    set_update_mode(model, "all")
    model.fit(DRIFTED, TARGETS, verbose=0)
    assert model.train_function is function
    assert all(np.array_equal(*pair) for pair in zip(before, held, strict=True))
    assert not np.array_equal(held[0], model.get_layer("head").get_weights()[0])
