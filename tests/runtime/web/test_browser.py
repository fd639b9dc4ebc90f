"""The page in Debian's Chromium, driven by Playwright, fed as a line feeds it."""

import os
import time

import pytest

from wordsight.runtime.line.applied import read_applied

pytestmark = pytest.mark.plant
LIMIT_MS, LOOK_MS = 120_000, 20


@pytest.fixture
def look(chromium, serve, in_force, feeding):
    """Open the page in a window: (width, **options of the context) -> window; nothing may have gone wrong in it."""
    contexts, troubles = [], []
    served = in_force(serve())
    served.ask.post("/api/recipe", {"recipe": "nut", "line": None})
    feeding(served.page)

    def opened(width=1280, **options):
        contexts.append(chromium.new_context(viewport={"width": width, "height": 900}, **options))
        contexts[-1].set_default_timeout(LIMIT_MS)
        window = contexts[-1].new_page()
        window.served, window.troubles = served, troubles
        window.on("pageerror", lambda error: troubles.append(str(error)))
        window.on("console", lambda told: troubles.append(told.text) if told.type in ("error", "warning") else None)
        window.on("request", lambda asked: None if served.page.url in asked.url else troubles.append(asked.url))
        window.goto(served.page.url)
        window.wait_for_selector(".card img:not([hidden])")
        window.wait_for_selector(".event")
        return window

    yield opened
    for context in contexts:
        context.close()
    assert [told for told in troubles if not told.startswith("blob:")] == []


def holds(window, expression):
    """Wait until an expression is true; Playwright's own way to needs an `eval` that the page's policy refuses."""
    comes(window, lambda: bool(window.evaluate(expression)), True, expression)


def comes(window, look, wanted, what=""):
    """Wait until a look at the page finds what is wanted: its parts are drawn one after the other, as answers come."""
    end = time.monotonic() + LIMIT_MS / 1000
    while (found := look()) != wanted:
        assert time.monotonic() < end, what or (found, wanted)
        window.wait_for_timeout(LOOK_MS)


def pixels(window):
    """The sum of colours of the live picture: 0 where all is grey."""
    return window.evaluate(
        """async () => { const image = document.querySelector('.card img'), canvas = document.createElement('canvas');
        for (;;) try { await image.decode(); break; } catch { /* the next picture came meanwhile */ }
        canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
        const paper = canvas.getContext('2d'); paper.drawImage(image, 0, 0);
        const data = paper.getImageData(0, 0, canvas.width, canvas.height).data;
        let colour = 0; for (let at = 0; at < data.length; at += 4) colour += Math.abs(data[at] - data[at + 2]);
        return colour / data.length; }"""
    )


def frame(window):
    return int(window.get_attribute(".card img", "data-frame"))


def test_the_live_picture_moves_and_the_heat_map_toggles(look):
    window = look()
    first = frame(window)
    holds(window, f"Number(document.querySelector('.card img').dataset.frame) > {first}")
    assert pixels(window) < 0.02  # the frames are grey
    window.click(".card button[aria-label='Heat map of press-3']")
    window.wait_for_selector(".card img[data-heat=true]")
    assert pixels(window) > 0.2
    window.click(".card button[aria-label='Heat map of press-3']")
    window.wait_for_selector(".card img[data-heat=false]")
    assert pixels(window) < 0.02
    drawn = window.get_attribute(".chart path", "d")
    holds(window, f"document.querySelector('.chart path').getAttribute('d') !== {drawn!r}")
    assert window.locator(".chart line").count() == 2
    for told in ("good 8", "defect 1", "unsure from 0.900", "defect from 1.200", "no space left on device", "failing"):
        holds(window, f"document.querySelector('main').innerText.includes({told!r})")
    comes(window, lambda: window.input_value("select"), '"nut"')  # the recipe in force


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1920, "light")])
def test_it_fits_from_a_telephone_to_a_wall(look, width, scheme, tmp_path):
    window = look(width, color_scheme=scheme)
    assert window.evaluate("document.documentElement.scrollWidth") <= width
    wide = window.evaluate(
        "[...document.querySelectorAll('header *, .card *, .event *')].filter((one) => "
        "one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML)"
    )
    assert wide == []
    light = window.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
    assert (light > 128) is (scheme == "light")
    # Pictures lie whole within their frames.
    assert window.evaluate(
        "[...document.querySelectorAll('.stage img, .shot img')].every((one) => one.getBoundingClientRect().bottom "
        "<= one.parentElement.getBoundingClientRect().bottom + 1)"
    )
    if folder := os.environ.get("WORDSIGHT_SCREENSHOTS"):
        window.screenshot(path=f"{folder}/page-{width}-{scheme}.png", full_page=True)


def tab_to(window, label):
    for _ in range(60):
        window.keyboard.press("Tab")
        if window.evaluate(
            "(document.activeElement.getAttribute('aria-label') || document.activeElement.labels?.[0]?.textContent"
            " || document.activeElement.textContent).trim()"
        ).startswith(label):
            return
    raise AssertionError(f"no way to {label} by Tab")


def test_by_keyboard_alone(look, status):
    window = look()
    window.keyboard.press("h")
    window.wait_for_selector(".card img[data-heat=true]")
    holds(window, "[...document.querySelectorAll('.shot img')].every((image) => image.src.endsWith('heat=1'))")
    dark = window.get_attribute("html", "data-theme")
    window.keyboard.press("d")
    assert window.get_attribute("html", "data-theme") != dark
    tab_to(window, "Your name")
    window.keyboard.type("Ann")
    tab_to(window, "Recipe of press-3")
    assert window.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    window.keyboard.press("ArrowDown")  # from nut to screw
    holds(window, "document.querySelector('.card').textContent.includes('in force within a second')")
    assert '"press-3": "screw"' in (window.served.state / "recipe.json").read_text()
    line = status["lines"][0]
    line["recipe"], line["unsure"], line["defect"] = "screw", 0.5, 1.0  # as the file has them
    holds(window, "document.querySelector('.legend').textContent.includes('defect from 1.000')")
    tab_to(window, "Change thresholds")
    window.keyboard.press("Enter")
    tab_to(window, "defect from")
    window.keyboard.press("Control+A")
    window.keyboard.type("1.9")
    window.keyboard.press("Enter")
    holds(window, "document.querySelector('details').textContent.includes('frames would have changed')")
    assert "good to unsure" in window.inner_text(".changed")
    assert read_applied(window.served.state) == ((), "")  # a trial changes nothing
    tab_to(window, "Apply unsure 0.500, defect 1.900")
    window.keyboard.press("Enter")
    holds(window, "document.querySelector('.card').textContent.includes('defect 1.900: in force within a second')")
    ((kept,), _) = read_applied(window.served.state)
    assert (kept.recipe, kept.unsure, kept.defect, kept.who) == ("screw", 0.5, 1.9, "Ann (127.0.0.1)")
    line["defect"] = 1.9
    line["applied"] = {"time": kept.time, "who": kept.who, "instead": {"unsure": 0.5, "defect": 1.0}}
    holds(window, "document.querySelector('.applied').textContent.includes('by Ann (127.0.0.1), instead of unsure')")
    tab_to(window, "Undo: press-3 back to unsure 0.500, defect 1.000")
    window.keyboard.press("Enter")
    holds(window, "document.querySelector('.card').textContent.includes('defect 1.000: in force within a second')")
    assert read_applied(window.served.state) == ((), "")
    line["defect"], line["applied"] = 1.0, None
    holds(window, "document.querySelector('.applied').textContent === ''")
    tab_to(window, "false alarm")
    window.keyboard.press("Enter")
    window.wait_for_selector("button[data-mark='false alarm'][aria-pressed=true]")
    assert '"false alarm"' in (window.served.state / "marks.jsonl").read_text()
    window.keyboard.press("/")
    window.keyboard.type("nothing like it")
    holds(window, "document.querySelectorAll('.event').length === 0")
    window.keyboard.press("Control+A")
    window.keyboard.type("false press-3")
    window.wait_for_selector(".event")
    assert window.locator(".event").count() == 1
    tab_to(window, "Picture: press-3")
    window.keyboard.press("Enter")
    window.wait_for_selector("dialog[open]")
    holds(window, "document.querySelector('dialog img').naturalWidth > 0")
    window.keyboard.press("Escape")
    window.wait_for_selector("dialog", state="hidden")


def faults(window):
    """What axe-core finds, by rule: how grave, and where first."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
    found = axe.Axe().run(window).response
    assert len(found["passes"]) > 10  # it looked
    return {one["id"]: (one["impact"], one["nodes"][0]["html"]) for one in found["violations"]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(look, status, scheme):
    status["errors"] = [{"time": "2026-11-26T13:00:00Z", "who": "jsonl", "reason": "no space left", "count": 3}]
    status["lines"][0] |= {
        "state": "stalled", "reason": "no frame for 12 s",
        "applied": {"time": "2026-11-26T13:00:00Z", "who": "Ann", "instead": {"unsure": None, "defect": 1.0}},
    }  # fmt: skip
    window = look(color_scheme=scheme)
    holds(window, "document.querySelector('.applied button') !== null")
    window.click("summary")
    window.click("text=Try")
    window.wait_for_selector("button.act:not([hidden])")
    window.click("#heat")
    window.click("button[data-mark=right]")
    window.wait_for_selector("button[data-mark=right][aria-pressed=true]")
    assert faults(window) == {}
    window.click(".shot")
    window.wait_for_selector("dialog[open]")
    assert faults(window) == {}
    window.keyboard.press("Escape")
    # A fault that is planted is found: grey on grey, and a field without a name.
    window.evaluate("document.querySelector('.legend span').style.color = '#888'")
    window.evaluate("document.querySelector('.legend').style.background = '#999'")
    window.evaluate("document.querySelector('#search').labels[0].replaceWith(document.querySelector('#search'))")
    window.evaluate("document.querySelector('#search').removeAttribute('placeholder')")
    window.evaluate("document.querySelector('#search').removeAttribute('title')")
    assert {"color-contrast": "serious", "label": "critical"}.items() <= {
        rule: impact for rule, (impact, _) in faults(window).items()
    }.items()


def test_trouble_is_seen_at_the_top_and_no_old_decision_passes_for_one_of_now(look, status):
    window = look()
    holds(window, "document.querySelector('.card .badge').textContent.startsWith('good')")
    comes(window, lambda: window.inner_text("#alarm"), "in trouble: 1 sink")
    status["lines"][0] |= {"state": "stalled", "reason": "no frame for 72 s", "last_frame_s": 72.4}
    nothing = {"last_frame_s": None, "scored": 0, "decisions": {}, "latency_ms": dict.fromkeys(("p50", "p99"))}
    away = {**status["lines"][0], "name": "press-4", "state": "retrying", "reason": "no route", **nothing}
    status["lines"] = [*status["lines"], away]
    spool = {"sent": 5, "overflowed": 7, "refused": 1}
    status["sinks"][0] |= {"written": 30, "waiting": 6, "unsent": 19, "dropped": 2, "counts": spool}
    late = {"name": "plc", "type": "modbus", "state": "ok", "reason": None, "counts": {"late": 4, "stale": 3}}
    status["sinks"] = [*status["sinks"], {**status["sinks"][0], **late, "dropped": 0, "waiting": 0, "unsent": 0}]
    holds(window, "document.querySelectorAll('.card').length === 2")
    holds(window, "document.querySelector('#alarm').textContent === 'in trouble: 2 sources, 1 sink'")
    holds(window, "document.querySelector('.card .badge').textContent.startsWith('last: ')")
    comes(window, lambda: window.inner_text(".stage.old .none"), "stalled, last frame 1 min ago")
    assert window.evaluate("getComputedStyle(document.querySelector('.card .badge')).borderTopStyle") == "dashed"
    never = window.locator(".card").nth(1)
    comes(window, lambda: "no picture yet: retrying" in never.inner_text(), True)
    comes(window, lambda: "retrying: no route" in never.inner_text(), True)
    assert never.locator(".badge, .plot, button:has-text('Heat map')").evaluate_all(
        "all => all.map((one) => one.getClientRects().length)"
    ) == [0, 0, 0]  # fmt: skip
    jsonl, plc = (window.locator(f"#ends tr:has-text('{name}') td") for name in ("jsonl", "plc"))
    comes(window, lambda: jsonl.all_inner_texts()[2:5], ["5", "25", "10"])  # sent, waiting, lost
    told = ["27", "0", "3", "3 too old to be told, 4 not acknowledged in time"]
    comes(window, lambda: plc.all_inner_texts()[2:], told)
    status["lines"] = status["lines"][:1]
    status["lines"][0] |= {"state": "running", "reason": None, "last_frame_s": 0.0}
    holds(window, "document.querySelector('.card .badge').textContent.startsWith('good')")
    comes(window, lambda: window.locator(".stage.old").count(), 0)
    # Of a line without a frame the page has no picture: the browser says so.
    window.troubles[:] = [told for told in window.troubles if "404" not in told and "press-4" not in told]


def test_it_goes_on_by_itself_when_the_line_is_started_again(look, serve, feeding, status):
    window = look()
    seen = frame(window)
    port = window.served.ask.port
    window.served.page.close()
    holds(window, "document.querySelector('#link').textContent.startsWith('not live')")
    holds(
        window,
        "document.querySelector('.stage.old') && document.querySelector('.badge').textContent.startsWith('last: ')",
    )
    status["started"] = "2026-11-26T14:00:00Z"
    again = serve(f"127.0.0.1:{port}")
    feeding(again.page)
    holds(window, "document.querySelector('#link').textContent === 'live' && !document.querySelector('.stage.old')")
    holds(window, f"Number(document.querySelector('.card img').dataset.frame) !== {seen}")
    window.wait_for_selector(".event")
    # What the browser itself says of connections that are refused is no trouble of the page.
    window.troubles[:] = [told for told in window.troubles if "ERR_CONNECTION" not in told]


def test_the_token_is_asked_for_in_a_folder_of_a_proxy_and_again_when_the_login_is_over(
    chromium, serve, feeding, proxied
):
    served = serve("0.0.0.0:0", "correct-horse-battery")
    feeding(served.page)
    proxy = proxied(served)
    context = chromium.new_context(color_scheme="dark")
    context.set_default_timeout(LIMIT_MS)
    window = context.new_page()
    window.goto(proxy.url)
    assert faults(window) == {}
    assert window.evaluate("getComputedStyle(document.body).color") == "rgb(255, 255, 255)"  # on black
    window.get_by_label("Token of this page").fill("not the one")
    window.keyboard.press("Enter")
    window.wait_for_selector("text=That is not the token.")
    assert faults(window) == {}
    window.get_by_label("Token of this page").fill("correct-horse-battery")
    window.keyboard.press("Enter")
    window.wait_for_selector(".card img:not([hidden])")
    assert window.url == proxy.url
    window.goto(f"{proxy.url}login")  # as it stood in the browser after the wrong one
    window.wait_for_selector(".card img:not([hidden])")
    assert window.url == proxy.url
    assert window.evaluate("document.cookie") == ""
    assert "correct-horse-battery" not in window.content()
    window.get_by_label("Your name").fill("Ann Østby")
    window.click("button[data-mark=right]")
    window.wait_for_selector("button[data-mark=right][aria-pressed=true]")
    assert '"who": "Ann Østby (10.1.2.3)"' in (served.state / "marks.jsonl").read_text()
    assert {path for path in proxy.asked if not path.startswith("/press/")} <= {"/favicon.ico"}  # the browser's own
    assert "correct-horse-battery" not in "".join(proxy.asked)
    context.clear_cookies()
    window.wait_for_selector("text=Token of this page")
    assert window.url == proxy.url
    context.close()
