import keras
import numpy as np
import pytest
import scipy.sparse

from keras_dynamicgate.datasets import Batches, Dataset, ElementSpec, Split

X = np.array([[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]], "float32")
Y = np.array([0, 1, 0, 1, 0], "int32")


@pytest.fixture(params=["array", "sparse"])
def split(request):
    return Split(X if request.param == "array" else scipy.sparse.csr_matrix(X), Y)


def test_rows_are_dense_whatever_holds_them(split):
    x, y = split[1:3]
    assert isinstance(x, np.ndarray)
    assert x.tolist() == [[2, 3], [4, 5]]
    assert y.tolist() == [1, 0]


def test_the_spec_describes_one_sample(split):
    assert split.element_spec == (ElementSpec((2,), "float32"), ElementSpec((), "int32"))
    assert len(split) == 5
    assert repr(split) == "Split(5 samples, x: (2,) float32, y: int32)"


def test_one_index_is_refused_since_batches_need_an_axis(split):
    with pytest.raises(TypeError, match="`rows` must be a slice or an array.*Received: rows=0"):
        split[0]


def test_batches_hold_every_sample_once_and_the_last_is_smaller(split):
    batches = split.batches(batch_size=2)
    assert len(batches) == 3
    assert [y.tolist() for _, y in batches] == [[0, 1], [0, 1], [0]]
    assert [x.shape for x, _ in batches] == [(2, 2), (2, 2), (1, 2)]


def test_shuffled_epochs_differ_and_repeat_from_the_seed():
    split = Split(np.arange(20, dtype="float32")[:, None], np.zeros(20, "int32"))

    def epochs(seed):
        batches = split.batches(batch_size=7, shuffle=True, seed=seed)
        orders = []
        for _ in range(2):
            orders.append(np.concatenate([x[:, 0] for x, _ in batches]).tolist())
            batches.on_epoch_end()
        return orders

    first, second = epochs(seed=3)
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second
    assert epochs(seed=3) == [first, second]
    assert epochs(seed=4)[0] != first


def test_samples_and_labels_stay_together_when_shuffled(split):
    for x, y in split.batches(batch_size=2, shuffle=True, seed=1):
        for row, label in zip(x, y, strict=True):
            assert Y[int(row[0]) // 2] == label


@pytest.mark.parametrize("batch_size", [0, -1, 2.5])
def test_a_wrong_batch_size_is_refused(split, batch_size):
    with pytest.raises(ValueError, match=f"`batch_size` must be.*batch_size={batch_size}"):
        split.batches(batch_size=batch_size)


def test_a_batch_beyond_the_last_is_refused(split):
    with pytest.raises(IndexError, match="Received: index=3"):
        split.batches(batch_size=2)[3]


def test_labels_must_match_samples():
    with pytest.raises(ValueError, match="one label for each sample"):
        Split(X, Y[:4])


# Keras's PyTorch backend and NumPy 2, https://github.com/pytorch/pytorch/issues/136264
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning")
def test_a_model_trains_evaluates_and_predicts_on_batches(split):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    batches = split.batches(batch_size=2, shuffle=True)
    history = model.fit(batches, epochs=2, validation_data=batches, shuffle=False, verbose=0)
    assert len(history.history["val_loss"]) == 2
    assert model.predict(split.batches(batch_size=2), verbose=0).shape == (5, 2)


def test_fit_draws_a_new_order_each_epoch():
    class Spy(Batches):
        def __getitem__(self, index):
            x, y = super().__getitem__(index)
            seen.add(tuple(x[:, 0]))
            return x, y

    seen = set()
    split = Split(np.arange(8, dtype="float32")[:, None], np.zeros(8, "int32"))
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    spy = Spy(split, batch_size=8, shuffle=True, seed=0)
    model.fit(spy, epochs=3, shuffle=False, verbose=0)
    # Keras may read the first batches once more, to build the model.
    assert len(seen) >= 3


def test_a_dataset_says_what_it_holds():
    dataset = Dataset(
        name="tiny",
        train=Split(X, Y),
        validation=Split(X[:2], Y[:2]),
        test=Split(X[:1], Y[:1]),
        class_names=("even", "odd"),
        citation="nobody",
        licence="none",
    )
    assert repr(dataset) == (
        "Dataset tiny: x (2,) float32, 2 classes, train 5, validation 2, test 1"
    )
    assert dataset.num_classes == 2
    assert dataset.feature_names is None
    with pytest.raises(AttributeError):
        dataset.name = "other"
