"""Lead a search for a public name to its own entry of the API reference."""

import json
import pathlib
import re

REFERENCE = pathlib.Path(__file__).parents[1] / "api.md"
NAME = re.compile(r"^::: (\S+)$", re.MULTILINE)
BOOST = 1e6


def on_post_build(config):
    """Raise the entries of public names in the search index that the theme has written.

    Words that only begin with what is typed are found as well, so a short name needs more:
    `compact` comes before `compact_with_report`.
    """
    names = NAME.findall(REFERENCE.read_text())
    boosts = {f"api.html#{name}": BOOST / len(name.rpartition(".")[2]) ** 3 for name in names}
    path = pathlib.Path(config.site_dir) / "search" / "search_index.json"
    index = json.loads(path.read_text())
    for entry in index["docs"]:
        if entry["location"] in boosts:
            entry["boost"] = boosts[entry["location"]]
    path.write_text(json.dumps(index, ensure_ascii=False, separators=(",", ":")))
