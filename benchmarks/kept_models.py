"""Models of the comparison, trained once and kept, so that a benchmark can be started again."""

import keras

from keras_dynamicgate import experiments


def trained(task, dataset, family, budget, folder):
    """Load a model that an earlier start has trained, or train it.

    Args:
        task: The `experiments.Task`.
        dataset: The `Dataset` of the task.
        family: Name of a family of the comparison.
        budget: Float, its relative MACs, or `None` for a family without budgets.
        folder: `pathlib.Path` of the folder in which models are kept.

    Returns:
        The Keras model, not compiled.
    """
    path = folder / f"{family}-{budget}.keras"
    if not path.exists():
        print("training", task.name, path.stem, flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        contender = experiments.FAMILIES[family].build(task, dataset, budget)
        task.recipe.train(contender.model, dataset, contender.callbacks, verbose=0)
        contender.model.save(path)
    return keras.models.load_model(path, compile=False)
