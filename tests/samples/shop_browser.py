#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The shop as a person uses it: samples/shop/run, headless Chromium, and the audit at the end of each story.
shop_browser.py BUILD_FOLDER SOURCE_FOLDER [--shots FOLDER] [--only NAME]     77: there is no Chromium"""
import contextlib, http.client, json, os, re, shutil, signal, subprocess, sys, tempfile, threading, time

try:
    from selenium import webdriver
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    print("without python3-selenium")
    sys.exit(77)
BUILD, SOURCE = sys.argv[1], sys.argv[2]
SHOTS = sys.argv[sys.argv.index("--shots") + 1] if "--shots" in sys.argv else None
ONLY = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else ""
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SECONDS = 60
EVIL = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
FLAGS = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]


class Failed(Exception):
    pass


def check(holds, text):
    if not holds:
        raise Failed(text)


def until(probe, what, said=lambda: ""):
    end = time.monotonic() + SECONDS
    while not (value := probe()):
        check(time.monotonic() < end, f"{what}: not within {SECONDS} s; {said()}")
        time.sleep(0.05)
    return value


class Shop:
    """samples/shop/run in a folder of its own."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="tercet-shop-", dir="/tmp")  # short: sockets lie in it
        self.start("--fresh")

    def start(self, *options):
        self.out = open(os.path.join(self.folder, "out"), "w+")
        self.run = subprocess.Popen([os.path.join(SOURCE, "samples/shop/run"), "--folder", self.folder, "--port", "0", "--programs", BUILD, *options],
                                    stdout=self.out, stderr=subprocess.STDOUT)
        self.url = until(self.address, "the shop is open", self.said)
        self.host = self.url.split("//")[1]

    def said(self):
        with open(self.out.name) as file:
            return file.read()

    def address(self):
        check(self.run.poll() is None, "run has ended: " + self.said())
        found = re.search(r"is open:  (\S+)", self.said())
        return found and found.group(1)

    def stop(self):
        self.run.send_signal(signal.SIGTERM)
        status = self.run.wait(SECONDS)
        self.out.close()
        check(status == 0, f"run ended with {status}")
        for name in os.listdir(os.path.join(self.folder, "logs")):
            with open(os.path.join(self.folder, "logs", name), errors="replace") as file:
                check(not re.search("Sanitizer|Assertion", log := file.read()), f"{name}: {log[-3000:]}")

    def end(self):
        if self.run.poll() is None:
            self.run.terminate()
            self.run.wait(SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)

    def audit(self):
        """What was bought, held and reserved is the same in all databases."""
        databases = [word for name in ("stock", "payment", "order") for word in ("--" + name, os.path.join(self.folder, "data", name + ".db"))]
        done = subprocess.run([os.path.join(BUILD, "samples/shop/shop-audit"), *databases, "--at-rest", "--wait", "30s"],
                              capture_output=True, text=True, timeout=2 * SECONDS)
        check(done.returncode == 0, done.stdout + done.stderr)


class Shopper:
    """What a browser sends, without one: for what a page of ours never would."""

    def __init__(self, shop, name, path="/api/register", password="correct horse"):
        self.shop, self.cookie, self.csrf = shop, "", ""
        status, answer = self.post(path, name=name, password=password)
        check(status == 200, f"{name} is registered, or signed in: {answer}")
        self.user, self.csrf = answer["user"], answer["csrf"]

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection(self.shop.host, timeout=SECONDS)
        headers = {"Cookie": self.cookie, "X-CSRF-Token": self.csrf, "Content-Type": "application/json", **headers}
        try:
            connection.request(method, path, body=body, headers={name: value for name, value in headers.items() if value})
            response = connection.getresponse()
            text = response.read().decode()
            if response.headers["Set-Cookie"]:
                self.cookie = response.headers["Set-Cookie"].split(";")[0]
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    def get(self, path):
        return self.ask("GET", path)[1]

    def post(self, path, **body):
        return self.ask("POST", path, json.dumps(body))

    def buy(self, key, item, quantity, total_cents):
        """Until it is over: the order's state in the book, or None where there is none."""
        status, answer = self.post("/api/buy", key=key, item=item, quantity=quantity, total_cents=total_cents)
        check(status == 202, f"{status} {answer}")
        return self.outcome(answer["gid"])

    def outcome(self, gid):
        def over():
            answer = self.get("/api/orders")
            return answer["open"] is not None and answer["orders"] is not None and gid not in [one["gid"] for one in answer["open"]]
        until(over, f"{gid} is over")
        return next((one["state"] for one in self.get("/api/orders")["orders"] if one["gid"] == gid), None)


def price(shopper, item):
    return next(one for one in shopper.get("/api/products") if one["item"] == item)["unit_cents"]


def available(shopper, item):
    return next(one for one in shopper.get("/api/products") if one["item"] == item)["available"]


class Page:
    def __init__(self):
        options = webdriver.ChromeOptions()
        for flag in FLAGS + (["--no-sandbox"] if os.getuid() == 0 else []):
            options.add_argument(flag)
        options.binary_location = CHROMIUM
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.chrome.service.Service(DRIVER))
        self.size(1280, 900, "light")

    def size(self, width, height, scheme):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def set_offline(self, is_off):
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": is_off, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1})

    def open(self, url):
        self.driver.get("about:blank")
        self.driver.get(url)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector="body"):
        with contextlib.suppress(WebDriverException):
            return "\n".join(element.text for element in self.all(selector))
        return ""

    def reads(self, words, selector="body"):
        until(lambda: words in self.text(selector), f"{selector} reads {words!r}", lambda: f"it reads {self.text(selector)[:800]!r}")

    def click(self, selector, times=1):
        def press():
            with contextlib.suppress(WebDriverException):
                for element in self.all(selector):
                    if element.is_displayed() and element.is_enabled():
                        # All in one go of the page's thread: as fast as no hand can.
                        self.driver.execute_script("for (let i = 0; i < arguments[1]; i++) arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}))", element, times) if times > 1 else element.click()
                        return True
            return False
        until(press, f"{selector} is there to be clicked", lambda: self.text()[:600])

    def type(self, selector, words):
        until(lambda: self.all(selector), f"{selector} is there")
        field = self.all(selector)[0]
        field.clear()
        field.send_keys(words)

    def register(self, shop, name):
        self.open(shop.url + "/#/register")
        self.type("#name", name)
        self.type("#password", "correct horse")
        self.click("#go")
        self.reads("Sign out " + name, "#nav")

    def sign_in(self, shop, name, password):
        if self.all("#sign-out"):
            self.click("#sign-out")
            self.reads("Register", "#nav")
        self.open(shop.url + "/#/sign-in")
        self.type("#name", name)
        self.type("#password", password)
        self.click("#go")

    def task(self, words):
        """A button of "Break it"."""
        self.driver.execute_script("const box = document.querySelector('#break details'); if (box) box.open = true")
        self.click(f'[data-task="{words}"]')

    def complaints(self):
        return [line["message"] for line in self.driver.get_log("browser") if "Failed to load resource" not in line["message"]]

    def shot(self, name):
        if SHOTS:
            for width, kind in ((1280, "desktop"), (390, "phone")):
                for scheme in ("light", "dark"):
                    self.size(width, 900, scheme)
                    self.driver.save_screenshot(os.path.join(SHOTS, f"{name}-{kind}-{scheme}.png"))
            self.size(1280, 900, "light")


# -- Stories --------------------------------------------------------------------------------------


def one_registers_buys_and_gives_back(shop, page):
    page.register(shop, "ada")
    page.reads("Teapot", "main")
    page.shot("products")
    page.type("#words", "stoneware" + Keys.ENTER)
    page.reads("Mug", "main")
    check("Teapot" not in page.text("main"), "the search searches")
    page.open(shop.url + "/#/product/2")
    page.type("#quantity", "2")
    page.shot("product")
    page.click("#add")
    page.reads("Mug is in your cart", "#notice")
    page.open(shop.url + "/#/product/5")
    page.click("#add")
    page.reads("Clock is in your cart", "#notice")
    page.open(shop.url + "/#/cart")
    page.reads("Mug", "main")
    page.shot("cart")
    page.click("#checkout")
    page.reads("Your order is paid and yours", "#said")
    for words in ("cart/checkout", "catalogue/quote", "stock/reserve", "payment/hold", "order/place"):
        page.reads(words, "main table")
    until(lambda: page.all(".timeline rect"), "the timeline is drawn")
    page.shot("order")
    page.open(shop.url + "/#/cart")
    page.reads("Your cart is empty", "main")
    page.open(shop.url + "/#/orders")
    page.reads("2 × Mug, 1 × Clock", "main")
    page.reads("paid", "main .state")
    page.shot("orders")
    page.click("main td button")
    page.reads("Your money is back", "#said")
    page.open(shop.url + "/#/orders")
    page.reads("returned", "main .state")
    page.open(shop.url + "/#/cart")
    page.reads("500.00 available, 0.00 held, 0.00 paid", "main")
    check(not page.complaints(), "the browser complains")


def a_double_click_is_one_order(shop, page):
    page.register(shop, "bob")
    page.open(shop.url + "/#/product/1")
    page.click("#buy", times=2)
    page.reads("Your order is paid and yours", "#said")
    page.driver.back()
    page.reads("Teapot", "main")
    page.open(shop.url + "/#/orders")
    page.reads("1 × Teapot", "main")
    check(len(page.all("main tbody tr")) == 1, page.text("main"))


def an_order_without_an_answer_is_sent_again(shop, page):
    page.register(shop, "grace")
    page.open(shop.url + "/#/product/4")
    page.reads("Plant", "main")
    page.set_offline(True)
    page.click("#buy")
    page.reads("We do not know yet whether your order has arrived", "#notice")
    page.set_offline(False)
    page.reads("Your order is paid and yours", "#said")
    page.open(shop.url + "/#/orders")
    page.reads("1 × Plant", "main")
    check(len(page.all("main tbody tr")) == 1, page.text("main"))


def the_last_piece_is_bought_once(shop, page):
    first, second = Shopper(shop, "carol"), Shopper(shop, "dave")
    cents = price(first, 3)
    while (left := available(first, 3)) > 1:
        many = min(left - 1, 50000 // cents, 30)
        check(Shopper(shop, f"crowd{left}").buy("manypieces", 3, many, cents * many) == "PAID", "the crowd buys")
    states = {}
    threads = [threading.Thread(target=lambda one=one: states.update({one.user: one.buy("lastpiece", 3, 1, cents)})) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(sorted(str(state) for state in states.values()).count("PAID") == 1, f"{states}")
    check(available(first, 3) == 0, "none is left")
    page.register(shop, "erin")
    page.open(shop.url + "/#/product/3")
    page.reads("sold out", "main")
    page.click("#buy")
    page.reads("This order was not made", "#said")
    page.reads("Nothing was charged", "#said")


def what_is_broken_is_told_and_mended(shop, page):
    page.register(shop, "frank")
    page.open(shop.url + "/#/product/6")
    page.reads("Kite", "main")
    page.task("kill payment")
    page.reads("stopped", "#break")
    page.click("#buy")
    page.reads("We are still confirming your order; nothing is lost", "#said")
    page.reads("waits for: Payment", "#said")
    page.shot("waiting")
    page.task("kill coordinator")
    page.reads("We cannot reach the desk that decides", "#said")
    page.task("start coordinator")
    page.task("start payment")
    page.reads("Your order is paid and yours", "#said")
    page.task("refuse payment")
    page.reads("refuses", "#break")
    page.open(shop.url + "/#/product/6")
    page.click("#buy")
    page.reads("payment was told to refuse everything", "#said")
    page.reads("Nothing was charged", "#said")
    page.task("well payment")
    page.task("cut stock-database")
    page.reads("cut", "#break")
    page.open(shop.url + "/#/product/7")
    page.click("#buy")
    page.reads("We are still confirming your order", "#said")
    page.task("mend stock-database")
    page.reads("Your order is paid and yours", "#said")


def what_must_not_be_is_refused(shop, page):
    eve, mallory = Shopper(shop, "eve"), Shopper(shop, "mallory")
    cents = price(eve, 8)
    page.sign_in(shop, "eve", "wrong horse 1")
    page.reads("name or password is wrong", "#notice")
    for quantity in (-1, 0, 101, 1.5, "1; DROP TABLE orders", None):
        status, answer = eve.post("/api/buy", key="abcdefgh", item=8, quantity=quantity, total_cents=cents)
        check(status == 400 and "1 to 100" in answer["error"], f"{quantity}: {status} {answer}")
    status, answer = eve.post("/api/buy", key="abcdefgh", item=8, quantity=1, total_cents=1)
    check(status == 409 and "Nothing was ordered" in answer["error"], f"a forged price: {answer}")
    check(eve.get("/api/orders")["orders"] == [], "and nothing was")
    check([one["name"] for one in eve.get("/api/products?q=%27%20OR%201%3D1%20--")] == [], "a string is a string")
    check(eve.buy("abcdefgh", 8, 1, cents) == "PAID", "bought")
    for _ in range(3):
        check(eve.buy("abcdefgh", 8, 1, cents) == "PAID", "a replay is the same order")
    check(len(eve.get("/api/orders")["orders"]) == 1, "and no second one")
    check(eve.get("/api/wallet")["paid_cents"] == cents, "and is paid once")
    gid = eve.get("/api/orders")["orders"][0]["gid"]
    check(mallory.ask("GET", "/api/watch/" + gid)[0] == 404, "another's order is not shown")
    check(mallory.post("/api/refund", key="refundkey", gid=gid)[0] == 404, "nor given back")
    for path in ("/api/flash", "/api/price", "/api/fill"):
        check(eve.post(path, item=1, unit_cents=1)[0] == 403, f"{path} is the seller's")
    status, answer = eve.ask("POST", "/api/reviews", b"x" * 10_000_000)
    check(status == 413 and "nothing was done" in answer["error"], f"10 MB: {status} {answer}")
    check(eve.ask("POST", "/api/reviews", "{}", **{"X-CSRF-Token": "0"})[0] == 403, "a request of another page")
    check(eve.post("/api/reviews", item=8, stars=5, words=EVIL)[0] == 200, "a review is text")
    page.open(shop.url + "/#/product/8")
    page.reads(EVIL, "main")
    check(page.driver.title == "The shop", "and stays text")


def an_order_in_too_many_parts_is_not_paid_for_in_part(shop, page):
    del page
    seller, ivan, items = Shopper(shop, "seller", "/api/sign-in", "seller-seller"), Shopper(shop, "ivan"), range(10, 20)
    for item in items:  # a cent each, and 87 pieces lie in nine warehouses
        check(seller.post("/api/price", item=item, unit_cents=1)[0] == 200, "the price")
        for warehouse in range(3, 10):
            check(seller.post("/api/fill", item=item, warehouse=warehouse, available=1)[0] == 200, "a shelf")
        check(ivan.post("/api/cart", item=item, quantity=87)[0] == 200, "into the cart")
    status, answer = ivan.post("/api/checkout", key="manyparts", total_cents=870)
    check(status == 202, f"{status} {answer}")
    check(ivan.outcome(answer["gid"]) in (None, "CANCELLED"), "not all of it can be reserved in one transaction")
    check(ivan.get("/api/wallet")["paid_cents"] == 0 and available(ivan, 10) == 87, "nothing is paid, nothing is gone")
    for item in items:
        check(ivan.post("/api/cart", item=item, quantity=30)[0] == 200, "less")
    status, answer = ivan.post("/api/checkout", key="fewparts", total_cents=300)
    check(status == 202 and ivan.outcome(answer["gid"]) == "PAID", f"{status} {answer}")


def the_flash_sale_sells_a_hundred(shop, page):
    page.sign_in(shop, "seller", "seller-seller")
    page.reads("Seller", "#nav")
    page.open(shop.url + "/#/seller")
    until(lambda: page.all(".plot polyline"), "plots are drawn")
    page.click("#flash")
    page.reads("100 of 1000 buyers got a piece, 900 were told", "#flash-result")
    print("      " + page.text("#flash-result"))
    page.reads("Golden ticket", "main table")
    page.shot("seller")
    check(not page.complaints(), "the browser complains")


def what_was_bought_is_there_after_a_restart(shop, page):
    judy = Shopper(shop, "judy")
    check(judy.buy("beforeend", 9, 1, price(judy, 9)) == "PAID", "bought")
    shop.stop()
    shop.start()
    check([one["state"] for one in judy.get("/api/orders")["orders"]] == ["PAID"], "the session and the order are there")


STORIES = [one_registers_buys_and_gives_back, a_double_click_is_one_order, an_order_without_an_answer_is_sent_again, the_last_piece_is_bought_once, what_is_broken_is_told_and_mended,
           what_must_not_be_is_refused, an_order_in_too_many_parts_is_not_paid_for_in_part, the_flash_sale_sells_a_hundred, what_was_bought_is_there_after_a_restart]


def main():
    if not CHROMIUM or not DRIVER:
        print("without chromium or chromium-driver")
        sys.exit(77)
    failed, page, shop = 0, Page(), Shop()
    try:
        for story in [one for one in STORIES if ONLY in one.__name__]:
            began = time.monotonic()
            try:
                story(shop, page)
                shop.audit()
                print(f"ok     {story.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
            except Exception as wrong:  # also of libraries: the others go on
                failed += 1
                print(f"FAILED {story.__name__}: {type(wrong).__name__}: {wrong}", flush=True)
        shop.stop()
    finally:
        page.driver.quit()
        shop.end()
    sys.exit(1 if failed else 0)


main()
