"""Make the Colab notebooks out of the example scripts.

python examples/notebooks/generate.py           # write the notebooks
python examples/notebooks/generate.py --check   # exit with 1 if one is not what its script says

A script and its notebook share their cells, which `# %%` divides. Only what a notebook does in
another way is written here: it installs the package, sets options in a cell instead of reading
them from the command line, and shows what was written.
"""

import pathlib
import re
import sys

import jupytext
import nbformat

FOLDER = pathlib.Path(__file__).parent
REPOSITORY = "keras-dynamicgate/keras-dynamicgate"
COLAB = "https://colab.research.google.com"

# What each comparison trains in quick mode: models and budgets.
QUICK = {
    "mnist": (("narrow", "dynamic"), (0.3,)),
    "cifar10": (("narrow", "dynamic"), (0.3,)),
    "tiny_imagenet": (("narrow", "dynamic"), (0.3,)),
    "speech_commands": (("narrow", "dynamic"), (0.3,)),
    "pbmc3k": (("linear", "static"), (0.05,)),
}
NOTEBOOKS = ("quickstart", *QUICK, "gate_pretrained")

INSTALL = """\
import importlib.util
import os

os.environ.setdefault("KERAS_BACKEND", "{backend}")  # before keras is imported
if importlib.util.find_spec("keras_dynamicgate") is None:
    %pip install -q "keras-dynamicgate[{backend},engine,examples]"
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

SHOW = """\
from IPython.display import Image, Markdown, display

for table in folder.glob("*.md"):
    display(Markdown(table.read_text()))
for picture in sorted(folder.glob("*.png")):
    display(Image(filename=str(picture)))
"""


def notebook(name):
    """Make the notebook of an example as text."""
    cells = []
    for cell in jupytext.read(FOLDER.parent / f"{name}.py", fmt="py:percent").cells:
        tags = cell.metadata.get("tags", [])
        if not cells:
            cells.append(_markdown(_introduction(name, cell.source)))
        elif "backend" in tags:
            backend = re.search(r'"KERAS_BACKEND", "(\w+)"', cell.source)[1]
            cells.append(_code(INSTALL.format(backend=backend)))
            if name != "quickstart":
                cells.append(_code(PARAMETERS, tags=["parameters"]))
        elif "options" in tags:
            cells += _options(name)
        else:
            cells.append(cell)
    cells += [_markdown("## Results"), _code(SHOW)]
    for number, cell in enumerate(cells):
        cell.id = f"{name}-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    book = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.validate(book)
    return nbformat.writes(book) + "\n"


def _introduction(name, docstring):
    title, text = docstring.split("\n", 1)
    notebooks = f"github/{REPOSITORY}/blob/main/examples/notebooks"
    badge = f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({COLAB}/{notebooks}/{name}.ipynb)"
    return f"{badge}\n\n# {title.removesuffix('.')}\n{text}"


def _options(name):
    if name == "gate_pretrained":
        return [_code(GATE_PRETRAINED)]
    models, targets = QUICK[name]
    # Names of models in double quotes, as a formatter would have them.
    options = OPTIONS.format(name=name, models=str(models).replace("'", '"'), targets=targets)
    sources = [FEW_WORDS, options] if name == "speech_commands" else [options]
    return [_code(source) for source in sources]


def _markdown(source):
    return nbformat.v4.new_markdown_cell(source)


def _code(source, tags=()):
    metadata = {"tags": list(tags)} if tags else {}
    return nbformat.v4.new_code_cell(source.rstrip("\n"), metadata=metadata)


if __name__ == "__main__":
    stale = []
    for name in NOTEBOOKS:
        path = FOLDER / f"{name}.ipynb"
        content = notebook(name)
        if not path.exists() or path.read_text() != content:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(content)
    if stale and "--check" in sys.argv:
        sys.exit(f"Not what the scripts say: {', '.join(stale)}. Run `make notebooks`.")
