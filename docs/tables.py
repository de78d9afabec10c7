"""Write the tables of README.md and docs/results.md from the result files in docs/results.

python docs/tables.py           # rewrite the tables
python docs/tables.py --check   # exit with 1 if a table is not what the files say
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
HEAD = "| {} | accuracy | open ratio | executed MACs | gate MACs | relative MACs |"


def load(name):
    """Load one result file."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def row(first, run):
    """Lay out one model as a row."""
    return (
        f"| {first} | {run['accuracy']:.2%} | {run['open_ratio']:.2f} | "
        f"{run['executed_macs']:,.0f} | {run['gate_macs']:,.0f} | {run['relative_macs']:.3f} |"
    )


def mnist():
    """Lay out both budgets on one backend."""
    large, small = load("mnist-jax-0.3"), load("mnist-jax-0.15")
    rows = [row("`dense`", large["models"][0])]
    for result in (large, small):
        for run in result["models"][1:]:
            rows.append(row(f"`{run['name']}` at {result['target_macs']}", run))
    return "\n".join([HEAD.format("model"), "| --- " * 6 + "|", *rows])


def mnist_all():
    """Lay out both budgets on all backends."""
    rows = []
    for backend in ("tensorflow", "jax", "torch"):
        for target in ("0.3", "0.15"):
            result = load(f"mnist-{backend}-{target}")
            for run in result["models"]:
                rows.append(row(f"{backend}, {target}: `{run['name']}`", run))
    return "\n".join([HEAD.format("backend, budget: model"), "| --- " * 6 + "|", *rows])


TABLES = {"mnist": mnist, "mnist-all": mnist_all}


def fill(text):
    """Replace what stands between the marks of each table."""
    for name, table in TABLES.items():
        pattern = rf"(<!-- table: {name} -->\n).*?(<!-- /table -->)"
        text = re.sub(pattern, lambda m, t=table: f"{m[1]}{t()}\n{m[2]}", text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    stale = False
    for page in (ROOT / "README.md", ROOT / "docs" / "results.md"):
        old = page.read_text()
        new = fill(old)
        stale |= old != new
        if "--check" not in sys.argv:
            page.write_text(new)
    sys.exit(
        "The tables are not what the result files say." if stale and "--check" in sys.argv else 0
    )
