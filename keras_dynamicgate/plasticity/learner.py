"""`OnlineLearner`: answers from whole versions of a model while a copy of it learns."""

import collections
import dataclasses
import math
import pathlib
import threading
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.gating.not_a_number import samples_with_nan
from keras_dynamicgate.gating.record import count_samples
from keras_dynamicgate.plasticity import learner_file
from keras_dynamicgate.plasticity.guard import Guard
from keras_dynamicgate.plasticity.memory import Memory
from keras_dynamicgate.plasticity.modes import masked_optimizer, set_update_mode
from keras_dynamicgate.plasticity.pending import Key, Pending
from keras_dynamicgate.plasticity.versions import Server, Version, copied
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import Inputs

# Modes that train gates, which may flip masks of the reference.
GUARDED = ("gates", "both")


@dataclasses.dataclass(frozen=True)
class Learned:
    """What has become of some samples that a learner was given.

    Attributes:
        version: Integer, the version that answers from now on.
        published: Whether it is a new one.
        loss: Float, the loss on the samples before the step.
        reason: Why nothing was published, or `None`.

    Examples:
        >>> learned = keras_dynamicgate.plasticity.Learned(3, published=True, loss=0.25)
        >>> learned.reason is None
        True
    """

    version: int
    published: bool
    loss: float
    reason: str | None = None


class OnlineLearner:
    """Answers from whole versions of a model while a copy of it learns.

    `predict` reads one reference, to a version that nobody changes any more, and asks it. `learn`
    trains a copy and publishes it by setting that reference. So an answer always is that of one
    whole version, and threads may predict while another one learns. This holds for dense models in
    mode `"all"` as well; what the modes add is what stays as it was *between* versions.

    A version is published only if its loss and weights are finite, and, in the modes that train
    gates, if they flip at most `max_flips` of the masks of `reference` and leave the relative MACs
    within .02 of the budget; in mode `"both"`, if besides the loss on remembered samples has not
    risen. Otherwise the copy goes back to the last version, and the learner says why.

    Args:
        model: A built model compiled with a `MaskedUpdate`, which Keras can save. It is copied and
            stays as it is.
        mode: One of the modes of `set_update_mode`. Defaults to `"inactive"`.
        reference: Inputs that must not be disturbed; needed by `"gates"`, `"inactive"` and
            `"both"`. Defaults to `None`.
        tau: As in `set_update_mode`. Defaults to 0.0.
        max_flips: Number from 0 to 1, the share of the masks of the reference that gates may flip.
            Defaults to 0.02.
        budget: Relative MACs to stay within .02 of. Defaults to `None`: those of `model`.
        memory: Positive integer, how many samples are remembered, and how many wait for their
            labels at most. Defaults to 512.
        memory_kind: `"window"`, the latest samples, or `"reservoir"`, a fair draw of all. Defaults
            to `"window"`.
        replay: Integer, how many remembered samples each step learns besides. Defaults to 0.
        keep: Positive integer, how many versions `rollback` can go back to. Defaults to 4.
        seed: Integer, of what memory and replay draw. Defaults to 0.

    Raises:
        ValueError: If an argument is outside what is allowed, or as `set_update_mode`.

    Examples:
        >>> layer = keras_dynamicgate.DynamicGateDense(8, "relu", gate="static", block_size=1,
        ...                                            top_k=4)
        >>> model = keras.Sequential([keras.Input((2,)), layer, keras.layers.Dense(1)])
        >>> model.compile(keras_dynamicgate.plasticity.MaskedUpdate("sgd"), "mse")
        >>> x = np.ones((4, 2), "float32")
        >>> learner = keras_dynamicgate.plasticity.OnlineLearner(model, reference=x)
        >>> before = learner.predict(x)
        >>> learner.learn(x, np.zeros((4, 1))).published
        True
        >>> answers, version = learner.predict(x, return_version=True)
        >>> version, bool((answers == before).all())
        (1, True)
    """

    def __init__(
        self,
        model: keras.Model,
        mode: str = "inactive",
        reference: Inputs = None,
        *,
        tau: float = 0.0,
        max_flips: float = 0.02,
        budget: float | None = None,
        memory: int = 512,
        memory_kind: str = "window",
        replay: int = 0,
        keep: int = 4,
        seed: int = 0,
    ) -> None:
        checks.number("max_flips", max_flips, "from 0 to 1", lambda value: 0 <= value <= 1)
        checks.number("replay", replay, "of at least 0", lambda value: value >= 0)
        checks.positive_integer("keep", keep)
        if mode in GUARDED and reference is None:
            raise ValueError(
                f'Argument `reference` is needed by mode "{mode}": inputs on which to tell what '
                "gates may not flip. Received: reference=None"
            )
        masked_optimizer(model, None)
        model = copied(model)
        set_update_mode(model, mode, reference, tau)
        guard = Guard(model, reference, max_flips, budget) if mode in GUARDED else None
        options = {"mode": mode, "replay": int(replay), "keep": keep}
        self._start(model, options, guard, Memory(memory, memory_kind, seed))
        self._publish(0)

    def _start(
        self, model: keras.Model, options: dict[str, Any], guard: Guard | None, memory: Memory
    ) -> None:
        """Set what a new learner and one from a file have in common."""
        self._model = model
        self._server = Server(model)
        self._options = options
        self._guard = guard
        self._memory = memory
        self._pending = Pending(memory.size)
        self._versions: collections.OrderedDict[int, Version] = collections.OrderedDict()
        self._learning = threading.Lock()
        self._counts = {"samples": 0, "refused": 0, "published": 0}
        self._reason: str | None = None

    def predict(
        self, x: Inputs, *, keys: Sequence[Key] | None = None, return_version: bool = False
    ) -> Any:
        """Answer from the version that is published now.

        Args:
            x: Inputs as for `model.predict`.
            keys: A key for each sample under which `learn` will get its label later. Defaults to
                `None`: the samples are not kept.
            return_version: Whether to give the number of the version with the answers. Defaults to
                `False`.

        Returns:
            The answers as an array, or a tuple `(answers, version)`.
        """
        version = self._version
        answers = version.predict(x)
        if keys is not None:
            self._pending.add(keys, np.asarray(x))
        return (answers, version.number) if return_version else answers

    def learn(self, x: Any = None, y: Any = None, *, keys: Sequence[Key] | None = None) -> Learned:
        """Learn from samples with their labels, and publish what comes out if it may be.

        Args:
            x: Array of inputs. Defaults to `None`: those that `predict` was given with `keys`.
            y: Array of labels.
            keys: The keys of `predict`, in place of `x`. Defaults to `None`.

        Returns:
            A `Learned`.

        Raises:
            ValueError: If labels are missing, not as many as inputs or outside the classes of the
                model, if inputs hold NaN or if a key is unknown. Nothing is learned then.
        """
        with self._learning:
            if keys is not None:
                x = self._pending.get(keys)
            x, y = np.asarray(x), np.asarray(y)
            self._check(x, y)
            if keys is not None:
                self._pending.remove(keys)
            return self._learn(x, y)

    def rollback(self, version: int) -> None:
        """Answer from an earlier version again, and go on learning from there.

        Args:
            version: Integer, one of `versions`.

        Raises:
            ValueError: If the version is gone.
        """
        with self._learning:
            if version not in self._versions:
                raise ValueError(
                    f"Argument `version` must be one of those that are kept, {self.versions}; "
                    f"`keep` says how many. Received: version={version!r}"
                )
            self._version = self._versions[version]
            self._model.set_weights(self._version.weights)

    @property
    def version(self) -> int:
        """The number of the version that answers."""
        return self._version.number

    @property
    def versions(self) -> list[int]:
        """The numbers of the versions that `rollback` can go back to."""
        return list(self._versions)

    def status(self) -> dict[str, Any]:
        """Tell where the learner stands.

        Returns:
            A dict with the `version` that answers, the `samples` learned from, the `lag`: how many
            of these the version does not know, how many samples wait for labels (`pending`), how
            many steps were `refused`, and the `reason` of the last one if it was.
        """
        return {
            "version": self.version,
            "samples": self._counts["samples"],
            "lag": self._counts["samples"] - self._version.samples,
            "pending": len(self._pending),
            "refused": self._counts["refused"],
            "reason": self._reason,
        }

    def save(self, path: Any) -> None:
        """Write a file that appears whole or not at all, and from which `load` goes on exactly.

        Args:
            path: The file to write.
        """
        with self._learning:
            pending = self._pending.items()
            arrays = {f"pending/{number}": sample for number, (_, sample) in enumerate(pending)}
            for version in self._versions.values():
                weights = enumerate(version.weights)
                arrays |= {f"{version.number}/{index}": weight for index, weight in weights}
            if len(self._memory):
                arrays |= {"memory/x": self._memory.x, "memory/y": self._memory.y}
            state = {
                "options": self._options,
                "counts": self._counts,
                "reason": self._reason,
                "version": self.version,
                "versions": {each.number: each.samples for each in self._versions.values()},
                "memory": self._memory.state(),
                "pending": [key for key, _ in pending],
                "guard": None,
            }
            if self._guard is not None:
                state["guard"] = self._guard.state()
                arrays |= self._guard.arrays()
            arrays |= {f"seed/{i}": value for i, value in enumerate(_values(_seeds(self._model)))}
            learner_file.write(pathlib.Path(path), self._model, state, arrays)

    @classmethod
    def load(cls, path: Any) -> "OnlineLearner":
        """Load a learner that goes on as if it had never stopped.

        Args:
            path: What `save` wrote.
        """
        model, state, arrays = learner_file.read(pathlib.Path(path))
        learner = cls.__new__(cls)
        guard = None if state["guard"] is None else Guard.restored(state["guard"], arrays)
        memory = Memory.restored(state["memory"], arrays.get("memory/x"), arrays.get("memory/y"))
        learner._start(model, state["options"], guard, memory)
        waiting = [arrays[f"pending/{number}"] for number in range(len(state["pending"]))]
        learner._pending.add(state["pending"], np.array(waiting))
        learner._restore(state, arrays)
        return learner

    def _restore(self, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Take up the versions and counts of a file."""
        self._counts, self._reason = state["counts"], state["reason"]
        now = self._model.get_weights()
        for name, samples in state["versions"].items():
            # Arrays of bfloat16 come back as bytes.
            weights = [arrays[f"{name}/{i}"].view(each.dtype) for i, each in enumerate(now)]
            self._model.set_weights(weights)
            predict = self._server.make(self._model)
            self._versions[int(name)] = Version(int(name), samples, weights, predict)
        self._model.set_weights(now)
        for index, seed in enumerate(_seeds(self._model)):
            seed.assign(arrays[f"seed/{index}"])
        self._version = self._versions[state["version"]]
        self._optimizer_state = _values(self._model.optimizer.variables)

    def _publish(self, number: int) -> None:
        """Make a version of the copy that learns, and answer from it."""
        predict = self._server.make(self._model)
        samples = self._counts["samples"]
        version = Version(number, samples, self._model.get_weights(), predict)
        self._versions[number] = version
        while len(self._versions) > self._options["keep"]:
            self._versions.popitem(last=False)
        self._optimizer_state = _values(self._model.optimizer.variables)
        self._version = version  # the only change that a thread that predicts can see

    def _learn(self, x: np.ndarray, y: np.ndarray) -> Learned:
        batch = x, y
        if self._options["replay"] and len(self._memory):
            old_x, old_y = self._memory.draw(self._options["replay"])
            batch = np.concatenate([x, old_x]), np.concatenate([y, old_y])
        self._memory.add(x, y)
        self._counts["samples"] += len(x)
        loss = float(self._model.train_on_batch(*batch, return_dict=True)["loss"])
        self._reason = self._objection(loss)
        if self._reason is None:
            self._counts["published"] += 1
            self._publish(self._counts["published"])
            return Learned(self.version, True, loss)
        self._counts["refused"] += 1
        self._go_back()
        return Learned(self.version, False, loss, self._reason)

    def _objection(self, loss: float) -> str | None:
        """Give the reason why what was learned may not be published, or `None` if it may."""
        weights = self._model.get_weights()
        if not math.isfinite(loss) or not all(np.isfinite(_float(each)).all() for each in weights):
            return f"the loss or a weight is not finite (loss={loss})"
        objection = None if self._guard is None else self._guard.objection(self._model)
        if objection is None and self._options["mode"] == "both":
            after = self._recent_loss()
            self._model.set_weights(self._version.weights)
            before = self._recent_loss()
            self._model.set_weights(weights)
            if after > before:
                objection = f"the loss on remembered samples rises from {before:.4g} to {after:.4g}"
        return objection

    def _recent_loss(self) -> float:
        return float(self._model.test_on_batch(*self._memory.samples(), return_dict=True)["loss"])

    def _go_back(self) -> None:
        """Give the copy that learns the weights and momentums of the last version."""
        self._model.set_weights(self._version.weights)
        for variable, value in zip(
            self._model.optimizer.variables, self._optimizer_state, strict=True
        ):
            variable.assign(value)

    def _check(self, x: np.ndarray, y: np.ndarray) -> None:
        if y.shape == () or len(x) != len(y) or count_samples(x, "x") != len(y):
            raise ValueError(
                "Argument `y` must hold a label for each sample. Received: "
                f"x of shape {x.shape}, y of shape {y.shape}"
            )
        if samples_with_nan(x).any() or samples_with_nan(y).any():
            raise ValueError("Arguments `x` and `y` must hold numbers. Received: NaN")
        classes = self._model.output_shape[-1]
        sparse = np.issubdtype(y.dtype, np.integer) and y.ndim < len(self._model.output_shape)
        if sparse and classes > 1 and not (y.min() >= 0 and y.max() < classes):
            raise ValueError(
                f"Argument `y` must hold classes from 0 to {classes - 1}, which the model has. "
                f"Received: labels from {y.min()} to {y.max()}"
            )


def _seeds(model: keras.Model) -> list[Any]:
    """List the states of random numbers, which files of Keras models leave out."""
    weights = set(map(id, model.weights))
    return [each for each in model.non_trainable_variables if id(each) not in weights]


def _values(variables: Sequence[Any]) -> list[np.ndarray]:
    """Copy the values of variables, which some backends change in their places."""
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def _float(value: np.ndarray) -> np.ndarray:
    return np.asarray(value, "float32") if value.dtype.kind not in "iub" else np.zeros(1)
