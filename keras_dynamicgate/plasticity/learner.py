"""`OnlineLearner`: answers from whole versions of a model while a copy of it learns."""

import pathlib
import threading
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.plasticity import learner_file, snapshot
from keras_dynamicgate.plasticity.guard import Guard
from keras_dynamicgate.plasticity.history import History
from keras_dynamicgate.plasticity.learned import Learned
from keras_dynamicgate.plasticity.learning_copy import LearningCopy
from keras_dynamicgate.plasticity.memory import Memory
from keras_dynamicgate.plasticity.modes import masked_optimizer, set_update_mode
from keras_dynamicgate.plasticity.opening import require_graph
from keras_dynamicgate.plasticity.pending import Key, Pending
from keras_dynamicgate.plasticity.samples import checked_samples
from keras_dynamicgate.plasticity.versions import copied
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import Inputs


class OnlineLearner:
    """Answers from whole versions of a model while a copy of it learns.

    `predict` reads one reference, to a version that nobody changes any more, and asks it. `learn`
    trains a copy and publishes it by setting that reference. So an answer always is that of one
    whole version, and threads may predict while another one learns. This holds for dense models in
    mode `"all"` as well; what the modes add is what stays as it was *between* versions.

    In mode `"both"` closed units learn as in mode `"inactive"`. Each time that as many samples have
    come as are remembered, `open_units` opens them for inputs that look like these and not like the
    reference, if that lowers the loss; nothing else moves the gates.

    A version is published only if its loss and weights are finite, and, in the modes that change
    gates, if these flip at most `max_flips` of the masks of `reference` and leave the relative MACs
    on it within .02 of the budget. Otherwise the copy goes back to the last version, and the
    learner says why.

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
        if replay != 0:
            checks.positive_integer("replay", replay)
        masked_optimizer(model, None)
        model = copied(model)
        if mode == "both":
            require_graph(model)
        # What the gradient does to gates would change answers that are to stay.
        set_update_mode(model, "inactive" if mode == "both" else mode, reference, tau)
        guard = Guard(model, mode, reference, max_flips, budget)
        remembered = Memory(memory, memory_kind, seed)
        counts = {"samples": 0, "refused": 0, "reason": None}
        copy = LearningCopy(
            model, guard, remembered, History(model, keep), int(replay), float(tau), counts
        )
        copy.history.publish(0, snapshot.take(model))
        self._start(copy, Pending(memory))

    def _start(self, copy: LearningCopy, pending: Pending) -> None:
        """Set what a new learner and one from a file have in common."""
        self._copy = copy
        self._pending = pending
        self._learning = threading.Lock()

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
        version = self._copy.history.current
        answers = version.predict(x)
        if keys is not None:
            self._pending.add(keys, [*np.asarray(x)])
        return (answers, version.number) if return_version else answers

    def checked(
        self, x: Any = None, y: Any = None, *, keys: Sequence[Key] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give samples as `learn` takes them, without learning from them.

        So a service that queues what is to be learned refuses at once what cannot be.

        Args:
            x: As in `learn`.
            y: As in `learn`.
            keys: As in `learn`.

        Returns:
            A tuple of arrays `(x, y)`.

        Raises:
            ValueError: As in `learn`.
        """
        if x is None and keys is not None:
            x = self._pending.get(keys)
        x, y = checked_samples(self._copy.model, x, y)
        self._copy.memory.check(x, y)
        return x, y

    def learn(self, x: Any = None, y: Any = None, *, keys: Sequence[Key] | None = None) -> Learned:
        """Learn from samples with their labels, and publish what comes out if it may be.

        Args:
            x: Array of inputs. Defaults to `None`: those that `predict` was given with `keys`.
            y: Array of labels.
            keys: Keys of `predict` whose samples are learned, and wait for labels no longer.
                Defaults to `None`.

        Returns:
            A `Learned`.

        Raises:
            ValueError: If labels are missing, not as many as inputs or outside the classes of the
                model, if inputs are not of its shape or hold NaN, or if a key is unknown. Nothing
                is learned then.
        """
        with self._learning:
            x, y = self.checked(x, y, keys=keys)
            learned = self._copy.learn(x, y)
            self._pending.remove(keys or ())
            return learned

    def rollback(self, version: int) -> None:
        """Answer from an earlier version again, and go on learning from there.

        Weights, momentums and random numbers are those of the version; what is remembered of the
        samples since then stays remembered.

        Args:
            version: Integer, one of `versions`.

        Raises:
            ValueError: If the version is gone.
        """
        with self._learning:
            self._copy.history.go_back(version)

    @property
    def version(self) -> int:
        """The number of the version that answers."""
        return self._copy.history.current.number

    @property
    def versions(self) -> list[int]:
        """The numbers of the versions that `rollback` can go back to."""
        return self._copy.history.numbers

    def status(self) -> dict[str, Any]:
        """Tell where the learner stands.

        Returns:
            A dict with the `version` that answers, the number of `samples` that the learner was
            given, the `lag`: how many of these came after the version, how many samples wait for
            labels (`pending`), how many steps were `refused`, and the `reason` of the last one if
            it was.
        """
        current, counts = self._copy.history.current, self._copy.counts
        return {
            "version": current.number,
            "lag": counts["samples"] - current.samples,
            "pending": len(self._pending),
            **counts,
        }

    def save(self, path: Any) -> None:
        """Write a file that appears whole or not at all, and from which `load` goes on exactly.

        Args:
            path: The file to write.
        """
        with self._learning:
            parts = {**self._copy.saved(), "pending": self._pending.saved()}
            learner_file.write(pathlib.Path(path), self._copy.model, parts)

    @classmethod
    def load(cls, path: Any) -> "OnlineLearner":
        """Load a learner that goes on as if it had never stopped.

        Args:
            path: What `save` wrote.

        Raises:
            ValueError: If it is no such file.
        """
        model, parts = learner_file.read(pathlib.Path(path))
        learner = cls.__new__(cls)
        learner._start(LearningCopy.restored(model, parts), Pending.restored(*parts["pending"]))
        return learner
