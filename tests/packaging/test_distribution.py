import os
import pathlib
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_bytes

import pytest

import keras_dynamicgate as kdg

pytestmark = pytest.mark.one_backend("torch")
pytest.importorskip("build")
pytest.importorskip("twine")

ROOT = pathlib.Path(__file__).parents[2]
NAME = f"keras_dynamicgate-{kdg.__version__}"
WHEEL_LIMIT, SDIST_LIMIT = 600_000, 2_000_000  # bytes; half of the sdist are golden files


def run(*command, **arguments):
    finished = subprocess.run(command, capture_output=True, text=True, **arguments)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with an sdist, and a wheel that was built from it, without the network."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def sdist(folder):
    return folder / f"{NAME}.tar.gz"


@pytest.fixture(scope="module")
def wheel(folder):
    return folder / f"{NAME}-py3-none-any.whl"


def files_in(folder):
    """List the files of a folder of the checkout, without what running leaves behind."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name[0] != "."
    }


def test_there_is_one_small_pure_wheel_and_one_small_sdist(folder, sdist, wheel):
    assert sorted(folder.glob("*.*")) == sorted([sdist, wheel])
    assert sdist.stat().st_size < SDIST_LIMIT
    assert wheel.stat().st_size < WHEEL_LIMIT


def test_wheel_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    metadata = {name for name in names if name.startswith(f"{NAME}.dist-info/")}
    assert names - metadata == files_in("keras_dynamicgate")
    assert "keras_dynamicgate/py.typed" in names
    assert f"{NAME}.dist-info/licenses/LICENSE" in metadata


def test_sdist_holds_what_it_takes_to_build_and_test(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.removeprefix(f"{NAME}/") for name in archive.getnames()}
    for part in ("keras_dynamicgate", "tests", "examples", "docs"):
        assert files_in(part) <= names
    assert {"pyproject.toml", "Makefile", "constraints.txt", "README.md", "LICENSE"} <= names
    assert not [
        name for name in names if name.startswith(("runs", "site", "dist", ".venv", ".git/"))
    ]


def test_metadata_passes_the_checks_of_the_index(sdist, wheel):
    output = run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
    assert output.count("PASSED") == 2


def test_metadata_names_licence_readme_and_addresses(wheel):
    with zipfile.ZipFile(wheel) as archive:
        metadata = message_from_bytes(archive.read(f"{NAME}.dist-info/METADATA"))
    assert metadata["Version"] == kdg.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    addresses = {address.split(", ")[0] for address in metadata.get_all("Project-URL")}
    assert addresses == {"Homepage", "Documentation", "Repository", "Changelog", "Issues"}


def test_wheel_works_without_the_checkout(wheel, tmp_path):
    """The new environment shares the dependencies of this one, but not its keras_dynamicgate."""
    pytest.importorskip("pip")
    environment = tmp_path / "environment"
    venv.create(environment)
    python = environment / "bin" / "python"
    # Paths in a .pth file come after the environment's own, and .pth files there are not read:
    # neither an installed nor an editable keras_dynamicgate can get in front.
    places = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    own = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    pathlib.Path(own, "dependencies.pth").write_text("\n".join(places) + "\n")
    install = ("install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "--python", python, *install, wheel)

    settings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    smoke = run(python, "-I", ROOT / "tests/packaging/smoke.py", cwd=tmp_path, env=settings)
    assert f"keras-dynamicgate {kdg.__version__} works in {environment}" in smoke
    command = environment / "bin" / "keras-dynamicgate"
    assert "usage: keras-dynamicgate" in run(command, "--help", cwd=tmp_path, env=settings)
