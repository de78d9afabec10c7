"""The folder of a comparison: a file for each finished run, so that no run is repeated."""

import dataclasses
import json
import pathlib
import zipfile
import zlib
from os import PathLike
from typing import Any

import numpy as np

from keras_dynamicgate.utils.files import written_at_once

DELETE = "Delete it and run the comparison again."


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

    def __str__(self) -> str:
        target = "" if self.target is None else f"-{self.target:g}"
        return f"{self.model}{target}-{self.seed}"


class RunStore:
    """The finished runs of a comparison.

    Args:
        folder: Folder of the comparison.
        conditions: Dict of all that the runs must have in common.

    Raises:
        ValueError: If the folder holds a damaged file or runs that were made under other
            conditions.
    """

    def __init__(self, folder: str | PathLike[str], conditions: dict[str, Any]) -> None:
        self.folder = pathlib.Path(folder)
        self.runs = self.folder / "runs"
        self.runs.mkdir(parents=True, exist_ok=True)
        self.conditions = json.loads(json.dumps(conditions))
        self._check(self.folder / "conditions.json")

    def _check(self, path: pathlib.Path) -> None:
        if not path.exists():
            write_json(path, self.conditions)
            return
        there = _read_json(path, "Choose another `out` or delete the folder.")
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

    def __contains__(self, run: Run) -> bool:
        return self._path(run).exists()

    def add(self, run: Run, result: dict[str, Any]) -> None:
        """Store the result of a finished run."""
        write_json(self._path(run), {**dataclasses.asdict(run), **result})

    def add_teacher(self, run: Run, logits: dict[str, Any]) -> None:
        """Store the logits of a run that others learn from: a dict of arrays by split."""
        path = self.teacher_path(run)
        path.parent.mkdir(exist_ok=True)
        with written_at_once(path) as part, open(part, "wb") as file:
            np.savez(file, **logits)

    def teacher_path(self, run: Run) -> pathlib.Path:
        """Name the file with the logits of a run that others learn from."""
        return self.folder / "teachers" / f"{run}.npz"

    def teacher(self, run: Run) -> dict[str, np.ndarray]:
        """Return the logits of a run that others learn from: a dict of arrays by split.

        Raises:
            ValueError: If their file is damaged.
        """
        path = self.teacher_path(run)
        try:
            # NumPy does not close a damaged file that it opened itself.
            with open(path, "rb") as file, np.load(file) as logits:
                return dict(logits)
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise _damaged(path, DELETE, error) from error

    def results(self) -> list[dict[str, Any]]:
        """Return the results of all finished runs, in the order of their file names.

        Raises:
            ValueError: If the file of a run is damaged.
        """
        return [_read_json(path, DELETE) for path in sorted(self.runs.glob("*.json"))]

    def _path(self, run: Run) -> pathlib.Path:
        return self.runs / f"{run}.json"


def _read_json(path: pathlib.Path, advice: str) -> dict[str, Any]:
    """Read a file with a JSON object, or raise a `ValueError` that names the file."""
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise _damaged(path, advice, error) from error
    if not isinstance(content, dict):
        raise _damaged(path, advice, repr(content))
    return content


def _damaged(path: pathlib.Path, advice: str, error: Any) -> ValueError:
    return ValueError(f"File {str(path)!r} is damaged. {advice} Received: {error}")


def write_json(path: pathlib.Path, content: Any) -> None:
    """Write JSON to a file that is either complete or not there."""
    with written_at_once(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n")
