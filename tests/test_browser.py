"""Section 3's page in Chromium, moved by mouse, finger and keys, held to `stn_ref`."""

import json
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import stn_ref
from stn_ref import equations as eq
from stn_ref.plots.examples import a_digit

selenium = pytest.importorskip("selenium", reason="pip install 'stn_ref[browser]' drives a browser")
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, ChromeService, Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

SITE = Path(__file__).parents[1] / "docs" / "_build" / "html" / "section3"
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
OPTIONS = (
    *("headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking"),
    *("disable-component-update", "disable-sync", "host-resolver-rules=MAP * ~NOTFOUND"),
    "window-size=1600,2200",
)
U = a_digit()[None]
TRANSFORMATIONS = {"affine": eq.AFFINE, "spline": eq.thin_plate_spline()}
KERNELS = {"nearest": eq.INTEGER, "bilinear": eq.BILINEAR}
pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="there is no Chromium with its driver"),
    pytest.mark.skipif(not SITE.exists(), reason="`make docs` has not built the site"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Selenium's sockets
]


def browser(**preferences):
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for option in OPTIONS:
        options.add_argument(f"--{option}")
    options.add_experimental_option("prefs", preferences)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return Chrome(options=options, service=ChromeService(DRIVER))


@pytest.fixture(scope="module")
def chrome():
    driver = browser()
    yield driver
    driver.quit()


def opened(chrome, language="index", width=1500):
    """The page, at this width; below 700 pixels as on a phone."""
    size = {"width": width, "height": 2000, "deviceScaleFactor": 1, "mobile": width < 700}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chrome.get((SITE / f"{language}.html").as_uri())
    chrome.execute_script("""document.documentElement.style.scrollBehavior = "auto";
        document.querySelector(".play").scrollIntoView();
        scrollBy(0, -100);""")  # at once, below the phone's header
    return chrome


@pytest.fixture
def page(chrome):
    return opened(chrome)


def find(page, selector, k=0):
    return page.find_elements("css selector", f".play {selector}")[k]


def choose(page, name, value):
    find(page, f"[name={name}][value='{value}']").click()


def theta_of(page, transformation="affine"):
    numbers = page.find_element("css selector", ".play").get_attribute("data-theta").split()
    return np.array(numbers, float).reshape(1, *TRANSFORMATIONS[transformation].identity().shape)


def loss_of(page):
    return float(find(page, "output").text.split("= ")[-1])


def seen(page):
    """V as it is on the screen, (28, 28), in steps of 1/255."""
    script = """const canvas = document.querySelector(".output canvas");
        return [...canvas.getContext("2d").getImageData(0, 0, 28, 28).data];"""
    return 1 - np.reshape(page.execute_script(script), (28, 28, 4))[..., 0] / 255


def drag(page, k, right, down):
    ActionChains(page).drag_and_drop_by_offset(find(page, ".handle", k), right, down).perform()


@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
def test_a_dragged_handle_moves_theta_and_v_is_what_transform_gives(page, transformation):
    choose(page, "transformation", transformation)
    T, before = TRANSFORMATIONS[transformation], theta_of(page, transformation)
    for k, (right, down) in enumerate([(31, -12), (-17, 9), (5, 23)]):
        x, y = (find(page, ".handle", k).rect[axis] for axis in "xy")
        drag(page, k, right, down)
        there = find(page, ".handle", k).rect
        np.testing.assert_allclose([there["x"] - x, there["y"] - y], [right, down], atol=1.5)
    theta = theta_of(page, transformation)
    assert np.sum(theta != before) == 6  # of each handle two
    for kernel, padding, aligned in product(KERNELS, ["zeros", "border", "reflection"], [1, 0]):
        choose(page, "kernel", kernel)
        choose(page, "padding", padding)
        if find(page, "[name=aligned]").is_selected() != aligned:
            find(page, "[name=aligned]").click()
        # PyTorch's reflection is about what ±1 is
        here = "symmetric" if padding == "reflection" and not aligned else padding
        options = {"kernel": KERNELS[kernel], "padding": here, "align_corners": bool(aligned)}
        V = stn_ref.transform(U, theta, transformation=T, **options)[0, ..., 0]
        np.testing.assert_allclose(seen(page), V, rtol=0, atol=0.501 / 255, err_msg=f"{options}")


@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
def test_its_gradients_are_those_of_transform_backward(page, rng, transformation):
    T, dV = TRANSFORMATIONS[transformation], rng.standard_normal((1, 9, 7, 1))
    theta = T.identity() + rng.uniform(-0.3, 0.3, T.identity().shape)
    script = """
        const [U, dV, theta, name] = arguments, e = equations;
        const points = Array.from({length: 16}, (_, k) => e.G(k >> 2, k % 4, 4, 4, true));
        const T = name === "affine" ? e.affine : e.spline(points);
        const plane = (H, W, at) => ({H, W, at: Float64Array.from(at)});
        const {dU, dtheta} = e.transformBackward(plane(9, 7, dV), plane(28, 28, U), T, theta);
        return [[...dU], dtheta];"""
    flat = [x.ravel().tolist() for x in (U, dV, theta)]
    for found, right in zip(
        page.execute_script(script, *flat, transformation),
        stn_ref.transform_backward(dV, U, theta[None], transformation=T),
        strict=True,
    ):
        np.testing.assert_allclose(found, right.ravel(), rtol=1e-9, atol=1e-11)


def test_the_pixel_under_the_pointer_is_traced(page):
    V = find(page, ".output")
    for i, j in [(4, 9), (13, 15)]:
        right, down = ((np.array([j, i]) + 0.5) / 28 - 0.5) * V.rect["width"]
        ActionChains(page).move_to_element_with_offset(V, int(right), int(down)).perform()
        trace = stn_ref.trace(U, theta_of(page), at=(0, i, j))
        assert f"(i, j) = ({i}, {j})" in find(page, ".trace").text
        rows = [
            row.text.replace("−", "-").split()
            for row in page.find_elements("css selector", ".trace tbody tr")
        ]
        n_m = [row[:2] for row in rows]
        assert n_m == [[str(tap.n), str(tap.m)] for tap in trace.taps]
        sums = find(page, ".trace tfoot").text.replace("−", "-").split()[-3:]
        right = [np.squeeze(x) for x in (trace.V, trace.dV_dx, trace.dV_dy)]
        np.testing.assert_allclose(np.array(sums, float), right, rtol=0, atol=0.00051)


def test_descent_goes_down_to_the_identity_and_eq_4_has_no_slope(page):
    losses = [loss_of(page)]
    for _ in range(30):
        find(page, "[name=descend]").click()
        losses.append(loss_of(page))
    assert all(after <= before for before, after in zip(losses, losses[1:], strict=False))
    assert losses[-1] < 0.2 * losses[0]
    choose(page, "kernel", "nearest")
    before = theta_of(page)
    find(page, "[name=descend]").click()
    assert np.array_equal(theta_of(page), before)
    assert "Eq. 4 has no slope" in find(page, "output").text
    find(page, "[name=identity]").click()
    np.testing.assert_array_equal(theta_of(page), eq.AFFINE.identity()[None])
    np.testing.assert_allclose(seen(page), U[0, ..., 0], rtol=0, atol=1e-12)


def test_keys_and_a_finger_move_it_too(page):
    before = theta_of(page)
    find(page, ".handle").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.ARROW_UP)
    np.testing.assert_allclose((theta_of(page) - before)[0, :, 2], [0.05, -0.1])
    find(page, ".output").send_keys(Keys.ARROW_LEFT, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert "(i, j) = (15, 11)" in find(page, ".trace").text
    opened(page, width=390)
    before, box = theta_of(page), find(page, ".handle").rect
    page.execute_script("window.scrollTo(0, arguments[0])", box["y"] - 300)
    x, y = box["x"] + box["width"] / 2, 300 + box["height"] / 2
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x - 40, "y": y + 20}]),
        ("touchEnd", []),
    ):
        touch = {"type": kind, "touchPoints": points}
        page.execute_cdp_cmd("Input.dispatchTouchEvent", touch)
    moved = (theta_of(page) - before)[0, :, 2] * find(page, ".input svg").rect["width"] / 3.4
    np.testing.assert_allclose(moved, [-40, 20], atol=1.5)


@pytest.mark.parametrize("language", ["index", "ar"])
@pytest.mark.parametrize("width", [390, 1500])
def test_each_language_fits_phone_and_desk_says_no_error_and_asks_no_one(chrome, language, width):
    chrome.get_log("browser"), chrome.get_log("performance")
    page = opened(chrome, language, width)
    for name, value in [("transformation", "spline"), ("digit", "5"), ("padding", "border")]:
        choose(page, name, value)
    find(page, "[name=descend]").click()
    wide = """return [document.documentElement, ...document.querySelectorAll(".math, .trace")]
        .filter((box) => box.scrollWidth > box.clientWidth + 1).map((box) => box.textContent);"""
    assert page.execute_script(wide) == []
    missing = (
        "return [...document.images].filter((image) => !image.alt || !image.naturalWidth).length"
    )
    assert page.execute_script(missing) == 0
    assert page.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [
        e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"
    ]
    assert asked and all(url.startswith(("file:", "data:")) for url in asked)


def test_without_scripts_the_picture_stays():
    page = browser(**{"profile.managed_default_content_settings.javascript": 2})
    try:
        opened(page)
        assert find(page, "img").is_displayed()
        assert page.find_elements("css selector", ".moving") == []
    finally:
        page.quit()


def test_the_search_finds_pages_without_a_server(chrome):
    opened(chrome, width=1500)
    chrome.get_log("browser")
    chrome.find_element("css selector", ".sidebar-search").send_keys("knot", Keys.ENTER)
    found = "#search-results a[href*='05_gradients_and_the_knot']"
    assert WebDriverWait(chrome, 20).until(lambda page: page.find_elements("css selector", found))
    assert chrome.get_log("browser") == []


@pytest.mark.parametrize("page", ["index", "tutorials/index", "guide/equation-index"])
def test_the_front_pages_fit_a_phone(chrome, page):
    opened(chrome, width=390)
    chrome.get((SITE.parent / f"{page}.html").as_uri())
    wide = """return [document.body, ...document.querySelectorAll(".table-wrapper, .card")]
        .filter((box) => box.scrollWidth > box.clientWidth + 1).map((box) => box.textContent);"""
    assert chrome.execute_script(wide) == []
