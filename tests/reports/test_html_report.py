import html.parser
import pathlib

import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg
from keras_dynamicgate.reports import html_report

pytestmark = pytest.mark.one_backend("torch")

HOSTILE = '"><script>alert(1)'
VOID = ("meta", "img")


class Page(html.parser.HTMLParser):
    """Collects elements and text, and checks that every element is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def write(tmp_path):
    def write(*arguments, **keywords):
        html_report(*arguments, **keywords, path=tmp_path / "report.html")
        return Page((tmp_path / "report.html").read_text(encoding="utf-8"))

    return write


def image_model(name="hidden"):
    """A classifier of 4x4 images whose single gate opens for a bright first pixel."""
    model = keras.Sequential(
        [
            keras.Input((4, 4)),
            keras.layers.Flatten(),
            kdg.DynamicGateDense(16, gate="linear", block_size=8, name=name),
            keras.layers.Dense(2),
        ]
    )
    gate = model.layers[1].gate.network
    gate.kernel.assign(np.eye(16, 2) * 9)
    gate.scaled_bias.assign([-0.4, 0.4])
    return model


@pytest.fixture
def images():
    x = np.zeros((3, 4, 4), "float32")
    x[1, 0, 0] = 1.0
    return x


def test_page_shows_costs_gates_and_samples(write, images):
    page = write(image_model(), images, [0, 1, 1], class_names=["dark", "bright"])
    for text in ("What the model costs", "Open ratio by class and layer", "Hardest samples"):
        assert text in page.text
    # One gate of two is open for samples 0 and 2: 16 * 8 + 8 * 2 MACs. Sample 1 opens both.
    assert "hidden: 2 gates; 0 never open, 1 always open." in page.text
    assert "144" in page.text
    assert "288" in page.text
    pictures = page.all("img")
    assert [picture["alt"] for picture in pictures[:3]] == ["sample 1", "sample 0", "sample 2"]
    assert all(picture["src"].startswith("data:image/png;base64,") for picture in pictures)


def test_samples_of_equal_cost_are_said_to_tie(write, images):
    # Sample 1 of 13 runs 288 MACs, and all others 144.
    page = write(image_model(), np.concatenate([images, np.zeros((10, 4, 4), "float32")]))
    assert "12 samples tie at 144 executed MACs; the first 10 of them are listed." in page.text
    assert "12 samples tie at 144 executed MACs; the first 9 of them are listed." in page.text


def test_complete_tables_of_samples_mention_no_tie(write, images):
    assert "tie at" not in write(image_model(), images).text


def test_report_returns_the_count(tmp_path, images):
    model = image_model()
    report = html_report(model, images, path=tmp_path / "report.html")
    assert report == kdg.count_macs(model, images)


def test_page_that_cannot_be_written_leaves_the_one_before(tmp_path, images, monkeypatch):
    def full_disk(path, text, **keywords):
        path.write_bytes(text[:9].encode())
        raise OSError("No space left on device")

    path = tmp_path / "report.html"
    path.write_text("before")
    with monkeypatch.context() as context:
        context.setattr(pathlib.Path, "write_text", full_disk)
        with pytest.raises(OSError, match="No space"):
            html_report(image_model(), images, path=path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_class_name_with_a_lone_surrogate_is_written(write, images):
    page = write(image_model(), images, [0, 1, 1], class_names=["dark", "\ud800"])
    assert r"\ud800" in page.text


def test_page_loads_nothing_and_can_be_read_without_seeing_it(write, images):
    results = {"runs": [{"model": "gated", "accuracy": 0.9, "relative_macs": 0.3}]}
    page = write(image_model(), images, [0, 1, 1], results=results)
    assert not page.all("script")
    assert not page.all("link")
    assert {link["href"] for link in page.all("a")} <= {
        f"#{attributes['id']}" for _, attributes in page.elements if "id" in attributes
    }
    assert all(picture["alt"] for picture in page.all("img"))
    assert all("aria-label" in svg or "aria-hidden" in svg for svg in page.all("svg"))
    assert all(head["scope"] in ("col", "row") for head in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table")) == 6
    assert len(page.all("h1")) == len(page.all("main")) == 1
    (root,) = page.all("html")
    assert root["lang"] == "en"


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="it refuses such layer names")
def test_hostile_layer_name_stays_text(write, images):
    page = write(image_model(HOSTILE), images)
    assert HOSTILE in page.text
    assert not page.all("script")


def test_hostile_names_of_models_and_classes_stay_text(write, images):
    model = image_model()
    model.name = HOSTILE
    runs = [{"model": HOSTILE, "target": HOSTILE, "accuracy": 0.9, "relative_macs": 0.3}]
    page = write(model, images, [0, 1, 1], class_names=[HOSTILE] * 2, results={"runs": runs})
    assert page.text.count(HOSTILE) > 6
    assert not page.all("script")
    svgs = [svg.get("aria-label", "") for svg in page.all("svg")]
    assert any(HOSTILE in label for label in svgs)


def test_model_without_gates_says_so(write):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    page = write(model, np.ones((2, 3), "float32"))
    assert "has no gates" in page.text
    assert "All samples run the same MACs" in page.text


def test_pruned_layers_are_marked_as_theoretical(write):
    pruned = kdg.baselines.MagnitudePrunedDense(4)
    model = keras.Sequential([keras.Input((3,)), pruned])
    pruned.kept.assign(np.eye(3, 4))
    page = write(model, np.ones((2, 3), "float32"))
    assert "3*" in page.text
    assert "* theoretical" in page.text


def test_several_inputs_are_measured_and_not_drawn(write):
    inputs = {name: keras.Input((4, 4), name=name) for name in "ab"}
    joined = keras.layers.Concatenate()([kdg.DynamicGate("linear")(inputs["a"]), inputs["b"]])
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(joined)))
    page = write(model, {name: np.eye(4)[None].repeat(3, 0) for name in "ab"})
    assert not page.all("img")


def test_class_without_samples_has_an_empty_row(write, images):
    page = write(image_model(), images, [0, 2, 2])
    assert "–" in page.text


@pytest.mark.parametrize("y", [[0, 1], [0, 1, -1], [0.5, 1, 1], np.eye(3)])
def test_labels_that_are_no_integers_for_each_sample_are_refused(write, images, y):
    with pytest.raises(
        ValueError, match="Argument `y` must hold an integer of at least 0.*Received: y"
    ):
        write(image_model(), images, y)


@pytest.mark.parametrize("names", [["dark"], "dark,bright"])
def test_class_names_that_do_not_suffice_are_refused(write, images, names):
    with pytest.raises(ValueError, match="Argument `class_names` must be.*2 or more"):
        write(image_model(), images, [0, 1, 1], class_names=names)
