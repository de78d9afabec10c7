"""A hook of MkDocs: the notebooks as pages of the site, with the outputs that are kept in them.

`mkdocs.yml` names this file under `hooks` and the pages under `nav`, `notebooks/NAME.md`.
"""

import base64
import json
import pathlib
import re

from mkdocs.structure.files import File

FOLDER = pathlib.Path(__file__).parent
# A picture from another address, which the site does without.
BADGE = re.compile(r"\[!\[(.*?)\]\(.*?\)\]\((.*?)\)")


def on_files(files, config):
    """Add a page for each notebook, and the pictures in it."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        text, pictures = page(json.loads(path.read_text()), path.stem)
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
        for name, content in pictures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    return files


def page(book, name):
    """Give a notebook as Markdown, and its pictures by the names that the text gives them."""
    parts, pictures = [], {}
    for cell in book["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(BADGE.sub(r"[\1](\2)", source))
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {"text/plain": output.get("text", "")})
            if "image/png" in data:
                picture = f"{name}-{len(pictures) + 1}.png"
                pictures[picture] = base64.b64decode("".join(data["image/png"]))
                parts.append(f"![Output of the cell above]({picture})")
            elif "text/markdown" in data:
                parts.append("".join(data["text/markdown"]))
            else:
                parts.append(f"```text\n{''.join(data['text/plain']).rstrip()}\n```")
    return "\n\n".join(parts) + "\n", pictures
