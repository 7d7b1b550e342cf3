"""Who may look at the page and who may act, asked over HTTP; and what every answer says to browsers."""

from __future__ import annotations

from bittrrt.app.admin_guard import Guard, is_loopback, new_secret
from bittrrt.app.admin_site import MAX_BODY, MAX_CONNECTIONS, SECURITY_HEADERS

from .admin_http import HOST, SECRET, AdminHttpTestCase, Answer, FakeTransport


class LookTests(AdminHttpTestCase):
    def test_on_loopback_everybody_of_the_machine_may_look(self) -> None:
        for host in (HOST, "localhost:6780", "[::1]:6780", "127.0.0.1", "localhost:9000"):
            self.assertEqual(self.http("GET", "/api/state", Host=host).status, 200, host)

    def test_a_name_that_only_resolves_to_loopback_is_turned_away(self) -> None:
        for host in ("evil.example:6780", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0", "10.0.0.1"):
            self.assertEqual(self.http("GET", "/api/state", Host=host).status, 401, host)
        self.assertEqual(
            self.http("GET", "/api/state", Host="evil.example", Authorization=f"Bearer {SECRET}").status, 200
        )

    def test_pages_of_other_sites_may_not_even_ask(self) -> None:
        for site in ("cross-site", "same-site", "anything"):
            for path in ("/api/state", "/api/stream", "/metrics"):
                answer = self.http("GET", path, Sec_Fetch_Site=site, Authorization=f"Bearer {SECRET}")
                self.assertEqual(answer.status, 403, (site, path))
        self.assertEqual(self.http("GET", "/api/state", Sec_Fetch_Site="none").status, 200)

    def test_metrics_are_there_for_who_may_look(self) -> None:
        answer = self.http("GET", "/metrics")
        self.assertEqual((answer.status, answer.body), (200, b"up 1\n"))
        self.assertEqual(self.http("GET", "/metrics", Host="evil.example").status, 401)


class LookFromElsewhereTests(AdminHttpTestCase):
    open_to_look = False

    def test_without_the_secret_nothing_is_shown(self) -> None:
        for path in ("/api/state", "/api/stream", "/metrics"):
            answer = self.http("GET", path)
            self.assertEqual(answer.status, 401, path)
            self.assertIn("bittrrt page", answer.json()["error"])
        self.assertEqual(self.http("GET", "/api/access").json(), {"look": False, "act": False})

    def test_the_secret_opens_as_bearer_and_as_cookie(self) -> None:
        self.assertEqual(self.bearer("GET", "/api/state").status, 200)
        self.assertEqual(self.http("GET", "/api/state", Cookie=self.cookie()).status, 200)
        self.assertEqual(self.http("GET", "/api/state", Cookie=f"a=b; {self.cookie()}; c=d").status, 200)
        self.assertEqual(self.http("GET", "/api/access", Cookie=self.cookie()).json(), {"look": True, "act": True})

    def test_what_is_not_the_secret_does_not(self) -> None:
        value = self.cookie().partition("=")[2]
        for headers in (
            {"Authorization": f"Bearer {SECRET[:-1]}"}, {"Authorization": f"Bearer {value}"}, {"Authorization": SECRET},
            {"Cookie": f"bittrrt-6780={SECRET}"}, {"Cookie": f"bittrrt-6781={value}"}, {"Cookie": "bittrrt-6780="},
            {"Authorization": "Bearer \xff"},
        ):  # fmt: skip
            self.assertEqual(self.http("GET", "/api/state", **headers).status, 401, str(headers))


class ActTests(AdminHttpTestCase):
    def test_the_page_itself_acts_with_its_cookie(self) -> None:
        self.assertEqual(self.from_page("/api/invite", {"host": "example.net"}).status, 200)

    def test_a_program_acts_with_the_secret(self) -> None:
        self.assertEqual(self.bearer("POST", "/api/invite", {"host": "example.net"}).status, 200)

    def test_to_be_on_loopback_is_not_enough_to_act(self) -> None:
        own = {"Origin": f"http://{HOST}", "X_BittrRt": "act"}
        self.assertEqual(self.http("POST", "/api/invite", {}, **own).status, 401)
        self.assertEqual(self.http("POST", "/api/login").status, 401)

    def test_a_form_or_script_of_another_site_cannot_act_though_the_browser_adds_the_cookie(self) -> None:
        for changed in (
            {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": ""}, {"Origin": "http://127.0.0.1:9999"},
            {"X_BittrRt": ""}, {"X_BittrRt": "look"}, {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"},
        ):  # fmt: skip
            self.assertEqual(self.from_page("/api/invite", {}, **changed).status, 403, str(changed))
        self.assertEqual((self.server_home.read_lines("invites")), [])

    def test_the_cookie_is_for_this_page_alone(self) -> None:
        cookie = self.bearer("POST", "/api/login").headers["set-cookie"]
        self.assertRegex(cookie, r"^bittrrt-6780=[0-9a-f]{64}; Path=/; HttpOnly; SameSite=Strict$")
        self.assertNotIn(SECRET, cookie)


class HeaderTests(AdminHttpTestCase):
    def test_every_answer_has_the_headers_that_bind_browsers(self) -> None:
        for path in ("/", "/static/main.js", "/api/state", "/api/none", "/api/end", "/metrics", "/api/stream"):
            headers = self.http("GET", path).headers
            for name, value in SECURITY_HEADERS.items():
                self.assertEqual(headers.get(name.decode()), value.decode(), path)
        policy = self.http("GET", "/").headers["content-security-policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)

    def test_the_page_needs_nothing_from_elsewhere(self) -> None:
        page = self.http("GET", "/")
        self.assertEqual((page.status, page.headers["content-type"]), (200, "text/html; charset=utf-8"))
        for path in ("/static/vendor/uPlot.iife.min.js", "/static/page.css", "/static/icon.svg"):
            self.assertIn(path.encode(), page.body)
            self.assertEqual(self.http("GET", path).status, 200, path)
        self.assertNotIn(b"://", page.body)
        self.assertNotIn(b"<script>", page.body)

    def test_there_is_nothing_but_what_is_listed(self) -> None:
        for path in (
            "/x",
            "/static/",
            "/static/../admin_site.py",
            "/static/%2e%2e/views.py",
            "/static/vendor/README.rst",
        ):
            self.assertEqual(self.http("GET", path).status, 404, path)
        for method, path in (("POST", "/"), ("POST", "/api/state"), ("GET", "/api/end"), ("DELETE", "/api/end"),
                             ("HEAD", "/api/stream")):  # fmt: skip
            self.assertEqual(self.http(method, path).status, 405, (method, path))

    def test_a_body_is_bounded_however_long_it_says_it_is(self) -> None:
        self.assertEqual(self.bearer("POST", "/api/invite", b"x" * (MAX_BODY + 1)).status, 413)
        self.assertEqual(self.bearer("POST", "/api/invite", b"x" * MAX_BODY).status, 400)

    def test_connections_are_bounded_and_given_back(self) -> None:
        pages = [self.connect() for _ in range(MAX_CONNECTIONS)]
        self.assertIsNone(self.site.buildProtocol(None))
        pages[0].abortConnection()
        self.assertIsNotNone(self.site.buildProtocol(None))

    def test_a_connection_that_asks_for_nothing_is_closed(self) -> None:
        page = self.connect()
        self.network.run_for(31.0)
        self.assertTrue(page.disconnecting)

    def test_two_hosts_are_none(self) -> None:
        transport: FakeTransport = self.connect()
        transport.connection.dataReceived(b"GET /api/state HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n")
        self.assertEqual(Answer(transport.value()).status, 401)


class GuardTests(AdminHttpTestCase):
    def test_secrets_are_long_and_differ_and_are_not_shown(self) -> None:
        secret, other = new_secret(), new_secret()
        self.assertNotEqual(secret, other)
        self.assertEqual(len(secret), 43)
        self.assertNotIn(secret, repr(Guard(secret, open_to_look=True, port=1)))

    def test_loopback_is_an_address_of_it_or_localhost(self) -> None:
        hosts = ("", ":80", "[::1", "localhost:x", "::1", "127.9.9.9:1")
        self.assertEqual([host for host in hosts if is_loopback(host)], ["::1", "127.9.9.9:1"])
