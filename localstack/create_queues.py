#!/usr/bin/env python3
"""Creates the queues of terraform/queues.json at an SQS emulator.

Running it again changes nothing, or brings existing queues to what the file says.
It must never reach AWS itself, where Terraform alone creates queues: without
AWS_ENDPOINT_URL_SQS it refuses to run.
"""

import json
import os
import sys
from pathlib import Path

import boto3
from botocore.config import Config

QUEUES_FILE = Path(__file__).resolve().parent.parent / "terraform" / "queues.json"

OVERFLOW_SUFFIX = "-overflow"


def main():
    sqs = connect()
    for queue in json.loads(QUEUES_FILE.read_text())["queues"].values():
        create_queue(sqs, queue)


def create_queue(sqs, queue):
    attributes = {
        "VisibilityTimeout": queue["visibility_timeout_seconds"],
        "MessageRetentionPeriod": queue["message_retention_seconds"],
        "ReceiveMessageWaitTimeSeconds": queue["receive_wait_time_seconds"],
    }
    dead_letter = queue.get("dead_letter")
    if dead_letter is None:
        ensure_queue(sqs, queue["name"], attributes)
        return

    # Each of the policies names the other queue. The dead-letter queue comes first, because a
    # redrive policy may only point at a queue that exists; its own policy follows when both do.
    retention = {"MessageRetentionPeriod": dead_letter["message_retention_seconds"]}
    dead_letter_url, dead_letter_arn = ensure_queue(sqs, dead_letter["name"], retention)
    attributes["RedrivePolicy"] = {
        "deadLetterTargetArn": dead_letter_arn,
        # A JSON number, not a string: AWS takes both, but not every emulator does.
        "maxReceiveCount": queue["max_receive_count"],
    }
    names = [queue["name"]]
    # What is a kind's has a queue for what its clients send beyond their share too (queues.overflow_suffix).
    if "kind" in queue:
        names.append(queue["name"] + OVERFLOW_SUFFIX)
    arns = [ensure_queue(sqs, name, attributes)[1] for name in names]
    allow = {"redrivePermission": "byQueue", "sourceQueueArns": arns}
    set_attributes(sqs, dead_letter_url, {"RedriveAllowPolicy": allow})


def ensure_queue(sqs, name, attributes):
    """Returns the URL and the ARN of the queue, which has these attributes afterwards."""
    # CreateQueue refuses a name that exists with other attributes. Created without any and set in
    # a second call, a queue from an older version of the file is brought up to date instead.
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    set_attributes(sqs, url, attributes)
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, found["Attributes"]["QueueArn"]


def set_attributes(sqs, url, attributes):
    # SQS wants every value as a string, and a policy as a string that holds JSON.
    texts = {name: json.dumps(value) for name, value in attributes.items()}
    sqs.set_queue_attributes(QueueUrl=url, Attributes=texts)


def connect():
    endpoint = os.environ.get("AWS_ENDPOINT_URL_SQS")
    if not endpoint:
        sys.exit("create_queues: AWS_ENDPOINT_URL_SQS is not set; it must name an SQS emulator")
    return boto3.client(
        "sqs",
        endpoint_url=endpoint,
        # boto3 itself reads AWS_DEFAULT_REGION only; the rest of Holdfast goes by AWS_REGION.
        region_name=os.environ.get("AWS_REGION", "eu-west-1"),
        aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", "test"),
        aws_secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY", "test"),
        # An emulator on this machine answers at once or not at all.
        config=Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 3}),
    )


if __name__ == "__main__":
    main()
