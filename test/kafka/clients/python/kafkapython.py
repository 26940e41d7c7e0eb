"""Drives kafka-python, as protocol.py says."""

import kafka
from kafka import errors
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic

import protocol
from protocol import Failed


def code(e):
    return max(getattr(e, "errno", 0) or 0, 0)


def managed(call):
    def run(r):
        a = KafkaAdminClient(bootstrap_servers=r["server"])
        try:
            return call(a, r)
        finally:
            a.close()
    return run


def partitions(a, r):
    t = a.describe_topics([r["topic"]])[0]
    if t["error_code"]:
        raise Failed(t["error_code"], str(errors.for_code(t["error_code"])))
    return {"count": len(t["partitions"])}


def config(a, r):
    got = a.describe_configs([ConfigResource(ConfigResourceType.TOPIC, r["topic"])])
    return {"count": len(got)}


def reader(r, **more):
    return kafka.KafkaConsumer(bootstrap_servers=r["server"], group_id=None, enable_auto_commit=False, auto_offset_reset="none", **more)


def find(c, r):
    """Where a request's "from" points."""
    tp = kafka.TopicPartition(r["topic"], r["partition"])
    if r["from"] == "earliest":
        return c.beginning_offsets([tp])[tp]
    if r["from"] == "latest":
        return c.end_offsets([tp])[tp]
    if r["from"] == "time":
        found = c.offsets_for_times({tp: r["at"]})[tp]
        return found.offset if found else -1
    return r["at"]


def offset(r):
    c = reader(r)
    try:
        return {"offset": find(c, r)}
    finally:
        c.close()


def produce(r):
    streaming = r["op"] == "stream"
    timeout = 3600_000 if streaming else protocol.LIMIT * 1000
    p = kafka.KafkaProducer(
        bootstrap_servers=r["server"], acks="all" if r["acks"] == "all" else int(r["acks"]), enable_idempotence=r["idempotent"],
        compression_type=None if r["codec"] == "none" else r["codec"], max_request_size=64 << 20, delivery_timeout_ms=timeout, linger_ms=5)
    try:
        futures = [(i, p.send(r["topic"], value, key, headers, r["partition"], millis)) for i, key, value, headers, millis in protocol.each(r)]
        base = -1
        for i, f in futures:
            m = f.get(timeout / 1000)
            if i == r["first"] and r["acks"] != "0":
                base = m.offset
            if streaming:
                protocol.tell(i, m.offset)
        return {"offset": base}
    finally:
        p.close(timeout=protocol.LIMIT)


def consume(r):
    c = reader(r)
    try:
        tp = kafka.TopicPartition(r["topic"], r["partition"])
        c.assign([tp])
        c.seek(tp, find(c, r))
        guard, records = protocol.Guard(), []
        while len(records) < r["count"]:
            for m in c.poll(min(guard.left(), 5) * 1000, r["count"] - len(records)).get(tp, []):
                records.append(protocol.read(m.offset, m.timestamp, m.key or b"", m.value or b"", m.headers))
        return {"records": records}
    finally:
        c.close()


def checked(response):
    """Old versions hand errors of topics back, new ones throw them."""
    for t in getattr(response, "topic_errors", None) or getattr(response, "topic_error_codes", None) or []:
        if t[1]:
            raise Failed(t[1], str(errors.for_code(t[1])))


protocol.serve({
    "version": lambda r: {"version": kafka.__version__},
    "create": managed(lambda a, r: checked(a.create_topics([NewTopic(r["topic"], r["partitions"], 1)]))),
    "delete": managed(lambda a, r: checked(a.delete_topics([r["topic"]]))),
    "grow": managed(lambda a, r: checked(a.create_partitions({r["topic"]: NewPartitions(r["partitions"])}))),
    "partitions": managed(partitions), "config": managed(config), "offset": offset, "produce": produce, "stream": produce, "consume": consume,
}, code)
