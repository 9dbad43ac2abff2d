#!/usr/bin/env python3
"""What must happen over the queues that Terraform has made.

A transaction goes from its 202 to completed: the worker starts only when its message has been seen in its queue, so it
went through there. Then a message that nobody can claim, because somebody has locked its row, ends in the dead-letter
queue after the receives that the redrive policy allows, and its command is completed once the row is free.

Runs inside `holdfast-devstack run --settings`, with the file that `terraform output -json` has written.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

PROGRAMS = Path(__file__).resolve().parents[2] / "target/debug"
HOME = ".devstack/terraform"
LISTEN = "127.0.0.1:18570"
PARTNER = "127.0.0.1:18571"
INBOX = "127.0.0.1:18572"
# Everything but the dead letters, which would be taken from their queue before they are seen there.
SOURCES = "transactions,refunds,orders,journal"
PATIENCE_S = 60
# Three receives, each followed by a visibility timeout of 30 s.
REDRIVE_S = 180


def main():
    outputs = json.loads(Path(sys.argv[1]).read_text())
    environment = os.environ | outputs["environment"]["value"]
    environment |= {
        "HOLDFAST__API__LISTEN": LISTEN,
        "HOLDFAST__PARTNERS__PROCESSOR__BASE_URL": f"http://{PARTNER}",
        "HOLDFAST_QUEUES": SOURCES,
        "RUST_LOG": "warn",
    }
    queue, dead_letters = (outputs[name]["value"]["transactions"] for name in ("urls", "dead_letter_urls"))

    run(environment, "migrate")
    client = json.loads(run(environment, "clients", "create", f"terraform-{os.getpid()}"))
    headers = {"Authorization": f"Bearer {client['apiKey']}", "Content-Type": "application/json"}
    webhooks = f"http://{LISTEN}/api/v1/webhooks"
    sandbox = ["sandbox", "--listen", PARTNER, "--inbox-listen", INBOX, "--webhooks-url", webhooks]
    with running(environment, "holdfast-devstack", "--home", HOME, *sandbox), running(environment, "holdfast-api"):
        until("the API is ready", is_ready)
        goes_all_the_way(environment, headers, queue)
        lands_in_the_dead_letters(environment, headers, queue, dead_letters)


def goes_all_the_way(environment, headers, queue):
    transaction = submit(headers, "t-1")
    print(f"transaction {transaction['id']}: 202")
    until("its message is in the queue", lambda: waiting_in(queue) == 1)
    print(f"its message lies in {queue}")
    with running(environment, "holdfast-worker"):
        until("it is completed", lambda: status_of(transaction, headers) == "completed")
        print("completed")
        until("its message is gone", lambda: waiting_in(queue) == 0)


def lands_in_the_dead_letters(environment, headers, queue, dead_letters):
    transaction = submit(headers, "t-2")
    print(f"transaction {transaction['id']}: 202")
    with locked(environment, transaction["id"]), running(environment, "holdfast-worker"):
        print("its row is locked: every claim times out")
        until("its message is a dead letter", lambda: waiting_in(dead_letters) == 1, REDRIVE_S)
        expect(waiting_in(queue) == 0, "nothing is left in the queue")
        expect(status_of(transaction, headers) != "completed", "it is not completed")
        print(f"its message lies in {dead_letters}")
    with running(environment, "holdfast-worker"):
        until("it is completed once its row is free", lambda: status_of(transaction, headers) == "completed")
    print("completed, once its row was free")


def run(environment, *arguments):
    return subprocess.run(
        [PROGRAMS / "holdfast", *arguments], env=environment, check=True, stdout=subprocess.PIPE, timeout=PATIENCE_S
    ).stdout


@contextlib.contextmanager
def running(environment, name, *arguments):
    process = subprocess.Popen([PROGRAMS / name, *arguments], env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@contextlib.contextmanager
def locked(environment, command):
    """A forgotten transaction in somebody's console."""
    console = subprocess.Popen(
        ["psql", "--quiet", "--no-psqlrc", "--tuples-only", environment["DATABASE_URL"]],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        console.stdin.write(
            "begin; select 'locked' from wakeups join commands using (no) "
            f"where commands.id = '{command}' for update of wakeups;\n"
        )
        console.stdin.flush()
        expect(console.stdout.readline().strip() == "locked", "the row can be locked")
        yield
    finally:
        # Ends the session, and with it the transaction.
        console.communicate(timeout=PATIENCE_S)


def is_ready():
    try:
        return ask("/readyz").status == 200
    except OSError:
        return False


def submit(headers, name):
    body = {"transactionId": name, "amount": "7.50", "currency": "EUR"}
    with ask("/api/v1/transactions", headers, json.dumps(body).encode()) as answer:
        return json.load(answer)


def status_of(command, headers):
    with ask(command["links"]["self"], headers) as answer:
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


def until(what, holds, patience_s=PATIENCE_S):
    deadline = time.monotonic() + patience_s
    while not holds():
        expect(time.monotonic() < deadline, f"within {patience_s} s: {what}")
        time.sleep(0.2)


def expect(holds, what):
    if not holds:
        raise SystemExit(f"does not hold: {what}")


if __name__ == "__main__":
    main()
