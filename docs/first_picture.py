"""Draw the picture of the first page: four images, and the blocks of the network that each runs."""

from drawing import STYLE, box, pixels, svg, text

WIDTH, HEIGHT = 200, 146  # of one of four cards, two in a row


def card(seen):
    """Draw an image as the gates let it through, the blocks that it opens and its cost."""
    blocks = [
        box(106 + 10.5 * (i % 8), 6 + 22 * (i // 8), 8.5, 20, "runs" if m else "pale")
        for i, m in enumerate(seen["mask"])
    ]
    arrow = '<path d="M97 44l6 5.5l-6 5.5z" class="gates"/>'
    runs = f"{int(seen['mask'].sum())} of {len(seen['mask'])} blocks run"
    cost = f"{seen['one'].relative:.2f} relative MACs"
    return [
        *pixels(seen["image"], 5, 6, 11, seen["pixels"]),
        arrow,
        *blocks,
        text(5, 112, runs, "title"),
        text(5, 129, cost),
    ]


def picture(all_seen):
    """Put the cards together."""
    lines = []
    for number, seen in enumerate(all_seen):
        x, y = WIDTH * (number % 2), HEIGHT * (number // 2)
        lines.append(f'<g transform="translate({x} {y})">{"".join(card(seen))}</g>')
    title = "Four digits, and the blocks of one trained network that run for each of them"
    return svg(2 * WIDTH, 2 * HEIGHT, title, STYLE, lines)
