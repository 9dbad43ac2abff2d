#!/usr/bin/env python3
"""moto's server (5.2.5), taught what the AWS provider asks for and moto forgets.

Arguments are those of moto_server, such as -H 127.0.0.1 -p 5000.
"""

import json
import os
import sys

# Read when moto is imported: AWS's own policies exist.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"

from moto.acm.models import CertBundle, acm_backends
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.server import main
from moto.sqs.models import Queue


def keep_policies_of_queues():
    """A queue keeps its policy when another attribute is set, and has a redrive-allow policy."""
    Queue.redrive_allow_policy = None
    Queue.BASE_ATTRIBUTES = [*Queue.BASE_ATTRIBUTES, "RedriveAllowPolicy"]
    set_given = Queue._set_attributes

    def set_attributes(queue, attributes, now=None):
        set_given(queue, {"Policy": getattr(queue, "policy", None), **attributes}, now)

    Queue._set_attributes = set_attributes


def keep_tags_of_scalable_targets():
    """The provider reads them back after it has registered a target."""
    tags = {}
    register = ApplicationAutoScalingResponse.register_scalable_target

    def register_scalable_target(response):
        answer = register(response)
        tags[json.loads(answer)["ScalableTargetARN"]] = json.loads(response.body).get("Tags", {})
        return answer

    def list_tags_for_resource(response):
        asked = json.loads(response.body)["ResourceARN"]
        return json.dumps({"Tags": tags.get(asked, {})})

    ApplicationAutoScalingResponse.register_scalable_target = register_scalable_target
    ApplicationAutoScalingResponse.list_tags_for_resource = list_tags_for_resource


def have_a_certificate():
    """The one of moto.tfvars, for the load balancer."""
    account, region = "123456789012", "eu-west-1"
    bundle = CertBundle.generate_cert("api.example.com", account_id=account, region=region)
    bundle.arn = f"arn:aws:acm:{region}:{account}:certificate/00000000-0000-0000-0000-000000000000"
    acm_backends[account][region]._certificates[bundle.arn] = bundle


if __name__ == "__main__":
    keep_policies_of_queues()
    keep_tags_of_scalable_targets()
    have_a_certificate()
    main(sys.argv[1:])
