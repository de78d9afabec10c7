"""Draw how one image runs through a gated model in six steps.

Everything is there and readable from the start. A frame then goes once from step to step, and again
while the pointer is on the picture; for readers who ask their system for less motion it stays away.
"""

import numpy as np
from drawing import STYLE, box, pixels, svg, text

PANEL = 200  # side of a panel, of which there are two in a row
STEPS = 6
SECONDS = 0.8  # that the frame stays on a step

WALK = (
    """
.drawing .frame { fill: none; stroke: var(--runs); stroke-width: 2.5; opacity: 0; }
.drawing .threshold { fill: none; stroke: var(--gates); stroke-width: 1.5; stroke-dasharray: 4 3; }
@keyframes step { 0%, 100% { opacity: 0; } 15%, 85% { opacity: 1; } }
@keyframes step-again { 0%, 100% { opacity: 0; } 15%, 85% { opacity: 1; } }
@media (prefers-reduced-motion: no-preference) {
"""
    + f"  .drawing .frame {{ animation: step {SECONDS}s both; }}\n"
    + "  .drawing:hover .frame { animation-name: step-again; }\n"
    + "".join(
        f"  .drawing .step{step} {{ animation-delay: {0.5 + SECONDS * step:.1f}s; }}\n"
        for step in range(STEPS)
    )
    + "}\n"
)


def draw_probabilities(seen):
    """Draw the gate probability of each block as a bar, and the threshold."""
    bars = [
        box(20 + 5 * i, 160 - 120 * p, 4, 120 * p, "runs" if m else "pale")
        for i, (p, m) in enumerate(zip(seen["probability"], seen["mask"], strict=True))
    ]
    line = '<path d="M18 100H182" class="threshold"/>'
    return [*bars, line, text(20, 180, "dashed: the threshold")]


def draw_blocks(seen):
    """Draw the units of each block: those of open blocks by what they answer."""
    units = seen["units"].reshape(len(seen["mask"]), -1)
    marks = []
    for block, (values, is_open) in enumerate(zip(units, seen["mask"], strict=True)):
        left, top = 20 + 20 * (block % 8), 36 + 34 * (block // 8)
        kind, shade = ("runs", 0.16) if is_open else ("pale", 0.5)
        marks.append(box(left, top, 18, 31, kind, shade))
        for unit, value in enumerate(values if is_open else ()):
            shade = min(1.0, value / (1e-6 + np.percentile(units[units > 0], 90)))
            x, y = left + 2 + 8 * (unit % 2), top + 2 + 7 * (unit // 2)
            marks.append(box(x, y, 6, 5.5, "runs", max(0.12, shade)))
    return marks


def draw_answer(seen):
    """Draw the probability of each digit."""
    marks = []
    for digit, share in enumerate(seen["answer"]):
        marks.append(box(20 + 16 * digit, 150 - 105 * share, 13, 105 * share + 1, "ink"))
        marks.append(text(26.5 + 16 * digit, 167, str(digit), anchor="middle"))
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
            marks.append(box(20, y + 6, 160, 14, "pale"))
        else:
            executed = 160 * report.executed / report.dense
            marks.append(box(20, y + 6, executed, 14, "runs"))
            marks.append(box(20 + executed, y + 6, 160 * report.gates / report.dense, 14, "gates"))
    legend = [box(20, 170, 10, 10, "runs"), text(34, 180, "executed")]
    return [*marks, *legend, box(108, 170, 10, 10, "gates"), text(122, 180, "gates")]


def picture(seen):
    """Put the six steps together."""
    image, mask = seen["image"], seen["pixels"]
    open_pixels, open_blocks = int(mask.sum()), int(seen["mask"].sum())
    panels = [
        ("1. One image", pixels(image, 20, 34, 17)),
        (f"2. {open_pixels} of 64 pixels open", pixels(image, 20, 34, 17, mask)),
        ("3. Probability of 32 gates", draw_probabilities(seen)),
        (f"4. {open_blocks} of 32 blocks run", draw_blocks(seen)),
        ("5. The answer", draw_answer(seen)),
        ("6. Relative MACs", draw_cost(seen)),
    ]
    lines = []
    for number, (title, marks) in enumerate(panels):
        x, y = 4 + PANEL * (number % 2), 4 + PANEL * (number // 2)
        frame = f'<rect x="4" y="2" width="192" height="192" rx="8" class="frame step{number}"/>'
        lines.append(f'<g transform="translate({x} {y})">{text(20, 22, title, "title")}')
        lines.append(f"{''.join(marks)}{frame}</g>")
    title = f"A {seen['label']} lights up {open_blocks} of 32 blocks"
    return svg(2 * PANEL + 8, 3 * PANEL + 4, title, STYLE + WALK, lines)
