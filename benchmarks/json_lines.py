"""The file that `--json` of the benchmarks names: a line for each run, so that runs add up."""

import json


def append(path, row):
    """Append numbers to a file.

    Args:
        path: The file, or `None` for none.
        row: Dict that JSON can hold.
    """
    if path:
        with open(path, "a") as file:
            file.write(json.dumps(row) + "\n")
