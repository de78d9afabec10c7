import numpy as np
import pytest
from gating.own_network import HiddenTanh
from keras import ops

import keras_dynamicgate as kdg
from keras_dynamicgate.gating import networks


def built(network, inputs=2, gates=2, units=None, initial_logit=0.5):
    network.configure(gates=gates, units=units or gates, initial_logit=initial_logit)
    network.build((None, inputs))
    return network


def logits(network, x):
    return ops.convert_to_numpy(network(np.array(x, "float32")))


def test_static_gate_gives_the_same_logits_for_all_inputs():
    network = built(kdg.StaticGate())
    network.scaled_bias.assign([0.05, -0.2])
    np.testing.assert_allclose(logits(network, [[1, 2], [3, 4]]), [[0.5, -2.0]])


def test_linear_gate_is_a_linear_map_and_a_bias():
    network = built(kdg.LinearGate())
    network.kernel.assign([[1, 0], [2, -1]])
    np.testing.assert_allclose(logits(network, [[1, 2]]), [[5.5, -1.5]])


def test_low_rank_gate_is_the_product_of_two_maps_and_a_bias():
    network = built(kdg.LowRankGate(rank=1))
    network.down_kernel.assign([[1], [2]])
    network.up_kernel.assign([[1, -1]])
    np.testing.assert_allclose(logits(network, [[1, 2]]), [[5.5, -4.5]])


def test_mlp_gate_has_a_hidden_layer_with_relu():
    network = built(kdg.MLPGate(hidden_units=2))
    network.hidden_kernel.assign([[1, -1], [0, 0]])
    network.hidden_bias.assign([1, 0])
    network.kernel.assign([[1, 2], [100, 100]])
    np.testing.assert_allclose(logits(network, [[1, 2]]), [[2.5, 4.5]])


def test_gates_decide_for_each_position_by_itself():
    network = built(kdg.LinearGate())
    network.kernel.assign([[1, 0], [0, 1]])
    np.testing.assert_allclose(logits(network, [[[1, 2], [3, 4]]]), [[[1.5, 2.5], [3.5, 4.5]]])


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (kdg.StaticGate(), []),
        (kdg.LinearGate(), [10 * 4]),
        (kdg.LowRankGate(rank=3), [10 * 3, 3 * 4]),
        (kdg.MLPGate(hidden_units=5), [10 * 5, 5 * 4]),
    ],
)
def test_network_states_its_products(network, expected):
    network = built(network, inputs=10, gates=4)
    products = network.products((10,), None)
    assert [product.macs for product in products] == expected
    assert all(product.of_gate for product in products)


def test_network_costs_once_for_each_position():
    network = built(kdg.LinearGate(), inputs=10, gates=4)
    assert [product.macs for product in network.products((7, 10), None)] == [7 * 10 * 4]


@pytest.mark.parametrize(
    ("inputs", "units"), [(64, 64), (64, 512), (784, 256), (3072, 1024), (64, 4096), (4096, 64)]
)
def test_default_network_costs_at_most_a_twentieth_of_the_dense_layer(inputs, units):
    layer = kdg.DynamicGateDense(units)
    layer.build((None, inputs))
    products = layer.gate.network.products((inputs,), None)
    assert sum(product.macs for product in products) <= 0.05 * inputs * units


def test_default_rank_grows_with_the_layer_and_stops_at_sixteen():
    assert networks.automatic_rank(inputs=64, units=64, gates=32) == 1
    assert networks.automatic_rank(inputs=784, units=256, gates=32) == 9
    assert networks.automatic_rank(inputs=3072, units=1024, gates=32) == 16


def test_get_copies_a_network_so_that_two_layers_never_share_one():
    network = kdg.LowRankGate(rank=3)
    copy = networks.get(network)
    assert copy is not network
    assert copy.rank == 3


def test_get_names_the_known_networks_when_it_meets_an_unknown_one():
    with pytest.raises(
        ValueError,
        match=r"`gate` must be one of 'static', 'linear', .*'activation' .*'lowrank'",
    ):
        networks.get("lowrank")


def test_networks_refuse_sizes_below_one():
    with pytest.raises(ValueError, match=r"`rank` must be a positive integer. Received: rank=0"):
        kdg.LowRankGate(rank=0)
    with pytest.raises(ValueError, match=r"`hidden_units` must be a positive integer"):
        kdg.MLPGate(hidden_units=2.5)


def test_a_chain_gives_logits_and_products():
    network = built(HiddenTanh())
    network.first.assign([[1, 0], [0, 1]])
    network.second.assign([[1, 0], [0, 2]])
    # The logits' bias is .5; tanh of (-1 + 1, 0 + 1) is (0, .7616).
    np.testing.assert_allclose(logits(network, [[-1, 0]]), [[0.5, 0.5 + 2 * np.tanh(1.0)]])
    assert [product.macs for product in network.products((2,), None)] == [4, 4]


def test_a_network_without_a_chain_must_compute_its_logits_itself():
    class Unfinished(kdg.GateNetwork):
        def build(self, input_shape):
            self.add_logit_bias()

    network = built(Unfinished())
    with pytest.raises(NotImplementedError, match="Unfinished must override `chain`"):
        network.call(np.ones((1, 2)))
    with pytest.raises(NotImplementedError, match="Unfinished must override `products`"):
        network.products((2,), None)
