import keras
import numpy as np

from keras_dynamicgate.graph.kept_step import keep_step, use_step


def trained():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    use_step(model, ["one kind"])
    return model, model.train_function


def test_step_is_kept_for_a_training_of_the_same_kind_only():
    model, step = trained()
    keep_step(model, ["one kind"])
    assert model.train_function is None
    use_step(model, ["one kind"])
    assert model.train_function is step
    keep_step(model, ["one kind"])
    use_step(model, ["another kind"])
    assert model.train_function is not step


def test_step_of_another_compile_is_not_used():
    model, step = trained()
    keep_step(model, ["one kind"])
    model.compile("sgd", "mse")
    use_step(model, ["one kind"])
    assert model.train_function is not step


def test_model_with_a_kept_step_trains_and_can_be_given_a_step_of_its_own():
    model, _ = trained()
    calls = []

    def own(*arguments):
        calls.append(None)
        return type(model).train_step(model, *arguments)

    vars(model)["train_step"] = own
    use_step(model, ["one kind"])
    x = np.ones((4, 2), "float32")
    model.fit(x, x[:, :1], verbose=0)
    assert calls
    assert vars(model)["train_step"] is own
