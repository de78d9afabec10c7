"""`Contender`: what a family of models puts into a comparison."""

import dataclasses
from typing import Any

import keras


@dataclasses.dataclass
class Contender:
    """A model that is ready to be trained.

    Attributes:
        model: The Keras model.
        callbacks: List of the callbacks that its training needs.
        settings: Dict of the choices made for this family and budget, for the tables.
    """

    model: keras.Model
    callbacks: list = dataclasses.field(default_factory=list)
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
