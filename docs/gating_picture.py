"""Train a gated model on digits and draw how one real image runs through it, step by step.

python docs/gating_picture.py   # writes docs/assets/gating.svg

The picture is one SVG file without scripts. Its steps appear one after the other; for readers who
ask their system for less motion they are all there from the start.
"""

import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from keras import ops

import keras_dynamicgate as kdg
from keras_dynamicgate.gating.record import record_gates

OUT = pathlib.Path(__file__).parent / "assets" / "gating.svg"
BUDGET = 0.2
DIGIT = 3
BLOCK = 8
INK, PALE, OPEN, GATE, PAPER = "#33373d", "#d9dade", "#00796b", "#c75b12", "#f6f6f3"
PANEL = 200  # side of a panel, of which there are two in a row
SECONDS = 12
STEPS = 6

STYLE = f"""
text {{ font: 12px system-ui, sans-serif; fill: {INK}; }}
.title {{ font-weight: 600; }}
@media (prefers-reduced-motion: no-preference) {{
  g[class^="step"] {{ animation-duration: {SECONDS}s; animation-iteration-count: 3; }}
""" + "".join(
    f"""  .step{step} {{ animation-name: step{step}; }}
  @keyframes step{step} {{
    0%, {15 * step - 12}% {{ opacity: 0.1; }} {15 * step - 4}%, 100% {{ opacity: 1; }}
  }}
"""
    for step in range(1, STEPS + 1)
)


def train():
    """Train a model with static gates on the pixels and low-rank gates on the hidden blocks."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8)),
            keras.layers.Flatten(),
            kdg.DynamicGate(),
            kdg.DynamicGateDense(256, activation="relu", block_size=BLOCK),
            keras.layers.Dense(10),
        ]
    )
    data = kdg.datasets.digits()
    recipe = kdg.experiments.Recipe(epochs=60, batch_size=32)
    recipe.train(model, data, [kdg.MacBudget(BUDGET)], verbose=2)
    return model, data


def measure(model, data):
    """Run one image of the test split and note what the gates decide."""
    image = data.test.x[np.flatnonzero(data.test.y == DIGIT)[:1]]
    pixels, hidden = model.layers[1], model.layers[2]
    with record_gates() as record:
        inside = keras.Model(model.inputs[0], [hidden.output, *model.outputs])
        units, logits = map(ops.convert_to_numpy, inside(image, training=False))
    labels = np.argmax(model.predict(data.test.x, verbose=0), axis=-1)
    return {
        "image": image[0],
        "pixels": record.masks()[pixels.gate].reshape(8, 8),
        "probability": record.probabilities()[hidden.gate][0],
        "mask": record.masks()[hidden.gate][0],
        "units": units[0],
        "answer": np.asarray(ops.softmax(logits[0])),
        "one": kdg.count_macs(model, image),
        "all": kdg.count_macs(model, data.test.x),
        "accuracy": float(np.mean(labels == data.test.y)),
    }


def box(x, y, width, height, fill, opacity=1.0):
    """Draw a rectangle."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill="{fill}" fill-opacity="{opacity:.2f}"/>'
    )


def text(x, y, words, anchor="start", kind=""):
    """Write a line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{words}</text>'


def draw_image(seen):
    """Draw the pixels as they are."""
    return [
        box(20 + 17 * column, 34 + 17 * row, 16, 16, INK, 0.05 + 0.95 * seen["image"][row, column])
        for row in range(8)
        for column in range(8)
    ]


def draw_pixels(seen):
    """Draw the pixels that static gates let through; a closed one is a dot."""
    marks = []
    for row, column in np.ndindex(8, 8):
        if seen["pixels"][row, column]:
            value = 0.1 + 0.9 * seen["image"][row, column]
            marks.append(box(20 + 17 * column, 34 + 17 * row, 16, 16, OPEN, value))
        else:
            marks.append(box(26 + 17 * column, 40 + 17 * row, 4, 4, PALE))
    return marks


def draw_probabilities(seen):
    """Draw the gate probability of each block as a bar, and the threshold."""
    bars = [
        box(20 + 5 * i, 160 - 120 * p, 4, 120 * p, OPEN if m else "#9a9ca3")
        for i, (p, m) in enumerate(zip(seen["probability"], seen["mask"], strict=True))
    ]
    line = f'<path d="M18 100H182" stroke="{GATE}" stroke-dasharray="4 3" fill="none"/>'
    return [*bars, line, text(20, 178, "dashed: the threshold")]


def draw_blocks(seen):
    """Draw the units of each block: those of open blocks by what they answer."""
    units = seen["units"].reshape(-1, BLOCK)
    marks = []
    for block, (values, is_open) in enumerate(zip(units, seen["mask"], strict=True)):
        left, top = 20 + 20 * (block % 8), 36 + 34 * (block // 8)
        marks.append(box(left, top, 18, 31, OPEN if is_open else PALE, 0.16 if is_open else 0.5))
        for unit, value in enumerate(values if is_open else ()):
            shade = min(1.0, value / (1e-6 + np.percentile(units[units > 0], 90)))
            x, y = left + 2 + 8 * (unit % 2), top + 2 + 7 * (unit // 2)
            marks.append(box(x, y, 6, 5.5, OPEN, max(0.12, shade)))
    return marks


def draw_answer(seen):
    """Draw the probability of each digit."""
    marks = []
    for digit, share in enumerate(seen["answer"]):
        marks.append(box(20 + 16 * digit, 150 - 105 * share, 13, 105 * share + 1, INK))
        marks.append(text(26.5 + 16 * digit, 166, str(digit), "middle"))
    return marks


def draw_cost(seen):
    """Draw dense MACs beside what this image and the mean of all took."""
    marks = []
    rows = [("dense", None), ("this image", seen["one"]), ("mean of the test split", seen["all"])]
    for row, (name, report) in enumerate(rows):
        y = 46 + 42 * row
        relative = 1.0 if report is None else report.relative
        marks.append(text(20, y, f"{name}: {relative:.2f}"))
        if report is None:
            marks.append(box(20, y + 6, 160, 14, PALE))
        else:
            executed = 160 * report.executed / report.dense
            marks.append(box(20, y + 6, executed, 14, OPEN))
            marks.append(box(20 + executed, y + 6, 160 * report.gates / report.dense, 14, GATE))
    marks.append(box(20, 166, 10, 10, OPEN))
    marks.append(text(34, 175, "executed"))
    marks.append(box(100, 166, 10, 10, GATE))
    marks.append(text(114, 175, "gates"))
    return marks


def picture(seen):
    """Put the six steps together."""
    open_pixels, open_blocks = int(seen["pixels"].sum()), int(seen["mask"].sum())
    panels = [
        ("1. One image", draw_image(seen)),
        (f"2. {open_pixels} of 64 pixels open", draw_pixels(seen)),
        ("3. Probability of 32 gates", draw_probabilities(seen)),
        (f"4. {open_blocks} of 32 blocks run", draw_blocks(seen)),
        ("5. The answer", draw_answer(seen)),
        ("6. Relative MACs", draw_cost(seen)),
    ]
    width, height = 2 * PANEL + 12, 3 * PANEL + 12
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>A {DIGIT} lights up {open_blocks} of 32 blocks</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" rx="8" fill="{PAPER}"/>',
    ]
    for number, (title, marks) in enumerate(panels):
        x, y = 6 + PANEL * (number % 2), 6 + PANEL * (number // 2)
        lines.append(f'<g transform="translate({x} {y})">{text(20, 22, title, kind="title")}')
        lines.append(f'<g class="step{number + 1}">{"".join(marks)}</g></g>')
    return "\n".join([*lines, "</svg>\n"])


if __name__ == "__main__":
    seen = measure(*train())
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(picture(seen))
    print(f"accuracy on the test split {seen['accuracy']:.3f}")
    print(f"relative MACs {seen['one'].relative:.3f}, mean {seen['all'].relative:.3f}")
