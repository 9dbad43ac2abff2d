"""What JSON Schema cannot say of Holdfast's API, said to Schemathesis.

Valid requests, and only those, are made ones that can be accepted. Each rule that is bent here has tests of its own in
Rust. Nothing that is meant to be refused is touched.
"""

import base64
import binascii
import json
import os
import re
import uuid
from decimal import Decimal

import schemathesis

INBOX = f"{os.environ['INBOX_URL']}/callbacks"
OWN_IDS = {
    "/api/v1/transactions": "transactionId",
    "/api/v1/refunds": "refundId",
    "/api/v1/orders": "orderId",
}
known = {}


@schemathesis.hook
def before_load_schema(_context, raw_schema):
    """An answer with a field that the document does not know is a failure here, although clients must take it."""
    for schema in raw_schema["components"]["schemas"].values():
        close(schema)


def close(schema):
    for part in schema.get("oneOf", []):
        close(part)
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)


@schemathesis.hook
def before_call(_context, case, _kwargs):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.method == "PUT" and isinstance(case.body, dict):
        # Nobody on the internet is told anything.
        case.body = {**case.body, "url": INBOX}
    if case.method == "POST" and case.path in OWN_IDS and isinstance(case.body, dict):
        case.body = acceptable(case.body)
        identify(case, OWN_IDS[case.path])
    if case.method == "GET" and not is_cursor(case.query.get("cursor")):
        # Only a page that came before says where the next one begins.
        case.query.pop("cursor", None)


def acceptable(body):
    """How many decimals an amount may have is a matter of its currency; every currency has whole units."""
    body = dict(body)
    for name in ("amount", "totalPrice"):
        if body.get(name) is not None:
            whole = int(Decimal(str(body[name]))) % 10**11 or 1
            body[name] = str(whole) if isinstance(body[name], str) else whole
    if body.get("callbackUrl") is not None:
        body["callbackUrl"] = INBOX
    return body


def identify(case, own_id):
    """A key in the body or in a header, and another one where this stands for other content already."""
    own = case.body.get(own_id)
    key = own if own is not None else case.headers.get("Idempotency-Key")
    if key is not None and stands_for(case, key):
        return
    fresh = uuid.uuid4().hex
    if own is None:
        case.headers["Idempotency-Key"] = fresh
    else:
        case.body = {**case.body, own_id: fresh}
    stands_for(case, fresh)


def stands_for(case, key):
    """Whether the key stands for this content, now or since before."""
    content = json.dumps(case.body, sort_keys=True)
    return known.setdefault((case.path, key.strip('"')), content) == content


def is_cursor(value):
    """`microseconds.number`, in base64url without padding."""
    try:
        text = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
    except (TypeError, ValueError, binascii.Error):
        return False
    return re.fullmatch(r"[0-9]{1,16}\.[0-9]{1,18}", text) is not None
