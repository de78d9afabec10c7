import hashlib
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from keras_dynamicgate.datasets.reading import download as downloads
from keras_dynamicgate.datasets.reading.download import cache_folder, download

pytestmark = pytest.mark.one_backend("torch")

CONTENT = bytes(range(256)) * 2000
CHECKSUM = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


class Handler(BaseHTTPRequestHandler):
    """Serves `CONTENT`; what goes wrong is in the path."""

    requests: list[str] = []
    gone = threading.Event()

    def do_GET(self):
        self.requests.append(self.path)
        if self.path == "/silent":
            Handler.gone.wait(10)
            return
        refused = self.headers["User-Agent"].startswith("Python-urllib")
        self.send_response(404 if self.path == "/missing" else 403 if refused else 200)
        if self.path != "/unannounced":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:1000] if self.path == "/cut" else CONTENT)

    def log_message(self, *args):
        pass


@pytest.fixture
def url():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    Handler.requests.clear()
    Handler.gone.clear()
    yield f"http://127.0.0.1:{server.server_port}"
    Handler.gone.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("path", "size"), [("/whole", len(CONTENT)), ("/unannounced", "Unknown")])
def test_a_file_is_downloaded_once_with_a_progress_bar(url, path, size, tmp_path, capsys):
    target = tmp_path / "file"
    for _ in range(2):
        download(url + path, target, checksum=CHECKSUM)
    assert target.read_bytes() == CONTENT
    assert Handler.requests == [path]
    assert f"/{size}" in capsys.readouterr().out


def test_a_file_url_works_too(tmp_path):
    (tmp_path / "origin").write_bytes(CONTENT)
    download((tmp_path / "origin").as_uri(), tmp_path / "file", checksum=CHECKSUM)
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "arguments", "error", "message"),
    [
        ("/whole", {"checksum": "md5:00"}, ValueError, "md5 checksum 00. Received: [0-9a-f]{32}"),
        ("/whole", {"checksum": "sha256:00"}, ValueError, "sha256 checksum 00. Received: "),
        ("/cut", {"checksum": CHECKSUM}, ValueError, "Received: [0-9a-f]{32} of 1000 bytes"),
        ("/missing", {"checksum": CHECKSUM}, OSError, "404.*name its folder with `data_dir`"),
    ],
)
def test_a_wrong_download_names_its_address_and_leaves_nothing(
    url, path, arguments, error, message, tmp_path
):
    with pytest.raises(error, match=f"{url}{path}.*{message}"):
        download(url + path, tmp_path / "file", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_server_says_what_to_do(tmp_path):
    with pytest.raises(OSError, match="Could not download http://127.0.0.1:1/.*`data_dir`"):
        download("http://127.0.0.1:1/", tmp_path / "file", checksum=CHECKSUM)


def test_a_download_that_was_cut_starts_again_cleanly(url, tmp_path):
    with pytest.raises(ValueError, match="of 1000 bytes"):
        download(f"{url}/cut", tmp_path / "file", checksum=CHECKSUM)
    download(f"{url}/whole", tmp_path / "file", checksum=CHECKSUM)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_download_that_was_killed_starts_again_cleanly(url, tmp_path):
    # What a process leaves that has no time to clear up.
    (tmp_path / ".file.1.part").write_bytes(CONTENT[:1000])
    download(f"{url}/whole", tmp_path / "file", checksum=CHECKSUM)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_server_that_says_nothing_is_not_waited_for_without_end(url, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_TIMEOUT", 0.1)
    with pytest.raises(OSError, match=f"Could not download {url}/silent: .*timed out"):
        download(f"{url}/silent", tmp_path / "file", checksum=CHECKSUM)
    assert list(tmp_path.iterdir()) == []


def test_old_leftovers_go_also_when_the_file_is_there(tmp_path):
    path, old, young = (tmp_path / name for name in ("file", ".file.1.part", ".file.2.part"))
    for file in (path, old, young):
        file.touch()
    os.utime(old, (time.time() - 90_000,) * 2)
    download("http://127.0.0.1:1/", path, checksum=CHECKSUM)
    assert sorted(tmp_path.iterdir()) == sorted([path, young])


def test_the_cache_lies_in_keras_own_folder_unless_named(keras_home, tmp_path):
    assert cache_folder(None, "mnist") == keras_home / "datasets" / "keras_dynamicgate" / "mnist"
    assert cache_folder(tmp_path / "mine", "mnist") == tmp_path / "mine" / "mnist"
    assert (tmp_path / "mine" / "mnist").is_dir()
