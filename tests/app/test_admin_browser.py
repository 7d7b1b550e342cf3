"""The page in a real browser, of a real server with real clients, over loopback."""

from __future__ import annotations

import re
import signal
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app.admin_file import known_page
from bittrrt.files.authorized_clients import AuthorizedClients

from .browser import MISSING, Browser
from .programs import HOST, Machines, Program, free_ports

ROW = "#list tbody tr"
ATTACK = 'document.title="owned"'
HOSTILE_CLIENT = f"<img/src=x/onerror={ATTACK}>"
HOSTILE_FILE = f"<img src=x onerror={ATTACK}><script>{ATTACK}<"
PHONE = (375, 720)


@skipIf(MISSING, f"not installed: {MISSING}")
class BrowserTestCase(SynchronousTestCase):
    """A browser and a server of its own for each test."""

    def setUp(self) -> None:
        self.browser = Browser()
        self.addCleanup(self.browser.close)
        self.machines = self.enterContext(Machines())
        self.fingerprint = self.machines.introduce()
        (self.port,) = free_ports(1)
        self.server = self.serve()

    def serve(self) -> Program:
        files = self.machines.directory / "files"
        files.mkdir(exist_ok=True)
        server = self.machines.serve(f"--admin=tcp:{self.port}:interface={HOST}", f"--root={files}")
        server.wait_for("The page is at")
        return server

    def ping(self) -> Program:
        ping = self.machines.ping()
        ping.wait_for("heartbeat 2:")
        return ping

    def open(self, *, secret: bool = True) -> Browser:
        page = known_page(self.machines.server_home)
        self.browser.open(page.link if secret else page.url)
        self.browser.wait_for_text("#connection", "live")
        return self.browser

    def figures(self, column: int) -> str:
        return self.browser.text(f"#ports tbody tr:first-child > :nth-child({column})")


class WatchingTests(BrowserTestCase):
    def test_it_shows_a_session_and_its_plots_move(self) -> None:
        self.ping()
        page = self.open()
        self.assertEqual(page.driver.current_url, f"http://{HOST}:{self.port}/")  # the secret has gone from it
        page.wait_for_text(f"{ROW} .name", "laptop")
        page.wait_for_text("#detail-key", self.fingerprint)
        page.wait_for_text("#detail-says", "All three ports answer")
        page.wait(lambda: page.run("return document.querySelectorAll('.plot canvas').length") == 3, "three plots")
        page.wait(lambda: "median 0" in page.find("#plot-round-trip").get_attribute("aria-label"), "a median")
        ports = [page.text(f"#ports tbody tr:nth-child({row}) th") for row in (1, 2, 3)]
        self.assertEqual([port.split()[0] for port in ports], ["ctrl", "up", "dn"])
        before, picture = self.figures(7), self.picture()
        page.wait(lambda: self.figures(7) != before and self.picture() != picture, "next heartbeat")
        page.wait_for_text("#event-list", "opened a session on ports")
        self.assertEqual(page.complaints(), [])

    def picture(self) -> str:
        return str(self.browser.run("return document.querySelector('#plot-round-trip canvas').toDataURL()"))

    def test_a_session_that_ends_stays_and_says_why(self) -> None:
        ping = self.ping()
        page = self.open(secret=False)
        page.wait_for_text("#detail-state", "live")
        ping.send(signal.SIGINT)
        page.wait_for_text(f"{ROW} .under", "ended: said goodbye")
        page.wait_for_text("#detail-says", "said goodbye")
        page.wait_for_text("#tile-sessions", "0")
        page.wait_for_text("#event-list", "laptop's session ended")

    def test_it_says_when_the_server_is_lost_and_comes_back_by_itself(self) -> None:
        self.ping()
        page = self.open(secret=False)
        page.wait_for_text("#detail-says", "All three ports answer")
        self.server.kill()
        page.wait_for_text("#connection", "no connection")
        self.assertTrue(page.find("#lost").is_displayed())
        self.assertIn("The server does not answer since", page.text("#lost"))
        self.serve()
        page.wait_for_text("#connection", "live")
        self.assertFalse(page.find("#lost").is_displayed())
        page.wait_for_text("#detail-says", "All three ports answer")  # the client has come back too
        page.wait_for_text("#tile-sessions", "1")

    def test_names_of_clients_and_files_are_text_whatever_is_in_them(self) -> None:
        AuthorizedClients(self.machines.server_home).authorize(self.fingerprint, HOSTILE_CLIENT)
        file = self.machines.directory / "client" / HOSTILE_FILE
        file.write_bytes(bytes(2_000_000))
        page = self.open()
        put = self.machines.bittrrt("put", "--limit", "4M", HOSTILE_FILE, f"{HOST}:{self.machines.port}:")
        page.wait_for_text(f"{ROW} .name", HOSTILE_CLIENT)
        page.wait_for_text("#detail-name", HOSTILE_CLIENT)
        page.wait_for_text("#transfers .file", HOSTILE_FILE)
        page.wait(lambda: float(page.find("#transfers progress").get_attribute("value")) > 0, "progress")
        self.assertEqual(put.end().status, 0)
        page.wait_for_text("#event-list", f"put {HOSTILE_FILE}")
        page.click("#revoke")
        page.wait_for_text("#confirm-text", HOSTILE_CLIENT)
        self.assertEqual(page.driver.title, "BittrRt")
        self.assertEqual(page.run("return document.querySelectorAll('img').length"), 2)  # the icon, and the QR code's
        self.assertEqual(page.run("return document.querySelectorAll('script').length"), 2)
        self.assertEqual(page.complaints(), [])


class ActingTests(BrowserTestCase):
    def test_an_invite_lets_a_client_in(self) -> None:
        page = self.open()
        page.click("#invite-open")
        page.write("#invite [name=name]", "lab")
        page.write("#invite [name=host]", f"{HOST}:{self.machines.port}")
        page.click("#invite [type=submit]")
        page.wait(lambda: page.find("#invite-text").is_displayed(), "link")
        command = page.find("#invite-text").get_attribute("value")
        page.wait(lambda: page.run("return document.getElementById('invite-qr').naturalWidth") > 100, "QR code")
        link = re.fullmatch(r"bittrrt join (\S+)", command)
        assert link, command
        self.assertEqual(self.machines.bittrrt("join", link[1]).end().status, 0)
        page.wait_for_text("#event-list", "lab has joined")
        self.assertEqual(page.complaints(), [])

    def test_a_refused_invite_says_why(self) -> None:
        page = self.open()
        page.click("#invite-open")
        page.write("#invite [name=name]", "a b")
        page.click("#invite [type=submit]")
        page.wait_for_text("#invite .error", "'a b' is no name")

    def test_a_session_is_ended_and_a_client_is_revoked_once_that_is_confirmed(self) -> None:
        ping = self.ping()
        page = self.open()
        page.click("#end-session")
        page.wait_for_text("#confirm-text", "End the session of laptop?")
        page.click("#confirm button[value=no]")
        self.assertEqual(page.text("#detail-state"), "live")
        page.click("#end-session")
        page.click("#confirm-yes")
        page.wait_for_text("#list", "ended: the server's owner ended it")
        page.wait(lambda: page.text("#tile-sessions") == "1", "new session")  # the client opens another one
        page.click("#revoke")
        page.wait_for_text("#confirm-text", self.fingerprint)
        page.click("#confirm-yes")
        page.wait_for_text("#list", "ended: its key was revoked")
        self.assertNotEqual(ping.end().status, 0)
        self.assertIn("@revoked", self.machines.server_home.read("authorized_clients"))

    def test_without_the_secret_it_shows_everything_and_asks_for_it_before_it_acts(self) -> None:
        self.ping()
        page = self.open(secret=False)
        page.click("#end-session")
        page.wait(lambda: page.find("#login").is_displayed(), "question for the secret")
        page.write("#login [name=secret]", "wrong")
        page.click("#login [type=submit]")
        page.wait_for_text("#login .error", "bittrrt page")
        page.write("#login [name=secret]", known_page(self.machines.server_home).link)
        page.click("#login [type=submit]")
        page.wait_for_text("#confirm-text", "End the session of laptop?")
        cookie = page.driver.get_cookie(f"bittrrt-{self.port}")
        self.assertEqual((cookie["httpOnly"], cookie["sameSite"]), (True, "Strict"))


class ShapeTests(BrowserTestCase):
    def test_on_a_phone_nothing_is_beside_the_screen(self) -> None:
        self.ping()
        page = self.browser
        page.resize(*PHONE)
        self.open()
        page.wait_for_text("#detail-says", "All three ports answer")
        page.wait(lambda: page.run("return document.querySelectorAll('.plot canvas').length") == 3, "three plots")
        beside = "const page = document.documentElement; return page.scrollWidth - page.clientWidth"
        self.assertEqual(page.run(beside), 0)

    def test_light_and_dark_are_told_apart_and_both_can_be_read(self) -> None:
        page, grounds = self.browser, []
        self.ping()
        for scheme in ("light", "dark"):
            page.prefer(scheme)
            self.open()
            page.wait_for_text("#detail-says", "All three ports answer")
            grounds.append(page.run("return getComputedStyle(document.body).backgroundColor"))
            self.assertEqual([each for each in page.run(CONTRASTS) if each[1] < 4.5], [], scheme)  # WCAG 2.2, 1.4.3
        self.assertNotEqual(grounds[0], grounds[1])

    def test_a_session_is_chosen_by_keyboard(self) -> None:
        self.ping()
        self.ping()
        page = self.open()
        page.wait(lambda: page.run("return document.querySelectorAll(arguments[0]).length", ROW) == 2, "two rows")
        page.wait_for_text("#detail-says", "All three ports answer")
        chosen = page.text("#detail-link")
        page.run("document.querySelector(arguments[0]).focus()", f"{ROW}.chosen button")
        for key in ("\ue015", "\ue013") if page.find(f"{ROW}.chosen") == page.find(ROW) else ("\ue013",):  # down, up
            page.driver.switch_to.active_element.send_keys(key)
            if page.run("return !document.activeElement.closest('tr').classList.contains('chosen')"):
                break
        page.driver.switch_to.active_element.send_keys("\ue007")  # Enter
        page.wait(lambda: page.text("#detail-link") != chosen, "other session")
        unnamed = page.run("return [...document.querySelectorAll('button, input, select, textarea')].filter((each) =>"
                           " !(each.textContent.trim() || each.labels?.length || each.ariaLabel)).length")  # fmt: skip
        self.assertEqual(unnamed, 0)


CONTRASTS = """
const parse = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
  const share = part / 255;
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
});
const light = (colour) => parse(colour).reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (!/rgba\\(.*, 0\\)/.test(colour)) return colour;
  }
  return "rgb(255, 255, 255)";
};
const selectors = ["h1", "h2", "dt", "dd", ".muted", "thead th", ".name", ".under", ".connection", ".state", ".kind",
  ".port-alive", "button.primary", "button.danger", ".empty"];
return selectors.flatMap((selector) => [...document.querySelectorAll(selector)].slice(0, 1)).map((element) => {
  const [one, other] = [light(getComputedStyle(element).color), light(ground(element))].sort((a, b) => b - a);
  return [element.className || element.tagName, (one + 0.05) / (other + 0.05)];
});
"""
"""WCAG's contrast of some of each kind of text with its ground."""
