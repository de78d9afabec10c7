"""The rooms of the package: who may import whom, and what stands where."""

import ast
import pathlib
import re

import pytest

pytestmark = pytest.mark.one_backend("torch")

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "keras_dynamicgate"
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS = sorted(path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] != "_")
# The map in CONTRIBUTING.md: one row a room, with the floor that it is on.
FLOORS = {
    room: int(floor)
    for room, floor in re.findall(
        r"^\| `(\w+)` \| (\d) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE
    )
}
PRIVATE = re.compile(
    r"\._(?:flatten_layers|keras_history|nodes_by_depth|functional|inbound_nodes|outbound_nodes"
    r"|losses|tracker|torch_params|trainable_variables|output_shape|model_variables_moving_average"
    r"|var_key)\b|\bkeras\.src\b"
)


def room_of(path):
    """Give the room of a file, or an empty string for one at the package's root."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def modules():
    """Give every module of the package by its dotted name."""
    named = {}
    for path in FILES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def imports(path, *, at_start=False):
    """List the dotted names that a file imports, those that only type checkers read left out.

    Args:
        path: The file.
        at_start: Whether to leave out what functions import when they are called.
    """
    tree = ast.parse(path.read_text())
    pending, found = [tree], []
    while pending:
        for node in ast.iter_child_nodes(pending.pop()):
            if isinstance(node, ast.Import):
                found += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found += [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            elif not (at_start and isinstance(node, ast.FunctionDef)):
                pending.append(node)
    return found


def imported_modules(path):
    """List the modules of the package that a file needs when it is imported."""
    every = modules()
    found = set()
    for name in imports(path, at_start=True):
        while name and name not in every:
            name = name.rpartition(".")[0]
        if name and every[name] != path and name != "keras_dynamicgate":
            found.add(name)
    return found


def test_the_map_shows_every_room():
    assert sorted(FLOORS) == ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_from_lower_floors_only(room):
    wrong = []
    for path in (path for path in FILES if room_of(path) == room):
        for name in imports(path):
            other = name.split(".")[1] if name.startswith("keras_dynamicgate.") else room
            if other in FLOORS and other != room and FLOORS[other] >= FLOORS[room]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []


def test_no_module_needs_itself():
    needs = {name: imported_modules(path) for name, path in modules().items()}
    while free := [name for name, needed in needs.items() if not needed & needs.keys()]:
        for name in free:
            del needs[name]
    assert sorted(needs) == []


def test_private_names_of_keras_stand_in_one_room():
    found = [str(path.relative_to(PACKAGE)) for path in FILES if PRIVATE.search(path.read_text())]
    assert found
    assert [name for name in found if not name.startswith("graph/")] == []


def test_numba_is_imported_in_one_room():
    found = {
        str(path.relative_to(PACKAGE).parent)
        for path in FILES
        if {name.split(".")[0] for name in imports(path)} & {"numba", "llvmlite"}
    }
    assert found == {"engine/compiled"}


def test_no_file_lies_outside_the_rooms():
    assert {path.name for path in FILES if not room_of(path)} == {"__init__.py", "__main__.py"}


def test_no_room_is_too_big():
    lines = dict.fromkeys(["", *ROOMS], 0)
    for path in FILES:
        lines[room_of(path)] += len(path.read_text().splitlines())
    assert max(lines.values()) <= 0.17 * sum(lines.values()), lines
