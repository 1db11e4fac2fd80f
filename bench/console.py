#!/usr/bin/env python3
"""Asks administration what the console's pages ask, and says how long the server took.

Usage: console.py SOCKET [LINK]. LINK is the one-time link of the first start: with it the first
account is made, and the pages are asked for, too. Each question is asked 200 times over the Unix socket, on one
connection, after it was asked once; the figures are the server's own (`server-timing`)."""
import datetime, http.client, json, re, socket, sys, urllib.parse

TIMES, GOAL_MS = 200, 50.0


class Administration(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)

    def ask(self, method, path, body=None):
        self.request(method, path, None if body is None else json.dumps(body), {"content-type": "application/json"})
        answer = self.getresponse()
        text = answer.read()
        if answer.status != 200:
            sys.exit(f"{method} {path}: {answer.status} {text.decode()}")
        took = re.search(r"dur=([0-9.]+)", answer.headers["server-timing"])
        return json.loads(text), float(took.group(1))


class Pages(http.client.HTTPConnection):
    """A person who made the first account with a one-time link."""

    def __init__(self, link):
        url = urllib.parse.urlsplit(link)
        super().__init__(url.hostname, url.port)
        self.cookies = {}
        form = self.ask(f"{url.path}?{url.query}")[1]
        csrf = re.search(r'name="csrf" value="([^"]+)"', form).group(1)
        secret = urllib.parse.parse_qs(url.query)["link"][0]
        password = "a lighthouse turns slowly in the fog 7"
        fields = {"csrf": csrf, "link": secret, "name": "bench", "password": password, "again": password}
        status = self.ask("/welcome", urllib.parse.urlencode(fields))[0]
        if status >= 400:
            sys.exit(f"the first account cannot be made: {status}")

    def ask(self, path, form=None):
        headers = {"accept": "text/html", "cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if form is not None:
            headers |= {"content-type": "application/x-www-form-urlencoded", "origin": f"http://{self.host}:{self.port}"}
        self.request("GET" if form is None else "POST", path, form, headers)
        answer = self.getresponse()
        text = answer.read().decode()
        for cookie in answer.headers.get_all("set-cookie") or []:
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        took = re.search(r"dur=([0-9.]+)", answer.headers["server-timing"] or "")
        return answer.status, text, float(took.group(1)) if took else None


api = Administration(sys.argv[1])
get = lambda path: api.ask("GET", path)[0]
beyond = []


def tell(what, times, goal=GOAL_MS):
    times = sorted(times)
    half, most = times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)]
    if most > goal:
        beyond.append(what)
    print(f"{what:72} {half:8.2f} {most:8.2f} {times[-1]:8.2f}{'   beyond the goal' if most > goal else ''}", flush=True)


def measure(path):
    get(path)
    tell(path, [api.ask("GET", path)[1] for _ in range(TIMES)])


def at(days):
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


facets = {facet["name"]: facet["values"] for facet in get("/api/v1/decisions/facets")["facets"]}
common = {name: values[0]["value"] for name, values in facets.items()}
rare = {name: values[-1]["value"] for name, values in facets.items()}
print(f"{'milliseconds of the server, 200 times each':72} {'half':>8} {'99 %':>8} {'slowest':>8}")
api1 = "/api/v1/decisions"
measure("/api/v1/status")
measure(api1)
measure(f"{api1}?verdict=block")
measure(f"{api1}?verdict=block&route={rare['route']}")
measure(f"{api1}?verdict={common['verdict']}&route={common['route']}&model={rare['model']}")
measure(f"{api1}?key={common['key']}&since={at(7)}")
page = get(f"{api1}?verdict=block&limit=100")
measure(f"{api1}?verdict=block&after={page['next']}")
for filters in ["", f"since={at(1)}", f"since={at(7.3)}&until={at(0.9)}", "verdict=block", f"route={common['route']}",
                f"route={common['route']}&verdict={common['verdict']}", f"model={rare['model']}&verdict=block",
                f"route={common['route']}&model={common['model']}&since={at(7)}"]:
    measure(f"{api1}/facets?{filters}")
for filters in ["step=1d", "step=1h&by=verdict", f"step=5m&since={at(6.9)}&by=verdict", "step=1h&by=key", "step=1h&verdict=block",
                f"step=1h&route={common['route']}&by=verdict", f"step=1h&route={common['route']}&verdict=block",
                f"step=5m&since={at(1)}&model={rare['model']}&verdict=block"]:
    measure(f"{api1}/histogram?{filters}")
api2 = "/api/v1/findings"
measure(api2)
measure(f"{api2}?state=open&severity=high")
measure(f"{api2}?state=resolved&severity=high")
for filters in ["", "state=open", "state=open&severity=high", f"since={at(7)}"]:
    measure(f"{api2}/facets?{filters}")
for filters in ["step=1d", "step=1h&by=severity", "step=1h&state=open&by=severity"]:
    measure(f"{api2}/histogram?{filters}")
measure("/api/v1/ledger/head")
measure("/api/v1/ledger/entries?limit=100")
measure("/api/v1/keys")
measure("/api/v1/routes")

if len(sys.argv) > 2:
    person = Pages(sys.argv[2])
    decision = get(f"{api1}?verdict=block&limit=1")["records"][0]["id"]
    finding = get(f"{api2}?limit=1")["records"][0]["id"]
    for path in ["/", "/traffic", "/traffic?verdict=block", f"/traffic?verdict=block&route={common['route']}",
                 f"/traffic?route={common['route']}&range=30d", f"/traffic/{decision}", "/findings", "/findings?severity=high",
                 f"/findings/{finding}", "/approvals", "/assets", "/keys", "/rules", "/ledger", "/health", "/settings", "/people"]:
        status, _, _ = person.ask(path)
        if status != 200:
            print(f"page {path}: status {status}")
            continue
        tell(f"page {path}", [person.ask(path)[2] for _ in range(TIMES)])

# Triage: one finding, 50 and 500 in one act, and taking it back.
triage = f"{api2}/triage"
ids = []
after = ""
while len(ids) < 1000:
    page = get(f"{api2}?limit=500{after}")
    ids += [record["id"] for record in page["records"]]
    if page["next"] is None:
        break
    after = f"&after={page['next']}"
for count, times in [(1, TIMES), (50, 20), (min(500, len(ids)), 10)]:
    said, undone = [], []
    for turn in range(times):
        first = (turn * count) % max(1, len(ids) - count + 1)
        body = {"ids": ids[first : first + count], "state": "resolved", "assignee": "person:bench"}
        done, took = api.ask("POST", triage, body)
        said.append(took)
        undone.append(api.ask("POST", f"{triage}/{done['act']}/undo", {})[1])
    tell(f"say of {count} of {get(api2 + '/facets')['records']} findings that they are resolved", said, GOAL_MS if count == 1 else 1e9)
    tell(f"take it back, of {count}", undone, GOAL_MS if count == 1 else 1e9)
print(f"goal: 99 % within {GOAL_MS:.0f} ms; beyond it: {', '.join(beyond) or 'nothing'}")
