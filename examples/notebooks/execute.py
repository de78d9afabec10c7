"""Run a notebook and keep of its outputs what is worth reading, in few bytes."""

import base64
import io
import os
import pathlib
import re
import tempfile

import nbclient
import nbformat
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The folder of each data set below `--data-dir`, where the name of the notebook is not its own.
FOLDERS = {
    "tiny_imagenet": "tiny-imagenet",
    "gate_pretrained": "cifar10",
    "plasticity": "mnist",
}
WIDTH = 900  # pixels
COLOURS = 128
SECONDS = 1800
KINDS = ("image/png", "text/markdown", "text/plain")  # the first that an output has is kept
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def executed(book, name, data_dir=None):
    """Run a notebook in an empty folder with the checkout's package.

    Args:
        book: The notebook; it gets the outputs.
        name: Name of the example.
        data_dir: Folder with a folder for each data set. Defaults to `None`: data are downloaded.

    Returns:
        The notebook.
    """
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    places = [
        number
        for number, cell in enumerate(book.cells)
        if "parameters" in cell.metadata.get("tags", [])
    ]
    given = data_dir and name != "quickstart"
    if given:
        folder = pathlib.Path(data_dir, FOLDERS.get(name, name)).resolve()
        # Behind the notebook's own parameters, as papermill would put it.
        own = nbformat.v4.new_code_cell(f"data_dir = {str(folder)!r}")
        book.cells.insert(places[0] + 1, own)
    # The kernel tells more about itself, which differs from machine to machine.
    metadata = nbformat.from_dict(dict(book.metadata))
    with tempfile.TemporaryDirectory() as empty:
        resources = {"metadata": {"path": empty}}
        nbclient.NotebookClient(book, timeout=SECONDS, resources=resources).execute()
    if given:
        del book.cells[places[0] + 1]
    book.metadata = metadata
    count = 0
    for cell in book.cells:
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            cell.metadata.pop("execution", None)
            kept = (tidied(output, count) for output in cell.outputs)
            cell.outputs = joined(output for output in kept if output)
    return book


def joined(outputs):
    """Make one output of pieces of text that were printed one after the other."""
    together = []
    for output in outputs:
        if together and output.output_type == together[-1].output_type == "stream":
            together[-1].text += output.text
        else:
            together.append(output)
    return together


def tidied(output, count):
    """Give an output without colours, progress bars and large pictures; `None` if none is left."""
    if output.output_type == "stream":
        if output.name != "stdout":
            return None
        output.text = ESCAPES.sub("", output.text)
        return output if output.text.strip() else None
    kind = next((kind for kind in KINDS if kind in output.data), None)
    if kind is None:
        return None
    content = output.data[kind]
    content = small(content) if kind == "image/png" else ESCAPES.sub("", content)
    if "execution_count" in output:
        output.execution_count = count
    output.data = nbformat.NotebookNode({kind: content})
    output.metadata = nbformat.NotebookNode()
    return output if content.strip() else None


def small(picture):
    """Give a picture, as text in base 64, with fewer pixels and colours."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    image.thumbnail((WIDTH, 10 * WIDTH), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    # Thin lines keep their colours, which the most frequent ones would not leave them.
    method, dither = Image.Quantize.FASTOCTREE, Image.Dither.NONE
    image.quantize(COLOURS, method, dither=dither).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
