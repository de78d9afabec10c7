import dataclasses

import keras
import pytest

from keras_dynamicgate import count_macs
from keras_dynamicgate.callbacks.mac_budget import MacBudget
from keras_dynamicgate.experiments import FAMILIES
from keras_dynamicgate.experiments.families import split_name
from keras_dynamicgate.experiments.networks import dense_macs

FULL = 32 * 32 + 32 * 16 + 16 * 2


def relative(name, task, dataset, target):
    contender = FAMILIES[name].build(task, dataset, target)
    report = count_macs(contender.model, dataset.test[:][0])
    return (report.executed + report.gates) / FULL


def test_full_network_has_the_widths_of_the_task(task, dataset):
    assert dense_macs(task, dataset, task.hidden) == FULL
    assert relative("dense", task, dataset, None) == 1.0
    assert relative("dropout", task, dataset, None) == 1.0
    assert relative("linear", task, dataset, None) == 32 * 2 / FULL


@pytest.mark.parametrize(
    ("name", "step"),
    # What one unit more in the first layer costs, of one network and of two or eight experts.
    [("narrow", 48 / FULL), ("rigl", 0.001), ("switch_moe", 96 / FULL), ("soft_moe", 384 / FULL)],
)
def test_families_without_gates_come_as_close_to_their_target_as_widths_can(
    name, step, task, dataset
):
    assert relative(name, task, dataset, 0.5) == pytest.approx(0.5, abs=0.6 * step)


@pytest.mark.parametrize("name", ["static", "dynamic", "dynamic_balanced", "dynamic_rigl"])
def test_gated_families_have_the_budget_steered(name, task, dataset):
    contender = FAMILIES[name].build(task, dataset, 0.3)
    (budget,) = [each for each in contender.callbacks if isinstance(each, MacBudget)]
    assert budget.target == 0.3


@pytest.mark.parametrize(
    ("name", "width"), [("static_wide", 2), ("dynamic_wide", 2), ("dynamic_wider", 4)]
)
def test_wide_families_choose_from_more_units_at_the_cost_of_the_full_network(
    name, width, task, dataset
):
    contender = FAMILIES[name].build(task, dataset, 0.5)
    (budget,) = contender.callbacks
    hidden = [layer.units for layer in contender.model.layers if hasattr(layer, "units")]
    assert hidden == [32 * width, 16 * width, 2]
    wide = 32 * 32 * width + 32 * 16 * width**2 + 16 * 2 * width
    assert budget.target * wide == pytest.approx(0.5 * FULL)


def test_balanced_families_have_gates_that_vary(task, dataset):
    for name in ("dynamic_balanced", "dynamic_wide", "dynamic_wider"):
        model = FAMILIES[name].build(task, dataset, 0.5).model
        assert model.get_layer("hidden1").gate.balance == 0.1


def test_elastic_families_have_one_budget_for_all_targets(task, dataset):
    contender = FAMILIES["elastic_dynamic"].build(task, dataset, [0.5, 0.25])
    assert [callback.target for callback in contender.callbacks] == [[0.5, 0.25]]
    assert contender.settings["budgets"] == [0.5, 0.25]


def test_pruned_family_leaves_out_hidden_weights_so_that_the_head_can_stay(task, dataset):
    contender = FAMILIES["pruned"].build(task, dataset, 0.5)
    kept = (1 - contender.callbacks[0].final_sparsity) * (FULL - 16 * 2)
    assert kept + 16 * 2 == pytest.approx(0.5 * FULL)


@pytest.mark.parametrize("name", ["dropout", "pruned", "rigl", "static", "dynamic", "dynamic_rigl"])
def test_units_are_dropped_as_the_task_says(name, task, dataset):
    task = dataclasses.replace(task, dropout=0.4)
    contender = FAMILIES[name].build(task, dataset, 0.5)
    rates = [each.rate for each in contender.model.layers if isinstance(each, keras.layers.Dropout)]
    assert rates == [0.4, 0.4]
    assert contender.settings["dropout"] == 0.4


def test_narrow_networks_have_less_dropout(task, dataset):
    settings = FAMILIES["narrow"].build(task, dataset, 0.5).settings
    # 32 x 19 + 19 x 9 + 9 x 2 = 797 of 1568 multiply-accumulates; one unit less would be 756.
    assert settings["widths"] == (19, 9)
    assert settings["dropout"] == pytest.approx(0.2 * 19 / 32, abs=0.01)


def test_name_says_whether_a_model_is_distilled():
    assert split_name("dynamic_distilled") == ("dynamic", True)
    assert split_name("dynamic_rigl") == ("dynamic_rigl", False)
