"""Lead a search for a public name to its own entry of the API reference."""

import json
import pathlib
import re

REFERENCE = pathlib.Path(__file__).parents[1] / "api.md"
NAME = re.compile(r"^::: (\S+)$", re.MULTILINE)
BOOST = 6.0


def on_post_build(config):
    """Raise the entries of public names in the search index that the theme has written.

    Their titles lose the modules in front, in which `Dataset` would find all of `datasets`. Words
    that only begin with what is typed are found as well, so a name that others begin with needs
    more: `compact` comes before `compact_with_report`.
    """
    found = NAME.findall(REFERENCE.read_text())
    names = {f"api.html#{name}": name.rpartition(".")[2] for name in found}
    path = pathlib.Path(config.site_dir) / "search" / "search_index.json"
    index = json.loads(path.read_text())
    for entry in index["docs"]:
        if name := names.get(entry["location"]):
            longer = sum(each.lower().startswith(name.lower()) for each in names.values()) > 1
            entry.update(title=f"<code>{name}</code>", boost=BOOST * (3 if longer else 1))
    path.write_text(json.dumps(index, ensure_ascii=False, separators=(",", ":")))
