"""Make the Colab notebooks out of the example scripts, with what they print and draw.

python examples/notebooks/generate.py                    # write the cells of all notebooks
python examples/notebooks/generate.py --execute          # and run those without their outputs
python examples/notebooks/generate.py --execute mnist --data-dir DATA    # run some in any case
python examples/notebooks/generate.py --check            # exit with 1 if cells or outputs are stale

A script and its notebook share their cells, which `# %%` divides. Only what a notebook does in
another way is written here: it installs the package, sets options in a cell instead of reading
them from the command line, and shows what was written where it arises. Outputs are kept with a hash
of the cells that they belong to.
"""

import argparse
import hashlib
import pathlib
import re
import sys
import tomllib

import jupytext
import nbformat

FOLDER = pathlib.Path(__file__).parent
PROJECT = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text())["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
COLAB = "https://colab.research.google.com"
OWN = "keras_dynamicgate"  # the key of what is kept in a notebook's metadata

# What each comparison trains in quick mode: models and budgets.
QUICK = {
    "mnist": (("narrow", "dynamic"), (0.3,)),
    "cifar10": (("narrow", "dynamic"), (0.3,)),
    "tiny_imagenet": (("narrow", "dynamic"), (0.3,)),
    "speech_commands": (("narrow", "dynamic"), (0.3,)),
    "pbmc3k": (("linear", "static"), (0.05,)),
}
EXTRAS = {
    "quickstart": "demo",
    "mnist": "vision,plots",
    "cifar10": "vision,plots",
    "tiny_imagenet": "vision,plots",
    "speech_commands": "audio,plots",
    "pbmc3k": "cells,plots",
    "gate_pretrained": "vision,plots",
    "plasticity": "vision,plots",
}
NOTEBOOKS = tuple(EXTRAS)

INSTALL_TEXT = """\
## Installation

The newest release is installed from the package index or, where there is none yet, from the
repository.
"""

INSTALL = """\
import importlib.util
import os
import subprocess
import sys

os.environ.setdefault("KERAS_BACKEND", "{backend}")  # before keras is imported
package = "{package}[{backend},{extras}]"
archive = "{archive}"
if importlib.util.find_spec("keras_dynamicgate") is None:
    for source in (package, f"{{package}} @ {{archive}}"):
        pip = [sys.executable, "-m", "pip", "install", "--quiet", source]
        if subprocess.run(pip, capture_output=True).returncode == 0:
            print(f"Installed {{source}}")
            break
    else:
        sys.exit(f"Neither the package index nor {{archive}} gave {{package}}: is there a network?")
"""

PARAMETERS_TEXT = """\
## How long it may take

Outputs that are kept here were made with `quick = True`: few models, one budget, one seed and a few
epochs, which shows that all works and not what gates are worth. `quick = False` trains everything.
"""

PARAMETERS = """\
quick = True  # one budget, one seed and few epochs; False: all budgets, three seeds, all epochs
data_dir = None  # folder with the originals; None: they are downloaded
out = "runs"  # folder for results and pictures
"""

# All words are 2.4 GB, whose features take a quarter of an hour.
FEW_WORDS = """\
import pathlib

import keras

if quick and data_dir is None:
    address = "https://storage.googleapis.com/download.tensorflow.org/data/"
    name = "mini_speech_commands.zip"  # eight words, 182 MB
    unpacked = keras.utils.get_file(name, address + name, extract=True)
    data_dir = pathlib.Path(unpacked, "mini_speech_commands")
"""

OPTIONS = """\
import pathlib

folder = pathlib.Path(out, "{name}-quick" if quick else "{name}")
options = {{"data_dir": data_dir, "out": folder, "quick": quick}}
if quick:
    options |= {{"models": {models}, "targets": {targets}, "seeds": 1}}
"""

GATE_PRETRAINED = """\
folder = pathlib.Path(out, "gate_pretrained-quick" if quick else "gate_pretrained")
options = {"task": "cifar10", "data_dir": data_dir, "out": folder, "quick": quick}
options |= {"target": 0.3, "seeds": 1 if quick else 3}
"""

PLASTICITY = """\
import pathlib

folder = pathlib.Path(out, "plasticity-quick" if quick else "plasticity")
options = {"kind": "noise", "data_dir": data_dir, "out": folder, "quick": quick}
options |= {"seeds": 1 if quick else 5}
"""

OWN_OPTIONS = {"gate_pretrained": GATE_PRETRAINED, "plasticity": PLASTICITY}

LEARNING_TEXT = """\
## Learning

Each mode learns the same stream from a copy of the same trained network. What is finished is kept
in the folder, so that the cell goes on where it was interrupted.
"""

LEARNED_TEXT = """\
## What was recovered, and what was forgotten

`changed` is the share of the reference whose answers differ in any bit.
"""

TRAINING_TEXT = """\
## Training

Every model is trained by the same recipe. `narrow` is the dense network made narrower until it
costs the budget: what one would do without gates. What is finished is kept in the folder, so that
the cell goes on where it was interrupted.
"""

RESULTS_TEXT = """\
## What they reach

Measured on the test split, with gates that are exactly open or closed. Relative MACs are
multiply-accumulates as a share of the full network's, gate networks counted.
"""

PRETRAINED_TEXT = """\
## What is left of the accuracy

`epochs in all` counts those of the dense network, too. Below the table, the gates of the copy that
was trained on: pixels that are read, and units that are left.
"""

SHOW_TABLE = """\
from IPython.display import Image, Markdown, display

display(Markdown((folder / "results.md").read_text()))
"""

IMPORT = "from IPython.display import Image"

SHOW = {
    "pareto": """\
### Accuracy against cost

Further to the left is cheaper, further up is better.
""",
    "usage": """\
### Gates while they learn

The budget falls from everything to its value and the gates follow.
""",
    "gates-*": """\
### Which gates are open

Inputs that are read, and below them, a line for each class, the blocks of units that it opens.
""",
}


def notebook(name):
    """Make the notebook of an example, without outputs."""
    cells = []
    for cell in jupytext.read(FOLDER.parent / f"{name}.py", fmt="py:percent").cells:
        tags = cell.metadata.get("tags", [])
        if not cells:
            cells.append(_markdown(_introduction(name, cell.source)))
        elif "backend" in tags:
            cells += _installation(name, re.search(r'"KERAS_BACKEND", "(\w+)"', cell.source)[1])
        elif "options" in tags:
            cells += _options(name)
        elif "experiments.compare(" in cell.source:
            cells += [_markdown(TRAINING_TEXT), cell, *_results()]
        elif "experiments.drift(" in cell.source:
            cells += [_markdown(LEARNING_TEXT), cell, _markdown(LEARNED_TEXT), _code(SHOW_TABLE)]
            cells += [_picture("curves.png"), _picture("gained_forgotten.png")]
        else:
            picture = cell.metadata.pop("shows", None)
            cells += [cell, *([_code(IMPORT), _picture(picture)] if picture else [])]
    if name == "gate_pretrained":
        cells += [_markdown(PRETRAINED_TEXT), _code(SHOW_TABLE), _picture("gates.png")]
    for number, cell in enumerate(cells):
        cell.id = f"{name}-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def hash_of(book):
    """Give a hash of what the cells of a notebook say."""
    sources = "\0".join(f"{cell.cell_type} {cell.source}" for cell in book.cells)
    return hashlib.sha256(sources.encode()).hexdigest()[:16]


def read(name):
    """Read a notebook, or give `None` where there is none."""
    path = FOLDER / f"{name}.ipynb"
    return nbformat.read(path, as_version=4) if path.exists() else None


def problem(name):
    """Say what is stale about a notebook, or give `None`."""
    kept, made = read(name), notebook(name)
    if kept is None or hash_of(kept) != hash_of(made):
        return "its cells are not what the script says"
    if has_outputs(kept) and kept.metadata.get(OWN, {}).get("outputs_of") != hash_of(made):
        return "its outputs were made by other cells"
    return None


def has_outputs(book):
    """Tell whether a notebook keeps outputs."""
    return any(cell.get("outputs") for cell in book.cells)


def write(book, name):
    """Write a notebook."""
    nbformat.validate(book)
    (FOLDER / f"{name}.ipynb").write_text(nbformat.writes(book) + "\n")


def with_outputs(name):
    """Make a notebook with the outputs that are kept, if they belong to its cells."""
    book, kept = notebook(name), read(name)
    if kept is not None and kept.metadata.get(OWN, {}).get("outputs_of") == hash_of(book):
        return kept
    return book


def _introduction(name, docstring):
    title, text = docstring.split("\n", 1)
    place = REPOSITORY.removeprefix("https://github.com/")
    address = f"{COLAB}/github/{place}/blob/main/examples/notebooks/{name}.ipynb"
    badge = f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({address})"
    return f"{badge}\n\n# {title.removesuffix('.')}\n{text}"


def _installation(name, backend):
    archive = f"{REPOSITORY}/archive/refs/heads/main.zip"
    values = {"package": PROJECT["name"], "extras": EXTRAS[name], "archive": archive}
    cells = [_markdown(INSTALL_TEXT), _code(INSTALL.format(backend=backend, **values))]
    if name != "quickstart":
        cells += [_markdown(PARAMETERS_TEXT), _code(PARAMETERS, tags=["parameters"])]
    return cells


def _options(name):
    if name in OWN_OPTIONS:
        return [_code(OWN_OPTIONS[name])]
    models, targets = QUICK[name]
    # Names of models in double quotes, as a formatter would have them.
    options = OPTIONS.format(name=name, models=str(models).replace("'", '"'), targets=targets)
    sources = [FEW_WORDS, options] if name == "speech_commands" else [options]
    return [_code(source) for source in sources]


def _results():
    cells = [_markdown(RESULTS_TEXT), _code(SHOW_TABLE)]
    for picture, text in SHOW.items():
        cells += [_markdown(text), _picture(f"{picture}.png")]
    return cells


def _picture(name):
    if "*" not in name:
        return _code(f'Image(filename=str(folder / "{name}"))')
    loop = f'for picture in sorted(folder.glob("{name}")):\n'
    return _code(f"{loop}    display(Image(filename=str(picture)))")


def _markdown(source):
    return nbformat.v4.new_markdown_cell(source.rstrip("\n"))


def _code(source, tags=()):
    metadata = {"tags": list(tags)} if tags else {}
    return nbformat.v4.new_code_cell(source.rstrip("\n"), metadata=metadata)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="notebooks (default: all)", metavar="NAME")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--execute", action="store_true")
    parser.add_argument(
        "--data-dir", type=pathlib.Path, help="folder with a folder for each data set"
    )
    options = parser.parse_args()
    if unknown := set(options.names) - set(NOTEBOOKS):
        parser.error(f"{', '.join(sorted(unknown))}: not among {', '.join(NOTEBOOKS)}")
    stale = {name: problem(name) for name in options.names or NOTEBOOKS}
    stale = {name: found for name, found in stale.items() if found}
    if options.check:
        said = "; ".join(f"{name}: {found}" for name, found in stale.items())
        sys.exit(f"{said}. Run `make notebooks`." if stale else 0)
    for name in options.names or NOTEBOOKS:
        write(with_outputs(name), name)
        if options.execute and (options.names or name in stale or not has_outputs(read(name))):
            from execute import executed

            print(f"running {name} ...", flush=True)
            book = executed(notebook(name), name, options.data_dir)
            book.metadata[OWN] = {"outputs_of": hash_of(book)}
            write(book, name)


if __name__ == "__main__":
    main()
