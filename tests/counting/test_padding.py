import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg


@pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")
def test_padding_counts_neither_in_usage_and_open_ratio_nor_in_macs():
    embedding = keras.layers.Embedding(3, 2, mask_zero=True)
    gated = kdg.DynamicGateDense(4, gate="linear", block_size=2)
    model = keras.Sequential([keras.Input((None,), dtype="int32"), embedding, gated])
    # Token 1 opens the first gate, token 2 none, and padding both.
    embedding.embeddings.assign([[9, 9], [9, -9], [-9, -9]])
    gated.gate.network.kernel.assign([[1, 0], [0, 1]])
    gated.gate.network.scaled_bias.assign([0, 0])
    short = kdg.count_macs(model, np.array([[1, 2]]))
    padded = kdg.count_macs(model, np.array([[1, 2, 0, 0, 0, 0]]))
    for report in (short, padded):
        assert report.open_ratio == 1 / 4
        assert report.usage == pytest.approx(1 / 4, abs=1e-3)
        # Two gates of 2 * 4 MACs in all at each position, and a gate network of 2 * 2.
        assert report.relative == 1 / 4 + 4 / 8
        assert report.relative_deliverable == pytest.approx(1 + 4 / 8)
