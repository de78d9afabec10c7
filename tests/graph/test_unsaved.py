import keras
import numpy as np
from keras import ops

from keras_dynamicgate.graph.unsaved import UnsavedWeight


def test_weight_is_there_to_be_set_but_in_no_file(tmp_path):
    def model():
        inputs = keras.Input((3,))
        dense = keras.layers.Dense(2)
        dense.remembered = UnsavedWeight(2)
        dense.remembered.build()
        return keras.Model(inputs, dense(inputs))

    one, other = model(), model()
    layer = one.layers[1].remembered
    assert [tuple(weight.shape) for weight in layer.non_trainable_weights] == [(2,)]
    layer.weight.assign([1.0, 2.0])
    one.save_weights(tmp_path / "one.weights.h5")
    other.load_weights(tmp_path / "one.weights.h5")
    kept = ops.convert_to_numpy(other.layers[1].remembered.weight)
    np.testing.assert_array_equal(kept, [0.0, 0.0])
