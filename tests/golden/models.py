"""Small models that hold, together, all that the package saves.

What cannot be saved today is listed in `generate.py`.
"""

import warnings

import keras
import numpy as np
from keras import layers

import keras_dynamicgate as kdg
from keras_dynamicgate.training.distillation import DistillationLoss, label_accuracy

HALF = {"initial_open": 0.5, "block_size": 4}

# What callbacks and users change while a model trains, all different from how it starts.
STATE = {"temperature": 0.75, "threshold": 0.45, "price": 0.125, "pressure": 0.25}


@keras.saving.register_keras_serializable(package="golden")
class FeedForward(layers.Layer):
    """A composite layer as a user writes it, whose first dense layer can have gates."""

    def __init__(self, hidden_units, **kwargs):
        super().__init__(**kwargs)
        self.hidden_units = hidden_units

    def build(self, input_shape):
        self.wide = layers.Dense(self.hidden_units, "gelu", name="wide")
        self.wide.build(input_shape)
        self.narrow = layers.Dense(input_shape[-1], name="narrow")
        self.narrow.build((*input_shape[:-1], self.hidden_units))

    def call(self, inputs):
        return inputs + self.narrow(self.wide(inputs))

    def get_config(self):
        return {**super().get_config(), "hidden_units": self.hidden_units}


@keras.saving.register_keras_serializable(package="golden")
class Tower(keras.Model):
    """A model as a user writes it that makes its graph itself."""

    def __init__(self, width, **kwargs):
        inputs = keras.Input((4, 8))
        hidden = layers.Dense(width, "silu", name="hidden")(inputs)
        super().__init__(inputs, layers.Dense(3, name="head")(hidden), **kwargs)
        self.width = width

    def get_config(self):
        return {"width": self.width, "name": self.name}


def dense():
    """Build `DynamicGateDense` with every gate network and the options of gates."""
    arguments = {
        "static": {"gate": kdg.StaticGate(), "block_size": 2},
        "linear": {"gate": kdg.LinearGate(), "activation": None},
        "low_rank": {"gate": kdg.LowRankGate(2), "block_size": "auto", "units": 32},
        "mlp": {"gate": kdg.MLPGate(2)},
        "no_gate": {"gate": None, "use_bias": False},
        "top_k": {"top_k": 2},
        "min_open": {"min_open": 0.75, "estimator": "bernoulli", "activation": "gelu"},
    }
    defaults = {"units": 16, "activation": "relu", **HALF}
    each = {
        name: kdg.DynamicGateDense(**{**defaults, **own}, name=name)
        for name, own in arguments.items()
    }
    # Version 0.1.0 wrote this one with the argument, which now refuses it.
    each["linear"].dense.activation = keras.activations.softmax
    return beside((2, 16), *each.values())


def gate():
    """Build `DynamicGate` with static gates and with gates that depend on the input."""
    return beside(
        (2, 16),
        kdg.DynamicGate(initial_open=0.5, name="static"),
        kdg.DynamicGate("linear", **HALF, name="linear"),
        kdg.DynamicGate("low_rank", top_k=5, name="top_k"),
    )


def mlp():
    """Build `DynamicGateMLP`: plain, with a product of two hidden layers, and without gates."""
    return beside(
        (2, 16),
        kdg.DynamicGateMLP(16, 8, **HALF, name="plain"),
        kdg.DynamicGateMLP(
            16, 8, "silu", gated_linear=True, top_k=2, execution="skip", **HALF, name="gated_linear"
        ),
        kdg.DynamicGateMLP(16, 8, "gelu", gate=None, name="no_gate"),
    )


def convolution():
    """Build `DynamicGateConv2D` with gates, with groups and without gates."""
    return beside(
        (4, 4, 8),
        kdg.DynamicGateConv2D(8, 3, activation="relu", **HALF, name="low_rank"),
        kdg.DynamicGateConv2D(8, 3, 2, "same", groups=2, gate="linear", **HALF, name="groups"),
        kdg.DynamicGateConv2D(8, 3, gate="static", top_k=3, name="static"),
        kdg.DynamicGateConv2D(8, 3, gate=None, name="no_gate"),
    )


def baselines():
    """Build the layers of `keras_dynamicgate.baselines`, and gates on one of them."""
    sparse = kdg.baselines.RigLDense(16, "relu", sparsity=0.5)
    model = beside(
        (2, 16),
        kdg.baselines.MagnitudePrunedDense(16, "relu", name="magnitude"),
        kdg.baselines.RigLDense(16, "relu", sparsity=0.5, name="rigl"),
        kdg.baselines.SwitchMoE(4, 4, name="switch"),
        kdg.baselines.SwitchMoE(
            4, 4, activation="gelu", top_k=2, capacity_factor=1.0, name="capacity"
        ),
        kdg.baselines.SoftMoE(4, 4, 8, name="soft"),
        kdg.DynamicGateDense(16, dense=sparse, **HALF, name="gated_rigl"),
    )
    kept = np.random.default_rng(11).random((16, 16)) < 0.5
    model.get_layer("magnitude").keep(kept)
    model.get_layer("rigl").rewired.assign(True)
    return model


def regularizers():
    """Build gates with every usage regularizer; they train without noise, so losses compare."""
    penalties = {
        "usage_penalty": kdg.UsagePenalty(0.5),
        "hinge": kdg.TargetUsage(0.25, weight=2.0),
        "squared": kdg.TargetUsage(0.25, weight=2.0, mode="squared"),
    }
    defaults = {"estimator": "threshold", **HALF}
    return beside(
        (2, 16),
        *(
            kdg.DynamicGateDense(16, usage_regularizer=penalty, **defaults, name=name)
            for name, penalty in penalties.items()
        ),
    )


def lora():
    """Build gated layers with a LoRA, asked for at the start or enabled later."""
    model = beside(
        (2, 16),
        kdg.DynamicGateDense(16, lora_rank=2, lora_alpha=4, **HALF, name="dense"),
        kdg.DynamicGateDense(16, **HALF, name="enabled"),
        kdg.DynamicGateMLP(16, 8, lora_rank=[2, 1], **HALF, name="mlp"),
        layers.Reshape((4, 4, 2), name="image"),
    )
    image = model.get_layer("image").output
    convolution = kdg.DynamicGateConv2D(8, 3, lora_rank=2, initial_open=0.5, name="convolution")
    model = keras.Model(model.input, {**model.output, "convolution": convolution(image)})
    model.get_layer("enabled").enable_lora(2, lora_alpha=6)
    return settle(model)


def gated_model():
    """Build what `gate_model` makes of a Functional model with a composite layer."""
    inputs = keras.Input((4, 16))
    x = layers.Dense(16, "relu", name="dense")(inputs)
    x = layers.EinsumDense("abc,cd->abd", (None, 16), "relu", bias_axes="d", name="einsum")(x)
    x = FeedForward(32, name="block")(x)
    x = layers.Reshape((4, 4, 4))(x)
    x = layers.Conv2D(8, 3, activation="relu", name="convolution")(x)
    x = layers.Flatten()(x)
    model = settle(keras.Model(inputs, layers.Dense(3, name="head")(x)))
    return settle(kdg.gate_model(model, block_size=4, input_gate=True))


def mixed_bfloat16():
    """Build layers of each kind that compute in bfloat16."""
    dtype = "mixed_bfloat16"
    return beside((2, 16), *dense_and_mlp(dtype), *gate_and_convolution(dtype), *experts(dtype))


def mixed_float16():
    """Build layers that compute in float16."""
    return beside((2, 16), *dense_and_mlp("mixed_float16"))


def mixed_others():
    """Build layers that compute in lower precisions and are in no model above."""
    return beside(
        (2, 16),
        *gate_and_convolution("mixed_float16"),
        *experts("mixed_float16"),
        *masked_and_soft("mixed_bfloat16"),
    )


def bfloat16():
    """Build layers of each kind whose weights are bfloat16."""
    dtype = "bfloat16"
    families = (dense_and_mlp, gate_and_convolution, experts, masked_and_soft)
    return beside((2, 16), *(layer for family in families for layer in family(dtype)))


def float16():
    """Build layers whose weights are float16."""
    return beside((2, 16), *dense_and_mlp("float16"), *gate_and_convolution("float16"))


def float64():
    """Build layers whose weights are float64, which JAX rounds to float32."""
    return beside((2, 16), *dense_and_mlp("float64"), *gate_and_convolution("float64"))


def quantized_policies():
    """Build layers that are made quantized, and one with a map of policies."""
    low = {"mapped": keras.dtype_policies.get("mixed_bfloat16")}
    mapped = keras.dtype_policies.DTypePolicyMap(policy_map=low)
    model = beside(
        (2, 16),
        kdg.DynamicGateDense(16, **HALF, dtype="int8_from_float32", name="int8"),
        kdg.DynamicGateDense(16, **HALF, dtype="float8_from_float32", name="float8"),
        kdg.DynamicGateDense(16, **HALF, dtype="int8_from_mixed_bfloat16", name="low"),
        kdg.DynamicGateDense(16, **HALF, dtype=mapped, name="mapped"),
        kdg.DynamicGateMLP(16, 8, **HALF, dtype="int4_from_float32", name="int4"),
    )
    random = np.random.default_rng(13)
    for weight in model.weights:
        # They start as zeros and ones.
        if weight.dtype == "int8":
            weight.assign(random.integers(-127, 128, size=weight.shape))
        elif weight.name == "kernel_scale":
            weight.assign(np.full(weight.shape, 128.0))
    return model


def int8():
    """Build layers with int8 weights, also inside a composite layer and with a LoRA on top."""
    inputs = keras.Input((2, 16))
    block = keras.Model(inputs, layers.Dense(4)(FeedForward(16, name="block")(inputs)))
    model = beside(
        (2, 16),
        *dense_and_mlp(),
        kdg.DynamicGateDense(16, dense=layers.Dense(16, name="own"), **HALF, name="given"),
        kdg.DynamicGateDense(16, **HALF, name="lora"),
        kdg.gate_model(block, block_size=4).get_layer("block"),
    )
    quantize(model, "int8")
    model.get_layer("lora").enable_lora(2)
    return settle(model)


def int8_weights():
    """Build a layer with int8 weights that leaves its inputs as they are."""
    config = keras.quantizers.Int8QuantizationConfig(activation_quantizer=None)
    return quantize(beside((2, 16), dense_and_mlp()[0]), config=config)


def int4():
    """Build layers with int4 weights."""
    return quantize(beside((2, 16), *dense_and_mlp()), "int4")


def int4_blocks():
    """Build a layer with int4 weights that have a scale for each block of inputs."""
    config = keras.quantizers.Int4QuantizationConfig(block_size=4)
    return quantize(beside((2, 16), dense_and_mlp()[0]), config=config)


def float8():
    """Build layers that multiply in float8."""
    return quantize(beside((2, 16), *dense_and_mlp()), "float8")


def budgeted():
    """Build the model that `train` brings to a budget."""
    model = keras.Sequential(
        [
            keras.Input((8,)),
            kdg.DynamicGateDense(16, "relu", block_size=4, seed=1, name="gated"),
            layers.Dense(3, name="head"),
        ],
        name="budgeted",
    )
    settle(model, state={})
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    # Without its variables, Keras refuses to load those of a file.
    model.optimizer.build(model.trainable_variables)
    return model


def trained():
    """Build a compiled model in whose file are the state of `MacBudget` and of its optimizer."""
    model = budgeted()
    x = np.random.default_rng(5).normal(size=(8, 8)).astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few steps do not reach the budget
        budget = kdg.MacBudget(0.5)
        model.fit(x, x[:, :3], epochs=4, verbose=0, shuffle=False, callbacks=[budget])
    return model


def experiment():
    """Build a model compiled with the loss and learning rate of a comparison."""
    model = budgeted()
    schedule = kdg.experiments.OneCycle(0.01, 10)
    loss = DistillationLoss(weight=0.25)
    model.compile(keras.optimizers.AdamW(schedule), loss, jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


def taught():
    """Build a model compiled with the metric that goes with that loss, too."""
    model = budgeted()
    accuracy = keras.metrics.MeanMetricWrapper(label_accuracy, name="accuracy")
    model.compile("sgd", DistillationLoss(), metrics=[accuracy], jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    # As `fit` does.
    model.evaluate(np.ones((2, 8)), np.ones((2, 4)), verbose=0)
    return model


def plastic():
    """Build a model of which the units learn that the reference leaves closed."""
    model = keras.Sequential(
        [
            keras.Input((8,)),
            kdg.DynamicGateDense(16, "relu", gate="static", block_size=4, name="gated"),
            layers.Dense(4, name="last"),
        ]
    )
    model.get_layer("gated").gate.network.scaled_bias.assign([0.1, -0.1, 0.1, -0.1])
    optimizer = kdg.plasticity.MaskedUpdate(keras.optimizers.AdamW(0.01))
    model.compile(optimizer, "mse", jit_compile=False)
    kdg.plasticity.set_update_mode(model, "inactive", np.ones((2, 8)))
    model.fit(np.ones((4, 8)), np.zeros((4, 4)), verbose=0)
    return model


def own_class():
    """Build what `gate_model` makes of a model of a class of its own."""
    return settle(kdg.gate_model(settle(Tower(32)), block_size=4))


def activation():
    """Build layers whose gates read the activated units, with cuts as data leave them."""
    model = beside(
        (2, 16),
        kdg.DynamicGateDense(16, "relu", gate=kdg.ActivationGate(0.5), block_size=2, name="dense"),
        kdg.DynamicGateMLP(
            16, 8, "silu", gated_linear=True, gate="activation", block_size=1, name="mlp"
        ),
    )
    for name in ("dense", "mlp"):
        model.get_layer(name).gate.network.cut.assign(0.25)
    return model


def balanced():
    """Build layers whose gates are balanced, with means and deviations as training leaves them."""
    model = beside(
        (2, 16),
        kdg.DynamicGateDense(16, "relu", balance=0.2, **HALF, name="dense"),
        kdg.DynamicGateMLP(16, 8, balance=0.1, top_k=2, **HALF, name="top_k"),
    )
    for name in ("dense", "top_k"):
        balance = model.get_layer(name).gate.logit_balance
        balance.logit_mean.assign(np.linspace(-0.5, 0.5, balance.gates))
        balance.logit_deviation.assign(np.linspace(0.5, 2.0, balance.gates))
    return model


def ranged():
    """Build a model that was trained for several budgets."""
    model = budgeted()
    x = np.random.default_rng(5).normal(size=(8, 8)).astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few steps do not reach the budgets
        budget = kdg.MacBudget([0.6, 0.4])
        model.fit(x, x[:, :3], epochs=4, verbose=0, shuffle=False, callbacks=[budget])
    kdg.set_budget(model, 0.5)
    return model


MODELS = {
    build.__name__: build
    for build in (
        dense,
        gate,
        mlp,
        convolution,
        baselines,
        regularizers,
        lora,
        gated_model,
        mixed_bfloat16,
        mixed_float16,
        mixed_others,
        bfloat16,
        float16,
        float64,
        quantized_policies,
        int8,
        int8_weights,
        int4,
        int4_blocks,
        float8,
        trained,
        experiment,
        taught,
        plastic,
        own_class,
        activation,
        balanced,
        ranged,
    )
}

# These have noise in no estimator, so that what they charge in a training step compares.
WITH_LOSSES = ("baselines", "regularizers")

# These have a file of `save_weights` too, for the model before it was trained to load.
WITH_WEIGHTS_FILE = {"trained": budgeted}


def beside(shape, *each):
    """Run layers on the same input, each with an output of its name."""
    inputs = keras.Input(shape)
    return settle(keras.Model(inputs, {layer.name: layer(inputs) for layer in each}))


def dense_and_mlp(dtype=None):
    """Make gated layers with dense layers inside, which Keras can quantize."""
    return [
        kdg.DynamicGateDense(16, "relu", **HALF, dtype=dtype, name="dense"),
        kdg.DynamicGateMLP(16, 8, gated_linear=True, **HALF, dtype=dtype, name="mlp"),
    ]


def gate_and_convolution(dtype):
    """Make a layer that only gates and one with channel gates."""
    image = [layers.Reshape((4, 4, 2)), kdg.DynamicGateConv2D(8, 3, initial_open=0.5, dtype=dtype)]
    return [
        kdg.DynamicGate("linear", **HALF, dtype=dtype, name="gate"),
        keras.Sequential(image, name="convolution"),
    ]


def experts(dtype):
    """Make the baselines that choose weights or experts."""
    return [
        kdg.baselines.RigLDense(8, sparsity=0.5, dtype=dtype, name="rigl"),
        kdg.baselines.SwitchMoE(4, 4, dtype=dtype, name="switch"),
    ]


def masked_and_soft(dtype):
    """Make the other baselines."""
    return [
        kdg.baselines.MagnitudePrunedDense(8, "relu", dtype=dtype, name="magnitude"),
        kdg.baselines.SoftMoE(4, 4, 8, dtype=dtype, name="soft"),
    ]


def quantize(model, *mode, **config):
    """Quantize the dense layers of a model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras names each layer that has nothing to quantize
        model.quantize(*mode, **config)
    return model


def settle(model, state=STATE):
    """Give weights values that are not where they start, so that one that gets lost shows.

    Args:
        model: A built model. Its random weights come from NumPy, the same on every backend.
        state: Dict from the names of non-trainable weights to their values.
    """
    random = np.random.default_rng(7)
    for weight in model.weights:
        if weight.name in state:
            weight.assign(np.full(weight.shape, state[weight.name]))
        elif weight.trainable:
            # What is stored is a tenth of the bias of the gates; half of them shall be open.
            scale = 0.05 if weight.name == "scaled_bias" else 0.5
            # Multiples of a power of two take less space in a package.
            steps = np.round(random.normal(scale=16, size=weight.shape))
            weight.assign(steps / 16 * scale)
    return model


def answers(model, x, *, losses=False):
    """Run a model and give what has to stay the same: outputs, and state that training leaves.

    Args:
        model: A model of this file, built or loaded.
        x: Its inputs.
        losses: Boolean, whether to give the losses of a training step too.

    Returns:
        Dict from names to arrays, lower precisions as float32.
    """
    outputs = model(x, training=False)
    found = (
        {f"outputs/{name}": output for name, output in outputs.items()}
        if isinstance(outputs, dict)
        else {"outputs": outputs}
    )
    if model.compiled:
        for weight in model.non_trainable_weights:
            if weight.path.endswith("budget_plan/weight") or _is_unset(weight):
                continue  # of a training that runs, or of a feature not in use, and in no file
            # A model that was not loaded puts its name in front.
            found[f"state/{weight.path.removeprefix(model.name + '/')}"] = weight
        variables = model.optimizer.variables
        found |= {f"optimizer/{index}": variable for index, variable in enumerate(variables)}
    if losses:
        model(x, training=True)
        found |= {f"losses/{index}": loss for index, loss in enumerate(model.losses)}
    return {name: _as_float32(value) for name, value in found.items()}


def _is_unset(weight):
    """Tell whether files leave out a weight as long as nobody has set it, as this one."""
    unset = {"shadow": 0.0, "price_table": -1.0}.get(weight.path.split("/")[-2])
    return unset is not None and np.all(_as_float32(weight) == unset)


def _as_float32(value):
    return keras.ops.convert_to_numpy(keras.ops.cast(value, "float32"))
