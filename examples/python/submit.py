"""Submits a transaction, waits for its end, and verifies the callback that tells of it."""

import json
import os
import threading
import time
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

URL = os.environ["HOLDFAST_URL"]
KEY = os.environ["HOLDFAST_API_KEY"]
WEBHOOK = Webhook(os.environ["HOLDFAST_CALLBACK_SECRET"])
events = Queue()


class Callbacks(BaseHTTPRequestHandler):
    """Answers 204 to what is authentic, and 401 to all else, which is told again."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            event = WEBHOOK.verify(body, dict(self.headers.items()))
        except WebhookVerificationError:
            self.send_response(401)
        else:
            # The same event may come again: its id says so. Write it down before you answer.
            events.put(event)
            self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def call(method, path, body=None, headers=()):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, dict(headers), method=method)
    request.add_header("authorization", f"Bearer {KEY}")
    if data is not None:
        request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, timeout=90) as answer:
        return json.load(answer)


def submit(body):
    """A submission that gets no answer, 429 or 503 is sent again under the same key: it is never carried out twice."""
    for wait in (0.2, 1, 5, 25, None):
        try:
            return call("POST", "/api/v1/transactions", body)
        except urllib.error.HTTPError as problem:
            if problem.code not in (429, 503) or wait is None:
                raise SystemExit(problem.read().decode()) from problem
        except OSError:
            if wait is None:
                raise
        time.sleep(wait)


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Callbacks)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    body = {
        "transactionId": f"python-{uuid.uuid4()}",
        "amount": "12.50",
        "currency": "EUR",
        "callbackUrl": f"http://127.0.0.1:{server.server_port}/",
    }
    accepted = submit(body)
    assert submit(body)["id"] == accepted["id"]
    print("accepted:", accepted["id"])
    command = call("GET", accepted["links"]["self"], headers={"prefer": "wait=60"})
    print("now:", command["status"])
    event = events.get(timeout=60)
    print("told:", event["type"], event["id"])
    assert event["subject"] == accepted["id"] and event["data"]["status"] == "completed"


main()
