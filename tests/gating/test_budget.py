import pytest
from keras import ops

from keras_dynamicgate.gating.budget import Follower
from keras_dynamicgate.gating.budget_range import _steps_between_draws
from keras_dynamicgate.gating.price_table import MOST_BUDGETS, UNUSED


def follow(gain, drift, trend, error, **steps):
    tensors = (ops.convert_to_tensor(each, "float32") for each in (gain, drift, trend))
    error, started = (ops.convert_to_tensor(each, "float32") for each in (error, 1.0))
    follower, rise = Follower(*tensors).follow(error, started, **steps)
    return [float(ops.convert_to_numpy(each)) for each in (*follower, rise)]


def test_price_follows_the_error_by_its_gain_and_by_what_was_gathered():
    gain, drift, trend, rise = follow(gain=0.1, drift=0.02, trend=0.5, error=0.1)
    assert gain == pytest.approx(0.1 * 1.05)  # the error keeps its sign
    assert trend == pytest.approx(0.5 + 0.1 * (0.1 - 0.5))
    assert drift == pytest.approx(0.02 + 0.01 * gain * 0.1)
    assert rise == pytest.approx(gain * 0.1 + drift)


def test_what_was_gathered_fades_by_the_steps_that_have_gone_by():
    # 0.9 ** 6 of the trend is left, which now points against the drift, and 0.9 ** 6 of that.
    _, drift, trend, _ = follow(gain=0.1, drift=-0.04, trend=-0.01, error=0.1, steps=6)
    assert trend == pytest.approx(0.1 + 0.531441 * (-0.01 - 0.1))
    assert drift == pytest.approx(-0.04 * 0.531441 + 0.01 * 0.1 * 0.95 * 0.1)


def test_smallest_of_four_budgets_comes_every_second_step_and_others_every_sixth():
    budgets = [0.5, 0.3, 0.15, 0.05] + [UNUSED] * (MOST_BUDGETS - 4)
    steps = _steps_between_draws(ops.convert_to_tensor(budgets, "float32"))
    assert ops.convert_to_numpy(steps)[:4].tolist() == [6.0, 6.0, 6.0, 2.0]
