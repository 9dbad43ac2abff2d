#!/usr/bin/env bash
# Runs inside of LocalStack's container as soon as SQS answers: creates the queues of terraform/queues.json, with the same
# program as localstack/run. docker-compose.yml mounts both below /opt/holdfast. The container counts as healthy only after
# this has ended well.
set -euo pipefail

export AWS_ENDPOINT_URL_SQS=http://127.0.0.1:4566
export AWS_REGION=${AWS_REGION:-eu-west-1}
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
exec python -I /opt/holdfast/localstack/create_queues.py
