"""The service of the example, asked over the loopback while it learns."""

import contextlib
import http.client
import json
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from harness import environment_of_a_user

pytestmark = pytest.mark.one_backend("tensorflow")
for needed in ("fastapi", "uvicorn", "prometheus_client", "sklearn"):
    pytest.importorskip(needed)

SCRIPT = pathlib.Path(__file__).parents[2] / "examples" / "serve_and_learn.py"
X = np.random.default_rng(0).uniform(size=(4, 8, 8)).round(3).tolist()


class Service:
    """A process of the example on a free port."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, SCRIPT, "--port", str(self.port), "--out", folder]
        pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=environment_of_a_user(), **pipe)
        while not self.is_up():
            assert self.process.poll() is None, self.process.stderr.read()
            time.sleep(0.1)

    def is_up(self):
        with contextlib.suppress(ConnectionError):
            return self.ask("GET", "/healthz")[0] == 200
        return False

    def ask(self, method, path, content=None, headers=None):
        """Give the status, the text and the headers of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            body = None if content is None else json.dumps(content)
            kind = {"Content-Type": "application/json"} if body else {}
            connection.request(method, path, body, headers or kind)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def post(self, path, **content):
        status, text, _ = self.ask("POST", path, content)
        return status, json.loads(text)

    def status(self):
        return json.loads(self.ask("GET", "/healthz")[1])

    def metrics(self):
        lines = self.ask("GET", "/metrics")[1].splitlines()
        return {line.split()[0]: float(line.split()[1]) for line in lines if line[0] != "#"}

    def wait_until(self, **expected):
        """Wait until the status says this, and give it."""
        deadline = time.monotonic() + 60
        while not expected.items() <= (status := self.status()).items():
            assert time.monotonic() < deadline, status
            time.sleep(0.02)
        return status

    def stop(self):
        """Stop it as a supervisor does, and give what it printed."""
        self.process.send_signal(signal.SIGTERM)
        printed, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == -signal.SIGTERM, errors
        return printed.splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def service(folder):
    started = Service(folder)
    yield started
    started.process.kill()
    started.process.communicate()


def test_answers_are_of_one_version_while_it_learns(service):
    found, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            found.append(service.post("/predict", x=X))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    before = service.status()["samples"]
    for _ in range(5):
        assert service.post("/learn", x=X, y=[0, 1, 2, 3]) == (202, {"queued": 4})
    service.wait_until(samples=before + 20, lag=0)
    stop.set()
    for thread in threads:
        thread.join()
    assert {status for status, _ in found} == {200}
    answers = {}
    for _, answer in found:
        version = answers.setdefault(answer["version"], answer)
        assert answer == version
        classes = np.argmax(answer["probabilities"], axis=1)
        assert answer["answers"] == classes.tolist()
    assert len(answers) > 1


def test_labels_may_come_later_by_key(service):
    before = service.status()["samples"]
    assert service.post("/predict", x=X[:2], keys=["a", 7])[0] == 200
    assert service.status()["pending"] == 2
    assert service.post("/learn", y=[5], keys=[7]) == (202, {"queued": 1})
    service.wait_until(samples=before + 1, pending=1)
    status, answer = service.post("/learn", y=[5], keys=[7])
    assert status == 422
    assert "`keys` must hold keys of samples that wait for labels" in answer["detail"]


def test_metrics_say_what_was_served_and_learned(service):
    before, learned = service.metrics(), service.status()["samples"]
    service.post("/predict", x=X)
    service.post("/learn", x=X, y=[0, 1, 2, 3])
    service.wait_until(samples=learned + 4, lag=0)
    after = service.metrics()
    rise = {name: after[name] - before[name] for name in after if not name.endswith("created")}
    assert rise["predictions_total"] == rise["samples"] == 4.0
    assert rise["predict_seconds_count"] == rise["version"] == 1.0
    assert (after["queue_length"], after["lag"], rise["refused"]) == (0.0, 0.0, 0.0)
    assert 0.0 <= after["accuracy"] <= 1.0


LARGE = [[[3e38] * 8] * 8]


def test_a_loss_that_is_not_finite_is_not_published_and_it_serves_on(service):
    before = service.status()
    assert service.post("/learn", x=LARGE, y=[0])[0] == 202
    after = service.wait_until(samples=before["samples"] + 1, refused=before["refused"] + 1)
    assert after["version"] == before["version"]
    assert "not finite" in after["reason"]
    assert service.post("/predict", x=X)[0] == 200


@pytest.mark.parametrize(
    ("path", "content", "sentence"),
    [
        ("/predict", {}, "x: Field required"),
        ("/predict", {"x": []}, "must be 1 to 256 samples of shape (8, 8), all finite numbers"),
        ("/predict", {"x": X * 65}, "must be 1 to 256 samples"),
        ("/predict", {"x": [[1.0]]}, "must be 1 to 256 samples"),
        ("/predict", {"x": [[[1.0], [1.0, 2.0]]]}, "must be 1 to 256 samples"),
        ("/predict", {"x": [[[float("nan")] * 8] * 8]}, "must be 1 to 256 samples"),
        ("/predict", {"x": [[["a"] * 8] * 8]}, "must be 1 to 256 samples"),
        ("/predict", {"x": X, "keys": ["a"]}, "`keys` must hold a string or an integer for each"),
        ("/learn", {"x": X, "y": [0, 1, 2, 10]}, "`y` must hold classes from 0 to 9"),
        ("/learn", {"x": X, "y": [0]}, "`y` must hold a label for each sample"),
        ("/learn", {"x": X, "y": "0"}, "y: Input should be a valid list"),
        ("/learn", {"y": [0]}, "`x` must be an array of numbers"),
    ],
)
def test_what_cannot_be_answered_or_learned_is_refused_in_one_sentence(
    service, path, content, sentence
):
    status, answer = service.post(path, **content)
    assert status == 422
    assert sentence in answer["detail"]


@pytest.mark.parametrize(
    "headers", [{"Content-Length": "1048577"}, {"Transfer-Encoding": "chunked"}]
)
def test_a_body_that_is_too_long_or_of_unknown_length_is_not_read(service, headers):
    status, text, _ = service.ask("POST", "/predict", headers=headers)
    assert status == 413
    assert json.loads(text)["detail"] == "Content-Length must be at most 1048576"


def test_a_full_queue_says_when_to_come_again_and_learns_what_it_accepted(service):
    before = service.status()["samples"]
    accepted = []

    def flood():
        for _ in range(500):
            status, text, headers = service.ask("POST", "/learn", {"x": X[:1], "y": [1]})
            if status == 429:
                full.append((json.loads(text)["detail"], headers["Retry-After"]))
            else:
                accepted.append(status)
            if full:
                return

    full = []
    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert full[0] == ("32 requests wait to be learned: try again later", "1")
    assert service.post("/predict", x=X)[0] == 200
    assert set(accepted) == {202}
    service.wait_until(samples=before + len(accepted), lag=0)


def test_a_stop_saves_what_was_accepted_and_the_next_start_goes_on(service, folder):
    before = service.status()
    service.post("/predict", x=X, keys=["kept"] * 4)
    for _ in range(3):
        service.post("/learn", x=X, y=[0, 1, 2, 3])
    printed = service.stop()
    saved = before["version"] + 3
    assert printed[0].startswith("trained on 1258 digits: 9")
    assert printed[1] == "serving version 0"
    assert printed[-1] == f"saved version {saved} in {folder / 'learner.zip'}"
    again = Service(folder)
    try:
        status = again.status()
        assert (status["version"], status["samples"]) == (saved, before["samples"] + 12)
        assert again.post("/learn", y=[1], keys=["kept"])[0] == 202
        again.wait_until(samples=status["samples"] + 1)
        assert again.stop()[0] == f"serving version {saved}"
    finally:
        again.process.kill()
