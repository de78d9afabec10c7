"""Trains in one process and in two by `DistributedDataParallel`; the argument is a folder."""

import pathlib
import sys
import warnings

import keras
import numpy as np
import torch
from small_training import SAMPLES, STEPS, Recorder, X, Y, build_model, callbacks, fit

REPLICAS = 2


def train_replica(rank, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=REPLICAS
    )
    model = build_model()
    if rank > 0:
        for weight in model.weights:  # DistributedDataParallel copies those of the first
            weight.assign(keras.ops.zeros_like(weight))
    replica = torch.nn.parallel.DistributedDataParallel(model)
    part = slice(rank * SAMPLES // REPLICAS, (rank + 1) * SAMPLES // REPLICAS)
    x, y = torch.tensor(X[part]), torch.tensor(Y[part])
    recorder = Recorder()
    followers = keras.callbacks.CallbackList(
        callbacks(recorder), model=model, epochs=STEPS, steps=1, verbose=0
    )
    followers.on_train_begin()
    for step in range(STEPS):
        followers.on_epoch_begin(step)
        followers.on_train_batch_begin(0)
        loss = model.compute_loss(x, y, replica(x, training=True))
        model.zero_grad()
        loss.backward()
        weights = model.trainable_weights
        with torch.no_grad():
            model.optimizer.apply([weight.value.grad for weight in weights], weights)
        mean = loss.detach().clone()
        torch.distributed.all_reduce(mean)
        logs = {"loss": float(mean) / REPLICAS}
        followers.on_train_batch_end(0, logs)
        followers.on_epoch_end(step, logs)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The training ended at")
        followers.on_train_end()
    np.savez(folder / f"replica-{rank}.npz", **recorder.results())
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    # Not forked: a child of a process with threads may wait for one that it has not got.
    torch.multiprocessing.spawn(train_replica, (folder,), nprocs=REPLICAS)
    np.savez(folder / "one.npz", **fit(build_model()))
