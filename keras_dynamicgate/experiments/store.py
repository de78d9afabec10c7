"""The folder of a comparison: a file for each finished run, so that nothing is done twice."""

import dataclasses
import json
import pathlib

import numpy as np

from keras_dynamicgate.files import written_at_once


@dataclasses.dataclass(frozen=True)
class Run:
    """One training of a comparison.

    Attributes:
        model: Name of the family, such as `"dynamic"`.
        target: Float, the budget of relative MACs, or `None` for a model without one.
        seed: Integer that fixes the initial weights, the noise and the order of the samples.
    """

    model: str
    target: float | None
    seed: int

    def __str__(self):
        target = "" if self.target is None else f"-{self.target:g}"
        return f"{self.model}{target}-{self.seed}"


class RunStore:
    """The finished runs of a comparison.

    Args:
        folder: Folder of the comparison.
        conditions: Dict of everything that all runs must have in common.

    Raises:
        ValueError: If the folder holds runs that were made under other conditions.
    """

    def __init__(self, folder, conditions):
        self.folder = pathlib.Path(folder)
        self.runs = self.folder / "runs"
        self.runs.mkdir(parents=True, exist_ok=True)
        self.conditions = json.loads(json.dumps(conditions))
        self._check(self.folder / "conditions.json")

    def _check(self, path):
        if not path.exists():
            write_json(path, self.conditions)
            return
        there = json.loads(path.read_text())
        different = sorted(
            key for key in {*there, *self.conditions} if there.get(key) != self.conditions.get(key)
        )
        if different:
            raise ValueError(
                f"Folder {str(self.folder)!r} holds runs that were made under other conditions: "
                + ", ".join(
                    f"{key} was {there.get(key)!r}, now {self.conditions.get(key)!r}"
                    for key in different
                )
                + f". Choose another `out` or delete the folder. Received: out={self.folder}"
            )

    def __contains__(self, run):
        return self._path(run).exists()

    def add(self, run, result):
        """Keep the result of a finished run."""
        write_json(self._path(run), {**dataclasses.asdict(run), **result})

    def add_teacher(self, run, logits):
        """Keep the logits of a run that others learn from: a dict of arrays by split."""
        path = self.teacher_path(run)
        path.parent.mkdir(exist_ok=True)
        with written_at_once(path) as part, open(part, "wb") as file:
            np.savez(file, **logits)

    def teacher_path(self, run):
        """Name the file with the logits of a run that others learn from."""
        return self.folder / "teachers" / f"{run}.npz"

    def results(self):
        """Give the results of all finished runs, in the order of their file names."""
        return [json.loads(path.read_text()) for path in sorted(self.runs.glob("*.json"))]

    def _path(self, run):
        return self.runs / f"{run}.json"


def write_json(path, content):
    """Write a file that is either whole or not there."""
    with written_at_once(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n")
