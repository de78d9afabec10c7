"""The built site in a real browser: nothing scrolls sideways and no picture is broken."""

import functools
import http.server
import json
import pathlib
import queue
import shutil
import subprocess
import sys
import threading

import keras
import pytest

ROOT = pathlib.Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LIGHT, DARK = "default", "slate"
PATIENCE = 120  # seconds, for all pages

# Opens each page in a frame of the given width and posts what it saw.
VISIT = """<!doctype html><meta charset="utf-8"><body><script>
const pages = PAGES, seen = [];
localStorage.setItem("/.__palette", JSON.stringify({index: INDEX, color: {
  media: "", scheme: "SCHEME", primary: "indigo", accent: "indigo"}}));
const frame = document.createElement("iframe");
frame.style.cssText = "width: WIDTHpx; height: 800px";
document.body.append(frame);
(async () => {
  for (const page of pages) {
    await new Promise(done => { frame.onload = done; frame.src = page; });
    const inside = frame.contentDocument;
    const root = inside.documentElement;
    seen.push({
      page,
      scheme: inside.body.dataset.mdColorScheme,
      too_wide: root.scrollWidth - root.clientWidth,
      broken: [...inside.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src),
    });
  }
  await fetch("/seen", {method: "POST", body: JSON.stringify(seen)});
})();
</script>"""


@pytest.fixture(scope="module")
def browser():
    found = [path for name in BROWSERS if (path := shutil.which(name))]
    if not found:
        pytest.skip(f"none of the browsers {', '.join(BROWSERS)} is installed")
    return found[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site and serve it; give its folder and address."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the site is the same on every backend; it is built with tensorflow")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", folder]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Handler, directory=folder)
    )
    server.posted = queue.Queue()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, server
    server.shutdown()
    server.server_close()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        self.server.posted.put(json.loads(body))

    def log_message(self, *arguments):
        pass


def test_site_builds_without_a_warning(site):
    folder, _ = site
    assert (folder / "index.html").exists()


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_scrolls_sideways_and_no_image_is_broken(site, browser, width, scheme, tmp_path):
    folder, server = site
    pages = sorted(path.name for path in folder.glob("*.html") if path.name != "404.html")
    pages = [name for name in pages if not name.startswith("visit")]
    visit = VISIT.replace("PAGES", json.dumps(pages)).replace("WIDTH", str(width))
    visit = visit.replace("SCHEME", scheme).replace("INDEX", str((LIGHT, DARK).index(scheme)))
    (folder / f"visit-{width}-{scheme}.html").write_text(visit)
    address = f"http://127.0.0.1:{server.server_port}/visit-{width}-{scheme}.html"
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    process = subprocess.Popen([browser, *options, address], stderr=subprocess.DEVNULL)
    try:
        seen = server.posted.get(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert [each["page"] for each in seen] == pages
    assert len(pages) > 12
    assert [each for each in seen if each["scheme"] != scheme] == []
    assert [each for each in seen if each["too_wide"] > 0 or each["broken"]] == []
