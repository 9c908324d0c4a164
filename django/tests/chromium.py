"""A real browser, headless."""

import os
import pathlib
import shutil

import pytest
from django_site import password_of
from selenium.common.exceptions import TimeoutException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

# Where pictures for the documentation go, if somebody wants them.
PICTURES = os.environ.get("SCREENSHOTS")
# Without these it talks to its maker's servers.
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1100,800",
)


class Chromium:
    def __init__(self, site, directory, language="en"):
        program, driver = shutil.which("chromium"), shutil.which("chromedriver")
        if not program or not driver:
            pytest.skip("Chromium is not here: run tests/install")
        options = ChromeOptions()
        options.binary_location = program
        for argument in (*QUIET, f"--user-data-dir={directory}", f"--lang={language}"):
            options.add_argument(argument)
        self.driver = Chrome(options=options, service=Service(driver))
        self.url = site.web.url
        self.site = site

    def open(self, path):
        self.driver.get(self.url + path)

    def find(self, css):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def text(self):
        # In one step: between two of the driver's own the page may have gone.
        return self.driver.execute_script("return document.body ? document.body.innerText : ''")

    def shows(self, *texts):
        """Whether the page has all of these, soon: a click returns before the page that it leads to is there."""
        try:
            WebDriverWait(self.driver, 20).until(lambda _: all(text in self.text() for text in texts))
        except TimeoutException:
            raise AssertionError(f"The page does not show all of {texts}: {self.text()}") from None
        return True

    def click(self, css):
        self.find(css).click()

    def press(self, text):
        """The button or the link with this text."""
        path = f"//*[(self::button or self::a) and normalize-space()='{text}'] | //input[@value='{text}']"
        self.driver.find_element(By.XPATH, path).click()

    def log_in(self, username, path="/login/", password=None):
        self.open(path)
        self.find("input[name=username]").send_keys(username)
        self.find("input[name=password]").send_keys(password or password_of(username))
        self.find("input[name=password]").submit()
        if cookie := self.driver.get_cookie("sessionid"):
            self.site.note_key(cookie["value"])

    def whoami(self):
        self.open("/whoami/")
        return '"user": null' not in self.text() and self.text()

    def picture(self, name):
        if PICTURES:
            self.driver.save_screenshot(str(pathlib.Path(PICTURES) / f"{name}.png"))

    def close(self):
        self.driver.quit()
