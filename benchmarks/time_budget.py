"""Do latency tables predict the time of networks that they have not seen, and what do budgets of
milliseconds give that budgets of MACs do not?

    python benchmarks/time_budget.py predict --json docs/results/time_budget.json
    python benchmarks/time_budget.py train --data-dir folder --json docs/results/time_budget.json

`predict` measures a table for each of three networks in each of two runtimes, then networks of the
same layers with other open units: open by chance, and trained to several budgets of MACs on random
labels. All are timed in turns. Times are those of quiet moments: 5 % of the calls are quicker.

`train` trains on CIFAR-10 and Speech Commands, by the recipe of the comparison, networks with
static gates: to shares of the full network's time with `TimeBudget`, and with `MacBudget` to
budgets of MACs, between which accuracy at equal time is read. It goes on where it stopped. The
tables are measured by the same run: what counts is this machine.
"""

import argparse
import json
import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

import keras_dynamicgate as kdg
from keras_dynamicgate import experiments
from keras_dynamicgate.engine.engine import InferenceEngine
from keras_dynamicgate.experiments.networks import network
from keras_dynamicgate.latency.backend_function import runner
from keras_dynamicgate.latency.deployed_cost import DeployedCost
from keras_dynamicgate.latency.deployment import RUNTIMES
from keras_dynamicgate.latency.measuring import QUIET
from keras_dynamicgate.latency.timing import LEAST_CALLS, timed_calls
from keras_dynamicgate.utils.files import written_at_once

NETWORKS = {
    "784-256-10": (784, (256,)),
    "3072-512-256-10": (3072, (512, 256)),
    "1024-1024-1024-10": (1024, (1024, 1024)),
}
BY_CHANCE = 10
BUDGETS = (0.3, 0.1)
ROUNDS = 30
TASKS = ("cifar10", "speech_commands")
TIMES = (0.6, 0.45)
MACS = (0.6, 0.4, 0.25, 0.12)


def gated(features, hidden, runtime):
    """Build a network with static gates, or with input-dependent ones for the engine."""
    dependent = runtime == "engine"
    gates = {"gate": "low_rank"} if dependent else {"gate": "static", "block_size": 1}
    return keras.Sequential(
        [
            keras.Input((features,)),
            kdg.DynamicGate(),
            *(kdg.DynamicGateDense(units, "relu", **gates) for units in hidden),
            layers.Dense(10),
        ]
    )


def trained(features, hidden, runtime, budget):
    """Train a network to a budget of MACs on random labels, which is all that masks need."""
    random = np.random.default_rng(0)
    x = random.normal(size=(2048, features)).astype("float32")
    model = gated(features, hidden, runtime)
    falling = keras.optimizers.schedules.CosineDecay(3e-3, 16 * 15)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(falling), loss)
    y = random.integers(10, size=2048)
    model.fit(x, y, batch_size=128, epochs=15, verbose=0, callbacks=[kdg.MacBudget(budget)])
    return model, x


def call(model, runtime):
    """Give the function that runs a model as it is deployed."""
    if runtime == "engine":
        return InferenceEngine(model).predict
    return runner(kdg.compact(model))


def quiet_times(calls, batches, rounds=ROUNDS):
    """Give the milliseconds of functions in quiet moments; they take turns in short rounds."""
    times = {name: [] for name in calls}
    turns = {name: iter(batches * 100_000) for name in calls}
    for run in calls.values():
        run(batches[0])
    for _ in range(rounds):
        for name, run in calls.items():
            timed_calls(run, turns[name], 0.003, 1)
            times[name] += timed_calls(run, turns[name], 0.006, LEAST_CALLS)
    return {name: 1e3 * float(np.quantile(each, QUIET)) for name, each in times.items()}


def predictions(name, runtime, batch_size):
    """Predict and measure networks of one architecture in one runtime."""
    features, hidden = NETWORKS[name]
    model = gated(features, hidden, runtime)
    table = kdg.LatencyTable.measure(model, runtime, batch_size, verbose=0)
    deployed, random = DeployedCost(model, runtime), np.random.default_rng(1)
    batches = [random.normal(size=(batch_size, features)).astype("float32") for _ in range(8)]

    def opened(shares):
        return RUNTIMES[runtime](model, deployed, shares, batches[0], random, None)

    unseen, predicted = {}, {}
    for number in range(BY_CHANCE):
        way = opened({gate: float(random.uniform(0.05, 1.0)) for gate in deployed.gates})
        label = f"by chance {number + 1}"
        unseen[label] = way.run
        predicted[label] = milliseconds(model, table, way.averages)
    for budget in BUDGETS:
        other, x = trained(features, hidden, runtime, budget)
        label = f"trained to {budget:g}"
        unseen[label] = call(other, runtime)
        predicted[label] = kdg.predict_time(other, table, x[:512]).milliseconds
    measured = quiet_times(unseen, batches)
    rows = [
        {"network": label, "predicted": predicted[label], "measured": measured[label]}
        for label in unseen
    ]
    ratios = np.array([row["predicted"] / row["measured"] for row in rows])
    off = abs(ratios - 1.0)
    print(
        f"{name:18} {runtime:8} batch {batch_size:3}: off by {np.median(off):.1%} in the median, "
        f"{off.max():.1%} at most",
        flush=True,
    )
    return {
        "network": name,
        "runtime": runtime,
        "batch_size": batch_size,
        "backend": table.setup.backend,
        "threads": table.setup.threads,
        "processor": table.setup.processor,
        "error_of_table": table.error,
        "unseen": rows,
    }


def milliseconds(model, table, averages):
    """Predict a time from the openness of each gate."""
    from keras_dynamicgate.latency.model_times import ModelTimes

    return float(keras.ops.convert_to_numpy(ModelTimes(model, table).on_average(averages)))


def static_network(task, dataset):
    """Build the network of a task with static gates, as the comparison does."""

    def layer(units, name):
        return kdg.DynamicGateDense(
            units, activation="relu", gate="static", block_size=1, name=name
        )

    gate = kdg.DynamicGate(block_size=task.input_block, name="features")
    return network(task, dataset, layer, dropout=task.dropout, gate=gate)


def train(task, dataset, kind, budget, seed, table):
    """Train one network and say what it is worth and what it costs."""
    keras.utils.set_random_seed(seed)
    model = static_network(task, dataset)
    callback = kdg.TimeBudget(budget, table) if kind == "time" else kdg.MacBudget(budget)
    task.recipe.train(model, dataset, [callback], seed=seed, verbose=0)
    accuracy = {
        name: float(
            np.mean(model.predict(split[:][0], batch_size=512, verbose=0).argmax(1) == split[:][1])
        )
        for name, split in (("validation", dataset.validation), ("test", dataset.test))
    }
    return model, {
        "task": task.name,
        "kind": kind,
        "budget": budget,
        "seed": seed,
        "relative_macs": kdg.count_macs(model).relative,
        "predicted": kdg.predict_time(model, table).milliseconds,
        "predicted_full": kdg.predict_time(model, table).full_milliseconds,
        "open": {
            gate.name: round(float(gate.gate.static_mask().mean()), 4)
            for gate in model.layers
            if getattr(gate, "gate", None) is not None
        },
        **{f"{name}_accuracy": value for name, value in accuracy.items()},
    }


def trainings(options):
    """Train what is not in the file yet, then measure all networks of a task in turns."""
    for name in options.tasks:
        task = experiments.TASKS[name]
        dataset = task.dataset(options.data_dir / name)
        folder = options.out / name
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "table.json"
        if not path.exists():
            kdg.LatencyTable.measure(static_network(task, dataset), verbose=0).save(path)
        table = kdg.LatencyTable.load(path)
        for seed in range(options.seeds):
            asked = [("time", each) for each in TIMES] + [("macs", each) for each in MACS]
            for kind, budget in asked:
                file = folder / f"{kind}-{budget:g}-{seed}.json"
                if file.exists():
                    continue
                model, row = train(task, dataset, kind, budget, seed, table)
                model.save(file.with_suffix(".keras"))
                file.write_text(json.dumps(row))
                print(json.dumps(row), flush=True)
        write(
            options.json,
            "trained",
            [row for each in options.tasks for row in rows_of(options, each)],
        )


def rows_of(options, name):
    """Measure all trained networks of a task in turns; give their rows."""
    folder = options.out / name
    files = sorted(folder.glob("*-*-*.json"))
    if not files:
        return []
    models = {file: keras.saving.load_model(file.with_suffix(".keras")) for file in files}
    shape = next(iter(models.values())).input_shape[1:]
    batches = [np.random.default_rng(0).normal(size=(1, *shape)).astype("float32")] * 2
    measured = quiet_times(
        {file: call(model, "compact") for file, model in models.items()}, batches, 100
    )
    return [{**json.loads(file.read_text()), "measured": measured[file]} for file in files]


def write(path, key, value):
    """Put one part of the results into a file beside the others."""
    content = json.loads(path.read_text()) if path.exists() else {}
    with written_at_once(path) as part:
        part.write_text(json.dumps({**content, key: value}, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("predict", "train"))
    parser.add_argument("--json", type=pathlib.Path, required=True)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--data-dir", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/time_budget"))
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    if options.what == "train":
        trainings(options)
        return
    rows = []
    for name in options.networks:
        for runtime in RUNTIMES:
            rows.append(predictions(name, runtime, options.batch_size))
            write(options.json, "predicted", rows)


if __name__ == "__main__":
    main()
