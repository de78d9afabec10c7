import re
import shlex
import subprocess
import sys
import warnings

import keras
import pytest
from docs.pages import PAGES, ROOT, blocks, name_of
from harness import environment_of_a_user

from keras_dynamicgate import cli

BACKEND = keras.backend.backend()


def source(page):
    """Join the Python blocks of a page that can run here, each in its own lines."""
    lines = [""] * len(page.read_text().splitlines())
    for block in blocks(page):
        if block.language == "python" and block.can_run():
            text = re.sub(
                r'(os\.environ\["KERAS_BACKEND"\] = )"\w+"', rf'\1"{BACKEND}"', block.text
            )
            lines[block.line - 1 : block.line - 1 + text.count("\n")] = text.splitlines()
    return "\n".join(lines) + "\n"


def commands(page):
    """List the command lines of the package in the shell blocks of a page."""
    for block in blocks(page):
        if block.language in ("", "sh", "bash", "shell"):
            for line in block.text.replace("\\\n", "").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["keras-dynamicgate"]:
                    yield words[1:]


# `tests/distributed` runs the scripts of that page, each on its backend and in several processes.
ELSEWHERE = {"docs/distributed.md"}
WITH_PYTHON = [
    page
    for page in PAGES
    if name_of(page) not in ELSEWHERE and any(each.language == "python" for each in blocks(page))
]


def backends(page):
    """List the backends that a page needs, or the one on which its trainings take least."""
    return {name for block in blocks(page) for name in block.backends()} or {"jax"}


RUNS = [
    pytest.param(
        page,
        id=name_of(page),
        marks=pytest.mark.skipif(BACKEND not in backends(page), reason="runs on other backends"),
    )
    for page in WITH_PYTHON
]
COMMANDS = [(page, words) for page in PAGES for words in commands(page)]


@pytest.mark.parametrize("page", RUNS)
def test_python_blocks_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    text = source(page)
    if "os.environ" in text:
        shown = run_in_a_process_of_its_own(page, text)
        assert ("MACs per sample" in shown) == ("print(kdg.count_macs(" in text)
        return
    with warnings.catch_warnings():
        # What exporters say of deprecated functions and tracing is no fault of the page.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", UserWarning)
        exec(compile(text, page, "exec"), {"__name__": "__main__"})


def run_in_a_process_of_its_own(page, text):
    """Run what sets environment variables before it imports Keras; give what it shows."""
    # Compiled under the name of the page, so that an error names its line.
    program = f"exec(compile({text!r}, {str(page)!r}, 'exec'))"
    finished = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-"],
        input=program,
        capture_output=True,
        text=True,
        env=environment_of_a_user(),
    )
    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr[-4000:]
    return finished.stdout


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_first_code_block_sets_the_backend_and_prints_what_the_model_costs(page):
    code = next(block.text for block in blocks(ROOT / page) if block.language == "python")
    assert 'os.environ["KERAS_BACKEND"] = "tensorflow"' in code
    assert "print(kdg.count_macs(" in code


def test_every_block_says_its_language_or_is_a_shell_block():
    known = {"python", "", "sh", "bash", "shell", "json", "text", "yaml"}
    unknown = [(name_of(p), b.line, b.language) for p in PAGES for b in blocks(p)]
    assert [each for each in unknown if each[2] not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_fence_is_a_block_that_is_found(page):
    fences = re.findall(r"^\s*(?:```|~~~)", page.read_text(), re.MULTILINE)
    assert len(fences) == 2 * len(blocks(page))


def exit_code(words):
    """Parse a command line without running it and give what the shell would get."""
    try:
        cli._parser().parse_args(words)
    except SystemExit as finished:
        return finished.code
    return 0


@pytest.mark.parametrize(
    ("page", "words"), COMMANDS, ids=[f"{name_of(p)}:{' '.join(w)}" for p, w in COMMANDS]
)
def test_command_line_in_a_page_is_understood(page, words):
    assert exit_code(words) == 0
