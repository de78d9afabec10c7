"""`compact` on random graphs: the same outputs as the masked model."""

import keras
import numpy as np
import pytest
from compaction.random_graphs import random_model
from keras import ops

from keras_dynamicgate.compaction.compact import compact_with_report
from keras_dynamicgate.counting.count import count_macs

# Others on each backend, since plans are made of the graph and the values of masks alone.
SEEDS = {"tensorflow": range(10), "jax": range(10, 20), "torch": range(20, 30)}


@pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")
def test_outputs_are_those_of_the_masked_model():
    removed = 0
    for seed in SEEDS[keras.backend.backend()]:
        model = random_model(seed)
        small, report = compact_with_report(model)
        rng = np.random.default_rng(seed)
        x = [rng.normal(size=(4, *tensor.shape[1:])).astype("float32") for tensor in model.inputs]
        outputs = zip(_run(model, x), _run(small, x), strict=True)
        for expected, output in outputs:
            scale = max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(output / scale, expected / scale, atol=1e-5, err_msg=seed)
        removed += report.parameters_before - report.parameters_after
    assert removed > 200


@pytest.mark.one_backend("torch")
@pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")
def test_what_the_masked_model_counts_as_executed_is_what_the_compacted_one_costs():
    compared = 0
    for seed in range(30):
        model = random_model(seed)
        compacted, report = compact_with_report(model)
        if any("called more than once" in kept.reason for kept in report.kept):
            continue
        counted, small = count_macs(model), count_macs(compacted)
        assert small.executed + small.gates == pytest.approx(counted.executed + counted.gates), seed
        compared += counted.executed < counted.dense
    assert compared > 5


def _run(model, x):
    return map(ops.convert_to_numpy, keras.tree.flatten(model(x, training=False)))
