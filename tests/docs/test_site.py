"""The built site, as files and in a real browser: what is seen, what is found, what is loaded."""

import functools
import http.server
import json
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import threading

import pytest
from docs.pages import API

import keras_dynamicgate
from keras_dynamicgate.gating import arguments

pytestmark = pytest.mark.one_backend("torch")

ROOT = pathlib.Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LIGHT, DARK = "default", "slate"
PHONE, LAPTOP = 390, 1366
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
      cut: [...inside.querySelectorAll(".md-typeset__scrollwrap")].map(
        (wrap, number) => wrap.scrollWidth > wrap.clientWidth ? number : -1).filter(n => n >= 0),
      elsewhere: frame.contentWindow.performance.getEntriesByType("resource").map(r => r.name)
        .filter(name => !name.startsWith(location.origin) && !name.startsWith("data:")),
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


def pages(folder):
    """Give the pages of the site by name."""
    names = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))
    return {f"{name}.html": (folder / f"{name}.html").read_text() for name in names}


def test_pages_load_nothing_from_elsewhere(site):
    folder, _ = site
    loads = re.compile(
        r"<(?:script|img|iframe|source|link)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//"
    )
    for name, text in pages(folder).items():
        assert loads.findall(text) == [], name
        # The theme's script asks GitHub for numbers where it finds this.
        assert 'data-md-component="source"' not in text, name
    for path in (folder / "assets").rglob("*.css"):
        assert not re.search(r"url\(.?(https?:)?//", path.read_text()), path


def test_header_has_the_mark_the_repository_and_the_version(site):
    folder, _ = site
    for name, text in pages(folder).items():
        header = re.search(r"<header.*?</header>", text, re.DOTALL)[0]
        assert 'src="assets/mark.svg"' in header, name
        assert 'href="https://github.com/keras-dynamicgate/keras-dynamicgate"' in header, name
        assert f">{keras_dynamicgate.__version__}</span>" in header, name


def test_formulas_are_mathml(site):
    folder, _ = site
    for name, text in pages(folder).items():
        source = (ROOT / "docs" / name).with_suffix(".md").read_text()
        source = re.sub(r"```.*?```", "", source, flags=re.DOTALL)  # where $ names a variable
        count = len(re.findall(r"(?<!\$)\$[^$\n]+\$", source))
        assert text.count("<math ") >= count, name
        assert "arithmatex" not in text, name
    assert pages(folder)["how.html"].count("<math ") > 10


def test_pictures_that_are_drawn_are_in_their_pages_and_stand_still_on_request(site):
    folder, _ = site
    assert pages(folder)["index.html"].count('class="drawing"') == 1
    how = pages(folder)["how.html"]
    assert how.count('class="drawing"') == 1
    moves = how.partition("@media (prefers-reduced-motion: no-preference)")
    assert "animation:" not in moves[0]
    assert "infinite" not in moves[2].partition("</style>")[0]


def test_every_public_name_has_an_entry_that_the_search_prefers(site):
    folder, _ = site
    entries = json.loads((folder / "search" / "search_index.json").read_text())["docs"]
    boosts = {each["location"]: each.get("boost", 1) for each in entries}
    names = {f"api.html#{name}" for name in API.findall((ROOT / "docs" / "api.md").read_text())}
    least = min(boosts[name] for name in names)
    assert least > max(boost for name, boost in boosts.items() if name not in names)


@pytest.mark.parametrize("layer", ["DynamicGate", "DynamicGateDense", "DynamicGateConv2D"])
def test_reference_shows_the_arguments_of_gates_at_each_layer(site, layer):
    page = (site[0] / "api.html").read_text()
    entry = page[page.index(f'id="keras_dynamicgate.{layer}"') :]
    entry = entry[: entry.index("Raises:")]
    for name in arguments.DEFAULTS:
        assert entry.count(f"<code>{name}</code>") == 1, name


@pytest.mark.parametrize("word", ["FLOPs", "lambda", "load_model", "pruning", "experts", "dropout"])
def test_glossary_has_a_heading_for_a_word_of_others(site, word):
    folder, _ = site
    entries = json.loads((folder / "search" / "search_index.json").read_text())["docs"]
    titles = [each["title"] for each in entries if each["location"].startswith("glossary.html#")]
    assert [title for title in titles if word.lower() in title.lower()]


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
@pytest.mark.parametrize("width", [PHONE, LAPTOP])
def test_no_page_scrolls_sideways_and_no_image_is_broken(site, browser, width, scheme, tmp_path):
    folder, server = site
    names = list(pages(folder))
    visit = VISIT.replace("PAGES", json.dumps(names)).replace("WIDTH", str(width))
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
    assert [each["page"] for each in seen] == names
    assert len(names) > 12
    assert [each for each in seen if each["scheme"] != scheme] == []
    assert [each for each in seen if each["too_wide"] > 0 or each["broken"]] == []
    tables = {each["page"]: each["cut"] for each in seen}
    if width == LAPTOP:
        assert {page: cut for page, cut in tables.items() if cut} == {}
    else:
        assert 0 not in tables["index.html"] + tables["results.html"]
    assert [each for each in seen if each["elsewhere"]] == []
