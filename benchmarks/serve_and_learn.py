"""Answer in many threads while one learns: are all answers right, how late are they, what grows?

    python benchmarks/serve_and_learn.py                    # ten minutes
    python benchmarks/serve_and_learn.py --seconds 30 --json serve_and_learn.json

Rounds of two phases, without and with learning, so that a machine whose speed drifts slows both.
Threads ask a 64-256-10 network about 8 samples again and again; with `--pause`, each waits between
two questions. After each round, outside of what is timed, every answer is compared, bit for bit,
with what an engine of its own computes from the weights of the version.
"""

import argparse
import array
import gc
import itertools
import json
import os
import pathlib
import queue
import sys
import threading
import time

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import keras_dynamicgate as kdg
from keras_dynamicgate import plasticity

RANDOM = np.random.default_rng(0)
QUESTIONS = RANDOM.normal(size=(16, 8, 64)).astype("float32")
BATCHES = RANDOM.normal(size=(64, 32, 64)).astype("float32")
LABELS = RANDOM.integers(0, 10, size=(64, 32))
# Times are counted in these bins, so that nothing grows with the number of answers.
EDGES = np.geomspace(1e-6, 1e2, 4001)
WARM_UP = 2  # rounds


def new_model():
    gate = kdg.LowRankGate(8)
    gated = kdg.DynamicGateDense(256, "relu", gate=gate, block_size=16, top_k=8)
    layers = [keras.Input((64,)), gated, keras.layers.Dense(10, "softmax")]
    model = keras.Sequential(layers)
    optimizer = plasticity.MaskedUpdate(keras.optimizers.Adam(1e-4))
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def ask(learner, end, pause, first, found):
    """Ask until the end, and note each answer by its hash."""
    noted, times = array.array("q"), array.array("d")
    for question in itertools.cycle(np.roll(np.arange(len(QUESTIONS)), first)):
        begin = time.perf_counter()
        if begin > end:
            break
        answers, version = learner.predict(QUESTIONS[question], return_version=True)
        seconds = time.perf_counter() - begin
        noted.extend((version, question, hash(answers.tobytes())))
        times.append(seconds)
        time.sleep(pause)
    found.append((np.array(noted).reshape(-1, 3), np.array(times)))


class Rounds:
    """Runs phases and sums up what they show.

    Args:
        options: The options of the command line.
    """

    def __init__(self, options):
        self.options = options
        self.model = new_model()
        self.learner = plasticity.OnlineLearner(self.model, "all")
        self.batches = itertools.cycle(zip(BATCHES, LABELS, strict=True))
        self.versions = {}
        self.note_version()
        self.restart()
        # One thread for all of it, as in a service: JAX keeps something for each that trains.
        self.ends = queue.Queue()
        threading.Thread(target=self.learn, daemon=True).start()

    def restart(self):
        """Forget what was counted."""
        self.times = {learning: np.zeros(len(EDGES) - 1, int) for learning in (False, True)}
        self.wrong = self.answers = self.steps = 0
        self.megabytes = []

    def note_version(self):
        """Keep the weights of the version that answers."""
        version = self.learner._copy.history.current
        self.versions[version.number] = version.snapshot[: len(self.model.weights)]

    def learn(self):
        """Learn until each end that comes, in a thread that gives way."""
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self.options.nice)
        while True:
            end = self.ends.get()
            while time.perf_counter() < end:
                self.learner.learn(*next(self.batches))
                self.note_version()
                self.steps += 1
            self.ends.task_done()

    def phase(self, learning):
        """Let threads ask for a while; give rows of version, question and hash of the answer."""
        end, found = time.perf_counter() + self.options.phase, []
        threads = [
            threading.Thread(target=ask, args=(self.learner, end, self.options.pause, i, found))
            for i in range(self.options.threads)
        ]
        for thread in threads:
            thread.start()
        if learning:
            self.ends.put(end)
        for thread in threads:
            thread.join()
        self.ends.join()
        for _, times in found:
            self.times[learning] += np.histogram(times, EDGES)[0]
        return [answers for answers, _ in found]

    def check(self, answers):
        """Compare answers with those that the weights of their versions give."""
        self.answers += len(answers)
        self.wrong += len(answers)
        for number, weights in self.versions.items():
            self.model.set_weights(weights)
            engine = kdg.InferenceEngine(self.model, threads=1)
            expected = [hash(engine.predict(question).tobytes()) for question in QUESTIONS]
            _, question, hashes = answers[answers[:, 0] == number].T
            self.wrong -= np.sum(hashes == np.array(expected)[question])
        self.versions.clear()
        self.note_version()

    def run(self):
        """Run a round, and note the memory after it."""
        order = (False, True) if len(self.megabytes) % 2 else (True, False)
        self.check(np.concatenate(sum((self.phase(learning) for learning in order), [])))
        gc.collect()
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
        self.megabytes.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)

    def percentile(self, learning, share):
        """Give the time, in milliseconds, within which a share of the answers came."""
        counts = np.cumsum(self.times[learning])
        return 1e3 * float(EDGES[1 + np.searchsorted(counts, share * counts[-1])])

    def summary(self):
        """Give all numbers."""
        milliseconds = {
            f"{name}_ms_{word}_learning": self.percentile(learning, share)
            for name, share in (("median", 0.5), ("p99", 0.99))
            for word, learning in (("without", False), ("with", True))
        }
        return {
            "backend": keras.backend.backend(),
            "threads": self.options.threads,
            "pause": self.options.pause,
            "nice": self.options.nice,
            "rounds": len(self.megabytes),
            "answers": int(self.answers),
            "steps": self.steps,
            "wrong": int(self.wrong),
            **milliseconds,
            "p99_ratio": self.percentile(True, 0.99) / self.percentile(False, 0.99),
            "megabytes": [round(each, 1) for each in self.megabytes],
            "growth": self.megabytes[-1] / self.megabytes[0] - 1,
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="for all of it")
    parser.add_argument("--threads", type=int, default=8, help="that ask")
    parser.add_argument("--phase", type=float, default=3.0, help="seconds of a phase")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two questions")
    parser.add_argument("--nice", type=int, default=5, help="of the thread that learns, on Linux")
    parser.add_argument("--json", type=pathlib.Path, help="write the numbers here, too")
    options = parser.parse_args()
    rounds = Rounds(options)
    for _ in range(WARM_UP):
        rounds.run()
    rounds.restart()
    end = time.perf_counter() + options.seconds
    while time.perf_counter() < end:
        rounds.run()
    result = {**rounds.summary(), "load": os.getloadavg()[0]}
    table = Table("what", "measured")
    for name, value in result.items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
