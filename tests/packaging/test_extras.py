import pathlib
import re
import shlex
import tomllib

import pytest

from keras_dynamicgate.utils.extras import EXTRAS, install_command

ROOT = pathlib.Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DECLARED = PROJECT["optional-dependencies"]
TOOLS = {"dev", "docs"}


def names(requirements):
    return {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}


def test_table_of_extras_says_what_the_project_declares():
    declared = {name: names(DECLARED[name]) for name in DECLARED.keys() - TOOLS - {"examples"}}
    assert {name: set(brought.values()) for name, brought in EXTRAS.items()} == declared


def test_examples_has_all_that_is_not_a_backend():
    (everything,) = DECLARED["examples"]
    extras = re.fullmatch(rf"{PROJECT['name']}\[(.*)\]", everything)[1].split(",")
    brought = {package for extra in extras for package in EXTRAS[extra]}
    assert brought >= {package for extra in EXTRAS for package in EXTRAS[extra]} - {
        "tensorflow",
        "jax",
        "torch",
    }


def test_extras_are_listed_from_small_to_large():
    sizes = [len(brought) for extra, brought in EXTRAS.items() if extra != "demo"]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("matplotlib", "plots"),
        ("numba", "engine"),
        ("sklearn.datasets", "demo"),
        ("PIL.Image", "vision"),
        ("tensorflow_datasets", "vision"),
        ("soundfile", "audio"),
        ("scanpy", "cells"),
        ("tensorflow", "tensorflow"),
    ],
)
def test_command_names_the_smallest_extra_and_is_one_word_for_a_shell(module, extra):
    assert shlex.split(install_command(module)) == ["pip", "install", f"keras-dynamicgate[{extra}]"]
    assert '"keras-dynamicgate[' in install_command(module)


def test_preferred_extra_is_named_only_if_it_has_the_package():
    assert "[audio]" in install_command("tensorflow_datasets", "audio")
    assert "[vision]" in install_command("PIL", "audio")


def test_command_for_a_package_of_no_extra_installs_the_package():
    assert install_command("requests") == 'pip install "requests"'


def test_extras_that_the_package_and_its_pages_name_exist():
    paths = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("keras_dynamicgate/**/*.py")]
    paths += [*ROOT.glob("examples/**/*.py"), ROOT / "Makefile"]
    for path in paths:
        for extras in re.findall(r"keras-dynamicgate\[([\w,]+)\]", path.read_text()):
            assert set(extras.split(",")) <= DECLARED.keys(), path
