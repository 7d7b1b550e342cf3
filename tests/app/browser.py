"""A real browser, headless, for the page's tests: Debian's chromium and chromium-driver, where they are installed."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from typing import Any, Final

from .programs import DEADLINE

CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
DRIVER: Final = shutil.which("chromedriver") or ""

MISSING: Final = ", ".join([
    *([] if CHROMIUM else ["chromium"]),
    *([] if DRIVER else ["chromedriver"]),
    *([] if importlib.util.find_spec("selenium") else ["the package selenium"]),
])  # fmt: skip
"""What is not installed of what a browser test needs; empty if everything is there."""

_POLL: Final = 0.1  # seconds


class Browser:
    """One browser with one window. Elements are found by CSS selectors."""

    def __init__(self, width: int = 1280, height: int = 1000) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
            options.add_argument(argument)
        options.add_argument(f"--window-size={width},{height}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver: Any = webdriver.Chrome(options=options, service=Service(DRIVER))

    def close(self) -> None:
        """End it, and its driver."""
        self.driver.quit()

    def open(self, url: str) -> None:
        """Load a page anew: a link that differs from what is shown in its fragment only would load nothing."""
        self.driver.get("about:blank")
        self.driver.get(url)

    def resize(self, width: int, height: int) -> None:
        """What the page sees as its screen; a window cannot be as narrow as a phone."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme: str) -> None:
        """`light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def find(self, selector: str) -> Any:
        """One element."""
        return self.driver.find_element("css selector", selector)

    def run(self, script: str, *arguments: object) -> Any:
        """What a script returns."""
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        """An element's text, whether it can be seen or not; empty if there is none."""
        return str(self.run("return document.querySelector(arguments[0])?.textContent ?? ''", selector))

    def click(self, selector: str) -> None:
        """Click once it can be clicked."""
        self.wait(
            lambda: self.find(selector).is_displayed() and self.find(selector).is_enabled(), f"{selector} to click"
        )
        self.find(selector).click()

    def write(self, selector: str, text: str) -> None:
        """Type into a field."""
        self.find(selector).clear()
        self.find(selector).send_keys(text)

    def wait(self, holds: Callable[[], object], what: str) -> None:
        """Until it holds."""
        from selenium.common.exceptions import TimeoutException, WebDriverException
        from selenium.webdriver.support.ui import WebDriverWait

        waiting = WebDriverWait(self.driver, DEADLINE, _POLL, ignored_exceptions=[WebDriverException])
        try:
            waiting.until(lambda _: holds())
        except TimeoutException:
            page = self.run("return document.body.innerText")
            raise AssertionError(f"no {what}; the page shows:\n{page}\n{self.complaints()}") from None

    def wait_for_text(self, selector: str, text: str) -> None:
        """Until an element's text has this in it."""
        self.wait(lambda: text in self.text(selector), f"{text!r} in {selector}")

    def complaints(self) -> list[str]:
        """What the page's scripts and its policy complained of since this was called last."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
