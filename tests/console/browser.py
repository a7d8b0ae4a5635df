#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The console in a headless Chromium over a real tercetd: what is clicked, typed and read.
browser.py TERCETD TERCETCTL QUICKSTART_FOLDER SOURCE_FOLDER [--shots FOLDER]     77: there is no Chromium"""
import contextlib, os, re, shutil, subprocess, sys

from stage import TOKENS, Client, Failed, Stage, check, main, until

try:
    from selenium import webdriver
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select
except ImportError:
    print("without python3-selenium")
    sys.exit(77)
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SHOTS = sys.argv[sys.argv.index("--shots") + 1] if "--shots" in sys.argv else None
SOURCE = sys.argv[4]
EVIL = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
FLAGS = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--ignore-certificate-errors"]


class Page:
    """One browser for all tests: what each leaves behind is cleared."""
    driver = None

    def __init__(self):
        options = webdriver.ChromeOptions()
        for flag in FLAGS + (["--no-sandbox"] if os.getuid() == 0 else []):
            options.add_argument(flag)
        options.binary_location = CHROMIUM
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        Page.driver = self.driver = webdriver.Chrome(options=options, service=webdriver.chrome.service.Service(DRIVER))

    def size(self, width, height, scheme):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def open(self, url):
        self.driver.get("about:blank")
        self.driver.get(url)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector="body"):
        with contextlib.suppress(WebDriverException):  # what is redrawn meanwhile is looked at again
            return "\n".join(element.text for element in self.all(selector))
        return ""

    def reads(self, words, selector="body"):
        with said_of(lambda: self.text(selector)):
            until(lambda: words in self.text(selector), f"{selector} reads {words!r}", 30)

    def click(self, selector, words=""):
        def press():
            with contextlib.suppress(WebDriverException):
                for element in self.all(selector):
                    if words in element.text and element.is_displayed():
                        element.click()
                        return True
            return False
        until(press, f"{selector} {words!r} is there to be clicked", 30)

    def type(self, selector, words):
        until(lambda: self.all(selector), f"{selector} is there", 30)
        field = self.all(selector)[0]
        field.clear()
        field.send_keys(words)

    def complaints(self):
        """Of the page itself: a script or style that was refused, an exception. Not of answers that say no."""
        return [line["message"] for line in self.driver.get_log("browser") if "Failed to load resource" not in line["message"]]

    def shot(self, name):
        if SHOTS:
            self.driver.save_screenshot(os.path.join(SHOTS, name + ".png"))


@contextlib.contextmanager
def said_of(what):
    try:
        yield
    except Failed as wrong:
        raise Failed(f"{wrong}; it reads {what()[:600]!r}") from None


@contextlib.contextmanager
def console(programs, **more):
    """A tercetd in which transactions wait: flight is paused, so that its tries do not go. (Who pauses a service must know it: one
    transaction has named it, and is over.)"""
    with Stage(programs, **more) as stage:
        client = Client(stage, SOURCE)
        operator = TOKENS["operator"] if stage.access else None
        client.begin("seed", "flight/book")
        check(stage.ctl("pause", "flight", token=operator)[0] == 0, "paused")
        client.call("Cancel", client.pb.CancelRequest(gid="seed", wait=client.pb.WAIT_RESOLVED), client.pb.Transaction)
        yield stage, client


def overview_shows_what_there_is(programs):
    page = Page.driver_page
    with console(programs) as (stage, client):
        client.begin("order:1", "flight/book")
        page.size(1280, 900, "light")
        page.open(stage.url + "/")
        page.reads("In flight\n1", ".cards")
        page.reads("taken", ".cards")
        until(lambda: page.all(".plot polyline"), "plots are drawn", 30)
        page.shot("overview-light")
        check(not page.complaints(), "the browser complains")


def a_store_in_memory_has_no_disk(programs):
    page = Page.driver_page
    for in_memory in (True, False):
        with Stage(programs, in_memory=in_memory) as stage:
            page.open(stage.url + "/")
            page.reads("Headroom", ".cards")
            check(("Disk free" in page.text(".cards")) == (not in_memory), f"in memory {in_memory}: {page.text('.cards')}")


def what_is_over_is_listed_with_what_it_took(programs):
    page = Page.driver_page
    with console(programs) as (stage, client):
        page.size(1280, 900, "light")
        page.open(stage.url + "/#/transactions")
        page.reads("No unresolved transactions. Those that are over: state resolved.", ".empty")
        page.shot("empty-light")
        page.click(".empty a", "state resolved")
        page.reads("seed", "td")
        page.reads("Took", "thead")
        check("Age" not in page.text("thead"), "what is over ages no more")
        check(not any("all" in button.text for button in page.all("main button")), "what is over is not acted on")
        page.shot("resolved-light")
        client.begin("order:1", "flight/book")
        page.open(stage.url + "/#/transactions")
        page.reads("Age", "thead")
        page.reads("Cancel all", "main button")
        page.open(stage.url + "/#/transactions?service=nobody")
        page.reads("No unresolved transactions like that.", ".empty")
        page.open(stage.url + "/#/tx/order:7")
        page.reads("forgotten after tercetd's --retention", "main")
        page.shot("unknown-light")


def what_helps_is_at_hand(programs):
    page = Page.driver_page
    with console(programs) as (stage, client):
        client.begin("order:1", "flight/book", "hotel/book")
        page.open(stage.url + "/#/tx/order:1")
        page.reads("flight is paused", ".why")
        page.reads("Start a participant that serves hotel", ".why")
        disabled = "return [...document.querySelectorAll('main button')].find(one => one.textContent === 'Confirm…').disabled"
        check(page.driver.execute_script(disabled), "what would be refused is not offered")
        page.reads("every try must be known to be done, and that of branch 1 flight/book is not", "#confirm-refusal")
        page.shot("helps-light")
        page.click(".why button", "Resume flight…")
        page.click("dialog button", "Resume")
        page.reads("nobody serves flight", ".why")
        check(not page.all(".why button"), "what is resumed is not resumed again")
        page.click(".why a", "Participants")
        page.reads("flight", "table")
        stage.participant("flight")
        stage.participant("hotel")
        page.open(stage.url + "/#/tx/order:1")
        page.reads("confirmed", "dl.facts")
        page.reads("all tries done", "dl.facts")
        client.begin("order:2", "taxi/book")
        client.call("Cancel", client.pb.CancelRequest(gid="order:2"), client.pb.Transaction)
        page.open(stage.url + "/#/tx/order:2")
        page.reads("asked by the initiator", "dl.facts")


def causes_are_those_of_the_library(programs):
    page = Page.driver_page
    with console(programs) as (stage, client):
        page.open(stage.url + "/")
        page.reads("In flight", ".cards")
        with open(os.path.join(SOURCE, "framework/include/tercet/types.h"), encoding="utf-8") as header:
            words = {int(value): text for value, text in re.findall(r'X\(TERCET_CAUSE_\w+, (\d+), "([^"]*)"\)', header.read())}
        wanted = {name: words[value] for name, value in client.pb.Cause.items()}
        shown = page.driver.execute_script("return CAUSES")
        check(len(wanted) > 5 and shown == wanted, f"{shown}, not {wanted}")


def times_have_a_zone(programs):
    page = Page.driver_page
    with console(programs) as (stage, client):
        client.begin("order:1", "flight/book")
        try:
            for zone, ends in (("UTC", "Z"), ("Asia/Kolkata", "+05:30"), ("America/Caracas", "−04:00")):
                page.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": zone})
                page.open(stage.url + "/#/tx/order:1")
                page.reads("flight is paused", ".why")
                check(re.search(r"Begun\s+\d{4}-\d\d-\d\d \d\d:\d\d:\d\d" + re.escape(ends), page.text("dl.facts")), f"{zone}: {page.text('dl.facts')}")
        finally:
            page.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


def a_phone_shows_it_all(programs):
    page = Page.driver_page
    with console(programs) as (stage, client):
        client.begin("order:1", "flight/book", "hotel/book")
        page.size(390, 844, "light")
        try:
            page.open(stage.url + "/#/tx/order:1")
            page.reads("flight is paused", ".why")
            page.shot("transaction-phone-light")
            check(len({link.location["y"] for link in page.all("nav a")}) == 1, "the menu is on one line")
            for words in ("now", "begun"):
                left, right = page.driver.execute_script("""const one = [...document.querySelectorAll('.timeline svg text')].find(one => one.textContent === arguments[0]);
                  const box = one.getBoundingClientRect(); return [box.left, box.right]""", words)
                check(0 <= left and right <= 390, f"{words} is from {left} to {right}")
            page.open(stage.url + "/#/transactions")
            page.reads("order:1", "table")
            page.shot("transactions-phone-light")
            page.open(stage.url + "/")
            page.reads("In flight", ".cards")
            page.shot("overview-phone-light")
            wide = page.driver.execute_script("return document.documentElement.scrollWidth")
            check(wide <= 390, f"the page is {wide} wide on a phone of 390")
        finally:
            page.size(1280, 900, "light")


def transaction_is_found_understood_and_cancelled(programs):
    page = Page.driver_page
    with console(programs) as (stage, client):
        client.begin("order:1", "flight/book", "hotel/book", metadata={"order": "1234"})
        client.begin("order:2", "flight/book", metadata={"order": "5678"})
        page.open(stage.url + "/#/transactions")
        page.reads("2 shown", "caption")
        page.type("input[name=metadata]", "order=1234\n")
        page.reads("1 shown", "caption")
        check("order:2" not in page.text("table"), "filtered")
        page.type("input[name=text]", "no such words\n")
        page.reads("None of the 1 looked at", "main")
        page.type("input[name=text]", "paused by an\n")
        page.reads("1 shown", "caption")
        page.click("td a", "order:1")
        page.reads("flight is paused by an operator", ".why")
        page.reads("nobody serves hotel", ".why")
        status, why = stage.ctl("why", "order:1")
        check(status == 0 and "flight is paused by an operator" in why, f"tercetctl says {why}")
        check(len(page.all(".timeline svg text.lane")) == 2, "two lanes")
        check("order:1" in page.all(".timeline svg title")[0].get_attribute("textContent"), "the picture is told in words")
        page.shot("transaction-light")
        page.click("button", "Cancel…")
        page.click("dialog button", "Cancel the transaction")
        check(page.all("dialog[open]"), "without a reason nothing is done")
        page.type("dialog input[name=reason]", "a test " + EVIL)
        page.click("dialog label.check input")
        page.shot("dialog-light")
        page.click("dialog button", "Cancel the transaction")
        page.reads("cancelled", "dl.facts")
        page.reads(EVIL, "dl.facts")
        page.click("nav a", "Audit")
        page.reads("order:1", "table")
        page.reads(EVIL, "table")
        check(page.driver.title not in ("1", "2"), "what others wrote has run")
        check(client.get("order:1").reason.startswith("a test"), "the coordinator has the reason")
        check("console: somebody at 127.0.0.1: cancel order:1" in stage.said("tercetd"), "the log has it")
        check(not page.complaints(), "the browser complains")


def many_are_cancelled_after_a_look(programs):
    page = Page.driver_page
    with console(programs) as (stage, client):
        for i in range(7):
            client.begin(f"order:{i}", "flight/book" if i < 5 else "hotel/book")
        page.open(stage.url + "/#/transactions?service=flight")
        page.reads("5 shown", "caption")
        page.click("button", "Cancel all")
        page.reads("This would be done to 5", "dialog")
        check(len(page.all("dialog .list div")) == 5, "each is listed")
        page.type("dialog input[name=reason]", "cleaning up")
        page.type("dialog input[name=number]", "4")
        page.click("dialog button", "Cancel 5")
        check(page.all("dialog[open]"), "the wrong number does nothing")
        check(client.get("order:0").state == client.pb.TRYING, "nothing was done")
        page.type("dialog input[name=number]", "5")
        page.click("dialog button", "Cancel 5")
        until(lambda: all(client.get(f"order:{i}").state != client.pb.TRYING for i in range(5)), "five are cancelled", 30)
        check(all(client.get(f"order:{i}").state == client.pb.TRYING for i in (5, 6)), "and no others")


def participants_are_paused_and_resumed(programs):
    page = Page.driver_page
    with Stage(programs) as stage:
        stage.participant("flight")
        page.open(stage.url + "/#/participants")
        page.reads("answers", "table")
        page.click("button", "Pause…")
        page.click("dialog button", "Pause")
        page.reads("paused", "table")
        check("PAUSED" in stage.ctl("participants")[1].upper(), "tercetctl says so, too")
        page.click("button", "Resume…")
        page.click("dialog button", "Resume")
        page.reads("answers", "table")


def roles_are_those_of_the_coordinator(programs):
    page = Page.driver_page
    with console(programs, access=True) as (stage, client):
        client.begin("order:1", "flight/book")
        page.open(stage.url + "/#/tx/order:1")
        page.reads("Sign in", "main")
        page.type("input[name=token]", "x" * 20 + "\n")
        until(lambda: page.text(".error"), "a wrong token is refused", 30)
        page.type("input[name=token]", TOKENS["reader"] + "\n")
        page.reads("flight is paused", ".why")
        check(TOKENS["reader"] not in page.driver.current_url + page.driver.page_source, "the token is nowhere in the page")
        check(page.driver.execute_script("return document.cookie") == "", "scripts do not see the cookie")
        page.click("button", "Retry now…")
        page.click("dialog button", "Retry now")
        until(lambda: page.text("dialog .error"), "a reader may not act", 30)
        page.click("dialog button", "Leave it")
        page.click("#who button", "Sign out")
        page.type("input[name=who]", "Ada")
        page.type("input[name=token]", TOKENS["operator"] + "\n")
        page.click("button", "Retry now…")
        page.click("dialog button", "Retry now")
        page.click("nav a", "Audit")
        page.reads("Ada at 127.0.0.1", "table")
        check("PERMISSION_DENIED" not in page.text("table") and "PERMISSION_DENIED" in stage.said("tercetd"), "who may nothing fills no audit log: it is in the log")


def what_is_typed_to_sign_in_stays(programs):
    page = Page.driver_page
    with console(programs, access=True) as (stage, client):
        page.open(stage.url + "/")
        page.type("input[name=who]", "Ada")
        asked = "return performance.getEntriesByType('resource').filter(e => e.name.endsWith('/api/session')).length"
        until(lambda: page.driver.execute_script(asked) >= 3, "the page asks again meanwhile", 30)
        check(page.all("input[name=who]")[0].get_attribute("value") == "Ada", "what was typed is gone")


def a_restart_is_told_and_survived(programs):
    page = Page.driver_page
    with console(programs) as (stage, client):
        client.begin("order:1", "flight/book")
        page.size(390, 844, "dark")
        page.open(stage.url + "/#/transactions")
        page.reads("order:1", "table")
        page.shot("transactions-phone-dark")
        stage.stop(subprocess.Popen.kill)
        page.reads("tercetd does not answer", "#banner")
        page.reads("old", "#banner")
        check("stale" in page.all("body")[0].get_attribute("class"), "what is old is grey")
        check("order:1" in page.text("table"), "and still there")
        page.shot("lost-phone-dark")
        stage.start()
        until(lambda: not page.all("#banner")[0].is_displayed(), "the banner goes", 30)
        page.reads("order:1", "table")
        wide = page.driver.execute_script("return document.documentElement.scrollWidth")
        check(wide <= 390, f"the page is {wide} wide on a phone of 390")
        page.open(stage.url + "/#/tx/order:1")
        page.reads("flight is paused", ".why")
        page.shot("transaction-phone-dark")
        wide = page.driver.execute_script("return document.documentElement.scrollWidth")
        check(wide <= 390, f"the transaction is {wide} wide on a phone of 390")


def the_keyboard_is_enough(programs):
    page = Page.driver_page
    with console(programs) as (stage, client):
        client.begin("order:1", "flight/book")
        page.size(1280, 900, "dark")
        page.open(stage.url + "/")
        page.reads("In flight\n1", ".cards")

        def press(*keys):  # to what has the focus then: the page may be redrawn meanwhile
            webdriver.ActionChains(page.driver).send_keys(*keys).perform()

        def focused():
            return page.driver.execute_script("const one = document.activeElement; return one === document.body ? '' : one.innerText || ''")

        def walk_to(words):
            for _ in range(40):
                press(Keys.TAB)
                if words in focused():
                    return
            raise Failed(f"{words} is not reached by the keyboard")
        walk_to("Transactions")
        press(Keys.ENTER)
        page.reads("order:1", "table")
        press("/")
        until(lambda: page.driver.execute_script("return document.activeElement.tagName") in ("SELECT", "INPUT"), "/ goes to the filters", 10)
        walk_to("order:1")
        press(Keys.ENTER)
        page.reads("flight is paused", ".why")
        walk_to("Cancel…")
        press(Keys.ENTER)
        until(lambda: page.all("dialog[open]"), "the dialog opens", 10)
        press("by keyboard", Keys.TAB, )
        press(Keys.SPACE)
        press(Keys.TAB)
        press(Keys.ENTER)
        page.reads("cancelled", "dl.facts")
        page.shot("transaction-dark")
        unnamed = page.driver.execute_script("""return [...document.querySelectorAll('button, input, select, a')]
          .filter(e => !(e.textContent.trim() || e.labels?.length || e.getAttribute('aria-label') || e.querySelector('img[alt]'))).length""")
        check(unnamed == 0, f"{unnamed} elements have no name for a screen reader")


def nothing_foreign_is_loaded(programs):
    page = Page.driver_page
    with Stage(programs) as stage:
        page.open(stage.url + "/")
        page.reads("In flight", ".cards")
        loaded = page.driver.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
        check(loaded and all(name.startswith(stage.url + "/") for name in loaded), f"{loaded}")
        sizes = page.driver.execute_script("return performance.getEntriesByType('resource').filter(e => !/api|metrics/.test(e.name)).reduce((s, e) => s + e.decodedBodySize, 0)")
        check(10000 < sizes < 150 * 1024, f"{sizes} bytes")


if __name__ == "__main__":
    if CHROMIUM is None or DRIVER is None:
        print("without chromium and chromedriver (Debian: chromium chromium-driver)")
        sys.exit(77)
    Page.driver_page = Page()
    try:
        main([overview_shows_what_there_is, a_store_in_memory_has_no_disk, what_is_over_is_listed_with_what_it_took, what_helps_is_at_hand,
              causes_are_those_of_the_library, times_have_a_zone, a_phone_shows_it_all, transaction_is_found_understood_and_cancelled, many_are_cancelled_after_a_look,
              participants_are_paused_and_resumed, roles_are_those_of_the_coordinator,
              what_is_typed_to_sign_in_stays, a_restart_is_told_and_survived, the_keyboard_is_enough,
              nothing_foreign_is_loaded], {"tercetd": sys.argv[1], "tercetctl": sys.argv[2], "quickstart": sys.argv[3]})
    finally:
        Page.driver.quit()
