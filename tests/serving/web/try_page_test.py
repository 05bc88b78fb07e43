"""Tests of the page that tries a model, in a browser too."""

import base64
import hashlib
import html
import io
import json
import re
import shutil
import subprocess
import threading
import time
import urllib.request

import numpy as np
import pytest
from PIL import Image

from tf_finetune.serving.web import responses
from tf_finetune.serving.web import server as web_server

_BROWSER = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
    "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # A constant of WebDriver.


def test_the_page_names_nothing_outside_of_itself():
    text = web_server.render_page("m").body.decode()
    assert not re.findall(r"(?:https?:)?//[\w.]+\.\w+", text)
    assert not re.findall(r"\bsrc\s*=\s*[\"']|@import|url\(", text)


def test_the_policy_allows_the_pages_own_script_and_style_alone():
    response = web_server.render_page("m")
    policy = response.headers["Content-Security-Policy"]
    text = response.body.decode()
    for tag in ("script", "style"):
        content = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1]
        digest = hashlib.sha256(content.encode()).digest()
        assert f"sha256-{base64.b64encode(digest).decode()}" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_the_models_name_is_text_not_markup():
    text = web_server.render_page("a<b>").body.decode()
    assert "<b>" not in text
    assert 'content="a&lt;b&gt;"' in text


def test_the_columns_of_rows_are_text_not_markup():
    columns = {"image_bytes": ['<b>"MODEL_NAME']}
    text = web_server.render_page("m", columns).body.decode()
    content = re.search(r'name="columns" content="(.*?)"', text)[1]
    assert "<b>" not in text
    assert json.loads(html.unescape(content)) == columns


class Browser:
    """What a person does with a page, through WebDriver."""

    def __init__(self, driver: str, profile: str, width: int, dark: bool):
        self._driver = driver
        size = f"--window-size={width},800"
        arguments = [*_BROWSER, f"--user-data-dir={profile}", size]
        if dark:
            arguments.append("--blink-settings=preferredColorScheme=0")
        options = {"args": arguments, "binary": shutil.which("chromium")}
        answer = self._ask(
            "/session",
            {"capabilities": {"alwaysMatch": {
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL"},
            }}},
        )  # fmt: skip
        self._session = f"/session/{answer['sessionId']}"

    def _ask(self, path, document=None, method=None):
        request = urllib.request.Request(
            self._driver + path,
            data=None if document is None else json.dumps(document).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["value"]

    def open(self, address):
        self._ask(f"{self._session}/url", {"url": address})

    def run(self, script):
        """Returns what a script in the page returns."""
        document = {"script": f"return {script}", "args": []}
        return self._ask(f"{self._session}/execute/sync", document)

    def choose(self, path, field="#file"):
        """Gives the page a file."""
        self.type(str(path), field)

    def type(self, text, field):
        """Types into a field, the first that the selector finds."""
        self._ask(f"{self._element(field)}/value", {"text": text})

    def click(self, field):
        """Clicks on what the selector finds."""
        self._ask(f"{self._element(field)}/click", {})

    def _element(self, selector):
        wanted = {"using": "css selector", "value": selector}
        found = self._ask(f"{self._session}/element", wanted)
        return f"{self._session}/element/{found[_ELEMENT]}"

    def until(self, script):
        """Waits for a script to return something true; returns it."""
        end = time.monotonic() + 30
        while not (value := self.run(script)):
            assert time.monotonic() < end, self.text()
            time.sleep(0.05)
        return value

    def text(self):
        return self.run("document.body.innerText")

    def complaints(self):
        """Returns what the browser's console says."""
        log = {"type": "browser"}
        return [e["message"] for e in self._ask(f"{self._session}/se/log", log)]

    def screenshot(self, path):
        content = self._ask(f"{self._session}/screenshot")
        path.write_bytes(base64.b64decode(content))

    def quit(self):
        self._ask(self._session, method="DELETE")


@pytest.fixture(scope="module")
def driver():
    """The address of a running driver; skips where there is no browser."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no chromium and chromedriver on the path")
    process = subprocess.Popen(
        ["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True
    )
    try:
        for line in process.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                break
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield f"http://127.0.0.1:{found[1]}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def browse(driver, tmp_path):
    """A function that opens a browser; all are closed at the end."""
    opened = []

    def start(width=1000, dark=False):
        profile = str(tmp_path / f"profile{len(opened)}")
        opened.append(Browser(driver, profile, width, dark))
        return opened[-1]

    yield start
    for browser in opened:
        browser.quit()


@pytest.fixture
def pictures(tmp_path):
    """A picture and a file that is none, though it is called so."""
    good, bad = tmp_path / "green.png", tmp_path / "broken.png"
    Image.new("RGB", (60, 40), "green").save(good)
    bad.write_bytes(b"this is text")
    return good, bad


@pytest.fixture
def server(start_http):
    """The address of a page and of a model that knows two pictures."""

    def answer(method, path, body):
        if path == "/":
            return web_server.render_page("garden")
        if path == "/labels":
            return responses.write_json(["ants", "<b>bees</b>", "wasps"])
        if method == "GET":
            version = [{"version": "7", "state": "AVAILABLE"}]
            return responses.write_json({"model_version_status": version})
        content = json.loads(body)["instances"][0]["b64"]
        picture = base64.b64decode(content)
        if picture.startswith(b"\x89PNG"):
            row = {"probabilities": [0.125, 0.75, 0.125], "error": ""}
        elif picture.startswith(b"this"):
            row = {"probabilities": [0, 0, 0], "error": "That is no picture."}
        else:
            return responses.write_error(400, "Refused by the model.")
        return responses.write_json({"predictions": [row]})

    return start_http(answer)[1].address


@pytest.fixture
def answering(start_http):
    """A function: labels and a prediction → the address of such a model.

    By a name its predictions can be told that of another signature.
    """

    def start(labels, prediction, **others):
        version = [{"version": "7", "state": "AVAILABLE"}]
        signatures = {
            name: {
                "inputs": {"image_bytes": {}},
                "outputs": {key: {} for key in each},
            }
            for name, each in (("serving_default", prediction), *others.items())
        }
        answers = {
            "/labels": labels,
            "/v1/models/garden": {"model_version_status": version},
            "/v1/models/garden/metadata": {
                "metadata": {"signature_def": {"signature_def": signatures}}
            },
        }

        def answer(method, path, body):
            if path == "/":
                return web_server.render_page("garden")
            if path.endswith(":predict"):
                name = json.loads(body)["signature_name"]
                row = {"serving_default": prediction, **others}[name]
                return responses.write_json({"predictions": [row]})
            return responses.write_json(answers[path])

        return start_http(answer)[1].address

    return start


def _shown(browser):
    browser.until("document.querySelectorAll('li').length == 3")
    return browser.run(
        "[...document.querySelectorAll('li')].map(li => [...li.querySelectorAll"
        "('.name, .share')].map(e => e.textContent).concat("
        "li.querySelector('.bar').style.width))"
    )


def test_a_chosen_picture_is_shown_with_labels_and_bars(
    browse, server, pictures, tmp_path
):
    browser = browse()
    browser.open(server)
    browser.choose(pictures[0])
    assert _shown(browser) == [
        ["<b>bees</b>", "75.0 %", "75%"],
        ["ants", "12.5 %", "12.5%"],
        ["wasps", "12.5 %", "12.5%"],
    ]
    width = "document.getElementById('preview').naturalWidth"
    assert browser.until(width) == 60
    assert "version 7" in browser.text()
    assert browser.complaints() == []
    browser.screenshot(tmp_path / "page.png")


_MASK = [[0, 0, 2], [0, 2, 2]]


def _filled_up():
    mask = [[*row, 255] for row in _MASK] + [[255] * 4]
    return {"masks": mask, "sizes": [2, 3], "error": ""}


def _png():
    stream = io.BytesIO()
    Image.fromarray(np.array(_MASK, "uint8")).save(stream, "png")
    content = base64.b64encode(stream.getvalue()).decode()
    return {"masks_bytes": {"b64": content}, "shares": [0.5, 0, 0.5],
            "error": ""}  # fmt: skip


@pytest.mark.parametrize(
    "others", [{}, {"serve_png": _png()}], ids=["numbers", "png"]
)
def test_a_mask_lies_over_the_picture_in_the_colors_of_its_classes(
    browse, answering, pictures, tmp_path, others
):
    # Where there is a small answer, the large one is not asked for.
    default = (
        {"error": "", "masks": [], "sizes": []} if others else _filled_up()
    )
    labels = ["ground", "unseen", "ink"]
    browser = browse()
    browser.open(answering(labels, default, **others))
    browser.choose(pictures[0])
    browser.until("document.querySelectorAll('li').length == 2")
    names = "[...document.querySelectorAll('.name')].map(e => e.textContent)"
    assert browser.run(names) == ["ground", "ink"]
    canvas = "document.getElementById('mask')"
    painted = f"[...{canvas}.getContext('2d').getImageData(1, 0, 2, 1).data]"
    found = browser.run(painted)
    first, last = (
        f"rgb({', '.join(map(str, pixel))})"
        for pixel in (found[:3], found[4:7])
    )
    bars = "[...document.querySelectorAll('.bar')].map(e => e.style.background)"
    assert browser.run(bars) == [first, last] and first != last
    browser.until("document.getElementById('preview').naturalWidth")
    for side in ("width", "height"):
        pair = ("mask", "preview")
        assert browser.run(
            f"{json.dumps(pair)}.map(id => document.getElementById(id)"
            f".getBoundingClientRect().{side}).every((e, _, all) => "
            "e > 0 && e == all[0])"
        )
    assert browser.complaints() == []
    browser.screenshot(tmp_path / "mask.png")


def test_numbers_and_given_labels_are_shown_as_such(
    browse, answering, pictures
):
    browser = browse()
    browser.open(answering(["price"], {"values": [123456.789], "error": ""}))
    browser.choose(pictures[0])
    browser.until("document.querySelectorAll('li').length == 1")
    assert "price" in browser.text() and "123457" in browser.text()
    assert not browser.run("document.querySelectorAll('.bar').length")
    said = {"probabilities": [0.4, 0.9, 0.3], "given": [True, True, False]}
    browser.open(answering(["a", "b", "c"], {**said, "error": ""}))
    browser.choose(pictures[0])
    browser.until("document.querySelectorAll('li').length == 3")
    leading = (
        "[...document.querySelectorAll('.leading .name')]"
        ".map(e => e.textContent)"
    )
    assert browser.run(leading) == ["b", "a"]


def test_a_dropped_picture_is_answered_too(browse, server, pictures):
    browser = browse()
    browser.open(server)
    content = base64.b64encode(pictures[0].read_bytes()).decode()
    browser.run(
        "(() => { const files = new DataTransfer();"
        f" const bytes = Uint8Array.from(atob('{content}'), "
        "c => c.charCodeAt(0));"
        " files.items.add(new File([bytes], 'x.png', {type: 'image/png'}));"
        " document.getElementById('drop').dispatchEvent(new DragEvent('drop',"
        " {dataTransfer: files, bubbles: true, cancelable: true}));"
        " return true; })()"
    )
    assert _shown(browser)[0][0] == "<b>bees</b>"


def test_a_bad_picture_is_answered_in_words_and_a_good_one_after_it(
    browse, server, pictures, tmp_path
):
    other = tmp_path / "other.gif"
    other.write_bytes(b"GIF89a")
    browser = browse()
    browser.open(server)
    message = "document.querySelector('#message.bad')?.textContent"
    browser.choose(pictures[1])
    assert browser.until(message) == "That is no picture."
    assert browser.run("document.querySelectorAll('li').length") == 0
    browser.choose(other)
    browser.until(f"{message} == 'Refused by the model.'")
    browser.choose(pictures[0])
    assert len(_shown(browser)) == 3
    assert not browser.run(message)


@pytest.mark.parametrize("width", [500, 1000])
def test_the_page_fits_a_narrow_screen(browse, server, pictures, width):
    browser = browse(width=width)
    browser.open(server)
    browser.choose(pictures[0])
    _shown(browser)
    across = "document.documentElement.scrollWidth - innerWidth"
    assert browser.run(across) <= 0


def test_the_page_is_dark_where_the_screen_is(browse, server):
    color = "getComputedStyle(document.body).backgroundColor"
    for dark, expected in ((False, "rgb(246, 247, 249)"),
                           (True, "rgb(20, 23, 27)")):  # fmt: skip
        browser = browse(dark=dark)
        browser.open(server)
        assert browser.run(color) == expected


_COLUMNS = {
    "image_bytes": ["front", "<b>back</b>"],
    "numbers": ["sold", "area", "rooms"],
    "words": ["place"],
    "values": ["price"],
}


@pytest.fixture
def houses(start_http):
    """The address of a model of rows, and the bodies it was sent."""
    bodies = []

    def answer(method, path, body):
        if path == "/":
            return web_server.render_page("houses", _COLUMNS)
        if path == "/labels":
            return responses.write_json(["price"])
        if path == "/v1/models/houses":
            version = [{"version": "7", "state": "AVAILABLE"}]
            return responses.write_json({"model_version_status": version})
        if path == "/v1/models/houses/metadata":
            signatures = {"signature_def": {"signature_def": {}}}
            return responses.write_json({"metadata": signatures})
        bodies.append(body)
        bad = b'"words": [""]' in body
        row = {"values": [123.5], "error": "back: no picture" if bad else ""}
        return responses.write_json({"predictions": [row]})

    return start_http(answer)[1].address, bodies


def test_a_row_is_filled_in_by_its_columns_and_answered(
    browse, houses, pictures, tmp_path
):
    address, bodies = houses
    browser = browse(width=500)
    browser.open(address)
    names = "[...document.querySelectorAll('#row label')].map(e => e.innerText)"
    assert [each.strip() for each in browser.run(names)] == [
        *_COLUMNS["image_bytes"], *_COLUMNS["numbers"], *_COLUMNS["words"],
    ]  # fmt: skip
    assert not browser.run("document.getElementById('drop').checkVisibility()")
    browser.click("#row button")  # Pictures are required.
    for place, path in enumerate(pictures, 1):
        browser.choose(path, f"#row label:nth-of-type({place}) input")
    browser.type("20240131", "#row label:nth-of-type(3) input")
    browser.type("-0.5", "#row label:nth-of-type(4) input")
    browser.type(" 94501 ", "#row label:nth-of-type(6) input")
    browser.until("document.querySelector('#row img').naturalWidth == 60")
    browser.click("#row button")
    browser.until("document.querySelectorAll('li').length == 1")
    assert "price" in browser.text() and "123.5" in browser.text()
    (body,) = bodies
    # Whole numbers beyond 2 ** 24 are no float32 without their point.
    assert b"[20240131.0, -0.5, NaN]" in body
    (row,) = json.loads(body)["instances"]
    assert row["words"] == ["94501"]
    sent = [base64.b64decode(each["b64"]) for each in row["image_bytes"]]
    assert sent == [path.read_bytes() for path in pictures]
    across = "document.documentElement.scrollWidth - innerWidth"
    assert browser.run(across) <= 0
    assert browser.complaints() == []
    browser.screenshot(tmp_path / "row.png")


def test_pictures_dropped_fill_a_row_and_a_bad_one_is_told(browse, houses):
    address, bodies = houses
    browser = browse()
    browser.open(address)
    for name in ("x.png", "y.png"):
        browser.run(
            "(() => { const files = new DataTransfer();"
            f" files.items.add(new File(['{name}'], '{name}'));"
            " document.body.dispatchEvent(new DragEvent('drop',"
            " {dataTransfer: files, bubbles: true, cancelable: true}));"
            " return true; })()"
        )
    browser.click("#row button")
    message = "document.querySelector('#message.bad')?.textContent"
    assert browser.until(message) == "back: no picture"
    (row,) = json.loads(bodies[0])["instances"]
    sent = [base64.b64decode(each["b64"]) for each in row["image_bytes"]]
    assert sent == [b"x.png", b"y.png"]
