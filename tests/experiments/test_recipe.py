import keras
import numpy as np
from keras import layers

from keras_dynamicgate.experiments import Recipe


def test_a_model_that_learned_from_a_teacher_loads_and_goes_on(dataset, tmp_path):
    model = keras.Sequential([keras.Input((4, 8)), layers.Flatten(), layers.Dense(2)])
    teacher = tuple(np.ones((len(split), 2)) for split in (dataset.train, dataset.validation))
    Recipe(epochs=1, batch_size=64).train(model, dataset, teacher=teacher, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x, y = np.ones((2, 4, 8)), np.ones((2, 3))
    assert loaded.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    assert loaded.optimizer.learning_rate == model.optimizer.learning_rate
