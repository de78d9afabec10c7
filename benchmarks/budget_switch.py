"""Time how long a trained model takes to another budget, and what that costs the engine.

    python benchmarks/budget_switch.py                  # all installed backends in turn
    python benchmarks/budget_switch.py --backend jax --json FILE

A network of about ten million parameters, 1024-2048-2048-2048-10 with input-dependent gates, is
trained for a moment for four budgets. Measured are `set_budget` between trained and other budgets;
the bytes of the engine's weights beside those of an engine of the same network for one budget; and
calls of the engine with budgets that change beside calls at one budget, turn by turn, on a network
that is so small that the difference shows.
"""

import argparse
import statistics
import time
import warnings

import each_backend
import json_lines

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--rounds", type=int, default=2000)
parser.add_argument("--json", metavar="FILE", help="append the numbers here")
options = each_backend.parse(parser)

import keras
import numpy as np

import keras_dynamicgate as kdg

TARGETS = [0.5, 0.3, 0.15, 0.05]
BUDGETS = [0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05]


def trained(widths, target):
    """Train a network for a moment; how well it meets its budgets does not matter here."""
    keras.utils.set_random_seed(0)
    hidden = [kdg.DynamicGateDense(units, activation="relu") for units in widths[1:-1]]
    model = keras.Sequential([keras.Input(widths[:1]), *hidden, keras.layers.Dense(widths[-1])])
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(64, widths[0])).astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = np.zeros((64, widths[-1]))
        model.fit(x, y, epochs=2, verbose=0, callbacks=[kdg.MacBudget(target)])
    return model


def seconds(action):
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def switch_times(model):
    """List the seconds of `set_budget`, each time to another budget."""
    rounds = [BUDGETS[number % len(BUDGETS)] for number in range(50)]
    return [seconds(lambda budget=budget: kdg.set_budget(model, budget)) for budget in rounds]


def extra_per_call():
    """Give the median of what a call takes longer at another budget than the one before, in s."""
    engine = kdg.InferenceEngine(trained((64, 64, 1), TARGETS), threads=1)
    x = np.ones((1, 64), "float32")
    changing, same = [], []
    for number in range(options.rounds):
        # Both run at the same budget, so that as much is open; one call finds it as it was.
        budget = BUDGETS[number % len(BUDGETS)]
        changing.append(seconds(lambda budget=budget: engine.predict(x, budget=budget)))
        engine.budget = budget
        engine.predict(x)
        same.append(seconds(lambda: engine.predict(x)))
    return statistics.median(a - b for a, b in zip(changing, same, strict=True))


model = trained((1024, 2048, 2048, 2048, 10), TARGETS)
single = kdg.InferenceEngine(trained((1024, 2048, 2048, 2048, 10), 0.5)).memory()["weights"]
elastic = kdg.InferenceEngine(model).memory()["weights"]
times = switch_times(model)
row = {
    "backend": keras.backend.backend(),
    "parameters": model.count_params(),
    "set_budget_ms": 1e3 * statistics.median(times),
    "set_budget_slowest_ms": 1e3 * max(times),
    "engine_weights": elastic / single,
    "budget_of_a_call_us": 1e6 * extra_per_call(),
}
print(
    f"{row['backend']:10}  {row['parameters']:,} parameters  "
    f"set_budget {row['set_budget_ms']:.2f} ms, at most {row['set_budget_slowest_ms']:.2f}  "
    f"engine's weights x {row['engine_weights']:.3f}  "
    f"another budget in a call {row['budget_of_a_call_us']:+.2f} us"
)
json_lines.append(options.json, row)
