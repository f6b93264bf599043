"""Debezium events from Kafka to bulk requests with external versions: what a careful hand would write, less all error handling
but a stop. Offsets are committed after the answer, so a crash repeats writes, which their versions make harmless."""

import http.client
import os
import signal
import sys
from urllib.parse import urlsplit

import orjson
from confluent_kafka import Consumer

BATCH = 5000
ANSWER_PARTS = "filter_path=errors,items.*.status,items.*.error"


def order_status(row):
    """The transform of transforms/order-status: fields renamed, dropped and computed."""
    status = row["status"]
    if status == "cancelled":
        return None
    document = {"order_id": row["id"], "status": status, "open": status not in ("delivered", "returned")}
    for name in ("product_id", "customer", "quantity", "total", "placed_at"):
        if row[name] is not None:
            document[name] = row[name]
    return document


def lines_of(messages, transform):
    loads, dumps = orjson.loads, orjson.dumps
    lines = []
    for message in messages:
        if message.error():
            raise SystemExit(str(message.error()))
        value = message.value()
        if value is None:  # the tombstone after a delete
            continue
        event = loads(value)
        if "schema" in event and "payload" in event:
            event = event["payload"]
        key = loads(message.key())
        if "payload" in key:
            key = key["payload"]
        row, version = event["after"], event["source"]["lsn"]
        document = transform(row) if row is not None and transform else row
        if document is None:
            lines.append(b'{"delete":{"_id":"%d","version":%d,"version_type":"external"}}' % (key["id"], version))
        else:
            lines.append(b'{"index":{"_id":"%d","version":%d,"version_type":"external"}}' % (key["id"], version))
            lines.append(dumps(document))
    return lines


def consume(brokers, topic, url, index):
    transform = {"order_status": order_status}.get(os.environ.get("ROWMILL_BENCH_TRANSFORM"))
    address = urlsplit(url)
    server = http.client.HTTPConnection(address.hostname, address.port)
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"peer-python-{os.getppid()}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "queued.min.messages": 100000,
            "fetch.wait.max.ms": 10,
        }
    )
    consumer.subscribe([topic])
    while True:
        # The first is waited for, the rest is what has come meanwhile.
        messages = consumer.consume(1, 1.0)
        if not messages:
            continue
        messages += consumer.consume(BATCH - 1, 0)
        lines = lines_of(messages, transform)
        if lines:
            lines.append(b"")
            server.request("POST", f"/{index}/_bulk?{ANSWER_PARTS}", b"\n".join(lines), {"Content-Type": "application/x-ndjson"})
            answer = server.getresponse()
            told = orjson.loads(answer.read())
            if answer.status != 200:
                raise SystemExit(f"{answer.status}: {told}")
            if told["errors"]:
                for item in told["items"]:
                    (outcome,) = item.values()
                    # What the server has is newer, or there was nothing to delete.
                    if outcome["status"] not in (200, 201, 404, 409):
                        raise SystemExit(str(outcome))
        consumer.commit(asynchronous=True)


def main():
    children = []
    for _ in range(int(os.environ.get("PEER_PROCESSES", "2"))):
        child = os.fork()
        if child == 0:
            consume(*sys.argv[1:5])
        children.append(child)

    def end(*_):
        for child in children:
            os.kill(child, signal.SIGTERM)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    _, status = os.wait()
    for child in children:
        try:
            os.kill(child, signal.SIGTERM)
        except ProcessLookupError:
            pass
    sys.exit(os.waitstatus_to_exitcode(status) or 1)


main()
