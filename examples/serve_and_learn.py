"""Serve a network over HTTP while it goes on learning from the labels that come in.

    pip install "keras-dynamicgate[tensorflow,demo,serve]"
    python examples/serve_and_learn.py

The first start trains a small network on handwritten digits, later ones go on from the file that a
stop (Ctrl-C or SIGTERM) leaves. `POST /predict` answers from one whole version, `POST /learn` takes
labels, with inputs or by the keys of a prediction, for the one thread that learns.
"""

import argparse
import contextlib
import os
import pathlib
import queue
import sys
import threading
from typing import Annotated

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
import prometheus_client as prometheus
import uvicorn
from fastapi import FastAPI, HTTPException, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, Field

import keras_dynamicgate as kdg
from keras_dynamicgate import plasticity

SHAPE, SAMPLES, BYTES, WAITING = (8, 8), 256, 2**20, 32
BUCKETS = [0.0005 * 2**power for power in range(10)]
SECONDS = prometheus.Histogram("predict_seconds", "Time of an answer", buckets=BUCKETS)
PREDICTIONS = prometheus.Counter("predictions", "Samples answered")
ACCURACY = prometheus.Gauge("accuracy", "Share of right answers before learning, fading")
QUEUE = prometheus.Gauge("queue_length", "Requests that wait to be learned")
STATUS = ("version", "samples", "lag", "pending", "refused")


def inputs(x):
    with contextlib.suppress(TypeError, ValueError):
        array = np.asarray(x, "float32")
        if 0 < len(array) <= SAMPLES and array.shape[1:] == SHAPE and np.isfinite(array).all():
            return array
    raise ValueError(f"must be 1 to {SAMPLES} samples of shape {SHAPE}, all finite numbers")


class Question(BaseModel):
    x: Annotated[list, AfterValidator(inputs)]
    keys: list[int | Annotated[str, Field(max_length=100)]] | None = None


class Labels(Question):
    x: Annotated[list, AfterValidator(inputs)] | None = None
    y: Annotated[list[int], Field(max_length=SAMPLES)]


def trained(mode):
    """Train a network on digits to half of its cost, and give its learner."""
    data = kdg.datasets.digits()
    layers = [keras.layers.Flatten(), kdg.DynamicGateDense(128, "relu", block_size=8)]
    model = keras.Sequential([keras.Input(SHAPE), *layers, keras.layers.Dense(10, "softmax")])
    optimizer = plasticity.MaskedUpdate(keras.optimizers.Adam(2e-3))
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    budget = kdg.MacBudget(0.5)
    model.fit(*data.train[:], batch_size=64, epochs=20, callbacks=[budget], verbose=0)
    accuracy = model.evaluate(data.test.x, data.test.y, verbose=0)[1]
    print(f"trained on {len(data.train)} digits: {accuracy:.1%} of others are right", flush=True)
    return plasticity.OnlineLearner(model, mode, data.validation.x)


def learn(learner, work):
    """Predict, then learn what is queued, until `None` comes."""
    if sys.platform == "linux":  # answers go first
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)
    accuracy = plasticity.FadingAccuracy()
    while (item := work.get()) is not None:
        x, y, keys = item
        ACCURACY.set(accuracy.update(learner.predict(x), y)[-1])
        try:
            reason = learner.learn(x, y, keys=keys).reason
        except Exception as error:  # the service goes on, whatever it was
            reason = error
        if reason is not None:
            print(f"not learned: {reason}", flush=True)


def service(learner, path):
    """Make the application around a learner, which is saved when it stops."""
    work = queue.Queue(WAITING)
    QUEUE.set_function(work.qsize)
    for name in STATUS:
        gauge = prometheus.Gauge(name, "As of `OnlineLearner.status`")
        gauge.set_function(lambda name=name: learner.status()[name])

    @contextlib.asynccontextmanager
    async def lifespan(app):
        thread = threading.Thread(target=learn, args=(learner, work))
        thread.start()
        print(f"serving version {learner.version}", flush=True)
        yield
        work.put(None)  # behind all that was accepted
        thread.join()
        learner.save(path)
        print(f"saved version {learner.version} in {path}", flush=True)

    app = FastAPI(title="Serve and learn", lifespan=lifespan)

    @app.middleware("http")
    async def limit(request, call_next):
        length = request.headers.get("content-length", "inf" if request.method == "POST" else "0")
        if float(length) > BYTES:
            return JSONResponse({"detail": f"Content-Length must be at most {BYTES}"}, 413)
        return await call_next(request)

    @app.exception_handler(RequestValidationError)
    @app.exception_handler(ValueError)
    async def refuse(request, error):
        if isinstance(error, RequestValidationError):
            first = error.errors()[0]
            error = f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}"
        return JSONResponse({"detail": str(error)}, 422)

    @app.post("/predict")
    def predict(question: Question):
        with SECONDS.time():
            answers, version = learner.predict(question.x, keys=question.keys, return_version=True)
        PREDICTIONS.inc(len(answers))
        classes = answers.argmax(axis=1).tolist()
        return {"version": version, "answers": classes, "probabilities": answers.tolist()}

    @app.post("/learn", status_code=202)
    def queue_labels(labels: Labels):
        x, y = learner.checked(labels.x, labels.y, keys=labels.keys)
        try:
            work.put_nowait((x, y, labels.keys))
        except queue.Full:
            detail = f"{WAITING} requests wait to be learned: try again later"
            raise HTTPException(429, detail, {"Retry-After": "1"}) from None
        return {"queued": len(x)}

    @app.get("/metrics")
    def metrics():
        return Response(prometheus.generate_latest(), media_type=prometheus.CONTENT_TYPE_LATEST)

    app.get("/healthz")(learner.status)
    return app


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", default="all", help="what may change: see `set_update_mode`")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--out", default="runs/serve_and_learn", help="folder for the learner")
    options = parser.parse_args()
    path = pathlib.Path(options.out, "learner.zip")
    path.parent.mkdir(parents=True, exist_ok=True)
    learner = plasticity.OnlineLearner.load(path) if path.exists() else trained(options.mode)
    app, stop = service(learner, path), {"timeout_graceful_shutdown": 10}
    uvicorn.run(app, host=options.host, port=options.port, log_level="warning", **stop)


if __name__ == "__main__":
    main()
