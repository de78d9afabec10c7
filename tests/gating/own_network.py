"""A gate network as a user would write one: a class with a build and a chain."""

import keras

import keras_dynamicgate as kdg


@keras.saving.register_keras_serializable(package="tests")
class HiddenTanh(kdg.GateNetwork):
    """Two hidden units with tanh between the input and the logits."""

    def build(self, input_shape):
        self.first = self.add_weight(name="first", shape=(input_shape[-1], 2))
        self.first_bias = self.add_weight(name="first_bias", shape=(2,), initializer="ones")
        self.second = self.add_weight(name="second", shape=(2, self.gates))
        self.add_logit_bias()

    def chain(self):
        first = kdg.AffineMap(self.first, self.first_bias, "tanh")
        return [first, self.logit_map(self.second)]
