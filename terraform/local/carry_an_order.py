#!/usr/bin/env python3
"""Sends one order from its 202 to completed over the queues that Terraform has made.

Runs inside `holdfast-devstack run --settings`, with the file that `terraform output -json` has written. The worker
starts only when the order's message has been seen in its queue: it went through there.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

PROGRAMS = Path(__file__).resolve().parents[2] / "target/debug"
LISTEN = "127.0.0.1:18570"
PATIENCE_S = 60


def main():
    outputs = json.loads(Path(sys.argv[1]).read_text())
    environment = os.environ | outputs["environment"]["value"] | {"HOLDFAST__API__LISTEN": LISTEN}
    # Without a partner an order is completed when it is recorded, so that nobody is needed but us.
    environment.pop("HOLDFAST__ORDERS__PARTNER", None)

    run(environment, "migrate")
    client = json.loads(run(environment, "clients", "create", f"terraform-{os.getpid()}"))
    headers = {"Authorization": f"Bearer {client['apiKey']}", "Content-Type": "application/json"}
    running = []
    try:
        running.append(start(environment, "holdfast-api"))
        until("the API is ready", is_ready)
        order = submit(headers)
        print(f"order {order['id']}: 202")
        url = outputs["urls"]["value"]["orders"]
        until("the message is in the queue", lambda: waiting_in(url) == 1)
        print(f"its message lies in {url}")
        running.append(start(environment, "holdfast-worker"))
        until("the order is completed", lambda: status_of(order, headers) == "completed")
        print("completed")
        until("the message is gone", lambda: waiting_in(url) == 0)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)


def run(environment, *arguments):
    return subprocess.run(
        [PROGRAMS / "holdfast", *arguments], env=environment, check=True, stdout=subprocess.PIPE, timeout=PATIENCE_S
    ).stdout


def start(environment, name):
    return subprocess.Popen([PROGRAMS / name], env=environment | {"RUST_LOG": "warn"})


def is_ready():
    try:
        return ask("/readyz").status == 200
    except OSError:
        return False


def submit(headers):
    body = {"orderId": "o-1", "userId": "u-1", "productName": "tea", "quantity": 1, "totalPrice": "7.50"}
    with ask("/api/v1/orders", headers, json.dumps(body).encode()) as answer:
        return json.load(answer)


def status_of(order, headers):
    with ask(order["links"]["self"], headers) as answer:
        return json.load(answer)["status"]


def ask(path, headers=None, body=None):
    request = urllib.request.Request(f"http://{LISTEN}{path}", data=body, headers=headers or {})
    return urllib.request.urlopen(request, timeout=10)


def waiting_in(queue_url):
    """Messages in the queue, received or not. An emulator takes any signature."""
    counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    scope = f"test/20260101/{os.environ['AWS_REGION']}/sqs/aws4_request"
    headers = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "AmazonSQS.GetQueueAttributes",
    }
    body = json.dumps({"QueueUrl": queue_url, "AttributeNames": counts}).encode()
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL_SQS"], data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        attributes = json.loads(answer.read())["Attributes"]
    return sum(int(attributes[name]) for name in counts)


def until(what, holds):
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {PATIENCE_S} s: {what}")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
