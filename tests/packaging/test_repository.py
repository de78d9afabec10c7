import pathlib
import re
import tomllib

import pytest

import keras_dynamicgate as kdg
from keras_dynamicgate.utils.extras import EXTRAS

yaml = pytest.importorskip("yaml")

ROOT = pathlib.Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BACKENDS = ["tensorflow", "jax", "torch"]


def load(*path):
    return yaml.safe_load(ROOT.joinpath(*path).read_text())


def workflow(name):
    return load(".github", "workflows", f"{name}.yml")


def bounds(requirements):
    """Give the lower bound of each requirement as a version of three numbers."""
    pairs = (requirement.split(">=") for requirement in requirements)
    return {name: version + ".0" * (2 - version.count(".")) for name, version in pairs}


def steps():
    """Give the steps of all workflows."""
    jobs = (job for path in WORKFLOWS for job in load(path)["jobs"].values())
    return [step for job in jobs for step in job["steps"]]


def test_suite_runs_on_the_python_versions_of_the_classifiers():
    heads = "Programming Language :: Python :: 3."
    classified = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if c.startswith(heads)]
    matrix = workflow("tests")["jobs"]["suite"]["strategy"]["matrix"]
    assert matrix["python"] == classified
    assert PROJECT["requires-python"] == f">={classified[0]}"


def test_suite_and_installation_run_on_every_backend():
    jobs = workflow("tests")["jobs"]
    for job in ("suite", "install"):
        assert jobs[job]["strategy"]["matrix"]["backend"] == BACKENDS


def test_suite_runs_with_the_lowest_keras_on_every_backend_and_the_first_python():
    matrix = workflow("tests")["jobs"]["suite"]["strategy"]["matrix"]
    lowest = f"keras=={bounds(PROJECT['dependencies'])['keras']}"
    expected = [
        {"backend": name, "python": matrix["python"][0], "versions": "lowest", "keras": lowest}
        for name in BACKENDS
    ]
    assert matrix["include"] == expected


def test_lowest_versions_are_those_that_the_project_allows():
    extras = PROJECT["optional-dependencies"]
    requirements = [*PROJECT["dependencies"], *(r for name in EXTRAS for r in extras[name])]
    lines = (ROOT / ".github" / "lowest.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    assert pinned == bounds(requirements)


def test_targets_and_files_that_workflows_name_exist():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    commands = "\n".join(step.get("run", "") for step in steps())
    assert set(re.findall(r"\bmake ([\w-]+)", commands)) <= set(targets)
    for name in re.findall(r"[\w/.-]+\.py\b", commands):
        assert (ROOT / name).is_file(), name
    for module in re.findall(r"python -m (\w+)", commands):
        assert module in ("venv", *bounds(PROJECT["optional-dependencies"]["dev"])), module
    for step in steps():
        for name in step.get("with", {}).get("cache-dependency-path", "").split():
            assert (ROOT / name).is_file(), name


def test_notebooks_that_the_workflow_executes_are_all_there_are():
    matrix = workflow("notebooks")["jobs"]["execute"]["strategy"]["matrix"]
    every = {path.stem for path in (ROOT / "examples" / "notebooks").glob("*.ipynb")}
    assert set(re.findall(r'"(\w+)"', matrix["notebook"])) == every


def test_actions_are_pinned_to_a_major_version():
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used
    for action in used:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@(v\d+|release/v\d+)", action), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_reads_only_unless_a_job_needs_more_and_ends_by_itself(path):
    content = load(path)
    assert content["permissions"] == {"contents": "read"}
    assert "group" in content["concurrency"]
    for name, job in content["jobs"].items():
        assert "timeout-minutes" in job, name
        if name not in ("deploy", "publish", "build"):
            assert "permissions" not in job, name


def test_release_publishes_by_trust_from_its_environment():
    publish = workflow("release")["jobs"]["publish"]
    assert publish["environment"]["name"] == "pypi"
    assert publish["permissions"] == {"id-token": "write"}


def test_linter_of_the_hooks_is_the_pinned_one():
    pinned = re.search(r"^ruff==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]
    hooks = {
        repository["repo"]: repository for repository in load(".pre-commit-config.yaml")["repos"]
    }
    assert hooks["https://github.com/astral-sh/ruff-pre-commit"]["rev"] == f"v{pinned}"


def test_constraints_pin_every_tool_of_the_extras():
    lines = (ROOT / "constraints.txt").read_text().lower().replace("_", "-").splitlines()
    pinned = {line.split("==")[0] for line in lines}
    for extra, requirements in PROJECT["optional-dependencies"].items():
        names = {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}
        assert names - {PROJECT["name"]} <= pinned, extra


def test_citation_names_the_version_the_licence_and_the_paper():
    citation = load("CITATION.cff")
    assert citation["version"] == kdg.__version__
    assert citation["license"] == PROJECT["license"]
    (paper,) = citation["references"]
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert paper["title"].removeprefix("DynamicGate-MLP: ") in readme
    assert paper["url"] in readme


@pytest.mark.parametrize("name", ["bug_report", "feature_request"])
def test_issue_form_has_fields_with_labels_of_their_own(name):
    form = load(".github", "ISSUE_TEMPLATE", f"{name}.yml")
    assert {"name", "description", "body"} <= form.keys()
    labels = [field["attributes"]["label"] for field in form["body"]]
    assert len(set(labels)) == len(labels)
