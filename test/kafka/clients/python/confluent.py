"""Drives confluent-kafka, and so librdkafka, as protocol.py says."""

import uuid

import confluent_kafka as ck
from confluent_kafka import admin

import protocol
from protocol import Failed


def code(e):
    while isinstance(e, ck.KafkaException) and e.args:
        e = e.args[0]
    if not isinstance(e, ck.KafkaError):
        return 0
    # A consumer that shall not start anywhere else tells why in words only.
    if e.code() == ck.KafkaError._AUTO_OFFSET_RESET and "Offset out of range" in e.str():
        return ck.KafkaError.OFFSET_OUT_OF_RANGE
    return max(e.code(), 0)


def done(futures):
    return [f.result(protocol.LIMIT) for f in futures.values()]


managers = {}  # kept: an answer is lost with the client that is waiting for it


def manager(r):
    return managers.setdefault(r["server"], admin.AdminClient({"bootstrap.servers": r["server"]}))


def partitions(r):
    t = manager(r).list_topics(r["topic"], timeout=protocol.LIMIT).topics[r["topic"]]
    if t.error:
        raise ck.KafkaException(t.error)
    return {"count": len(t.partitions)}


def config(r):
    about = admin.ConfigResource(admin.ConfigResource.Type.TOPIC, r["topic"])
    return {"count": len(done(manager(r).describe_configs([about]))[0])}


def offset(r):
    specs = {"earliest": admin.OffsetSpec.earliest, "latest": admin.OffsetSpec.latest}
    spec = specs[r["from"]]() if r["from"] in specs else admin.OffsetSpec.for_timestamp(r["at"])
    got = done(manager(r).list_offsets({ck.TopicPartition(r["topic"], r["partition"]): spec}))
    return {"offset": got[0].offset}


def produce(r):
    streaming = r["op"] == "stream"
    p = ck.Producer({
        "bootstrap.servers": r["server"], "acks": r["acks"], "enable.idempotence": r["idempotent"], "compression.codec": r["codec"],
        "message.max.bytes": 64 << 20, "linger.ms": 5, "message.timeout.ms": 0 if streaming else protocol.LIMIT * 1000,
    })
    base, failed = [-1], []

    def delivered(i):
        def call(err, m):
            if err:
                failed.append(ck.KafkaException(err))
                return
            if i == r["first"] and r["acks"] != "0":
                base[0] = m.offset()
            if streaming:
                protocol.tell(i, m.offset())
        return call

    for i, key, value, headers, millis in protocol.each(r):
        while True:
            try:
                p.produce(r["topic"], value, key, r["partition"], on_delivery=delivered(i), timestamp=millis, headers=headers)
                break
            except BufferError:
                p.poll(1)
        p.poll(0)
    left = p.flush(-1 if streaming else protocol.LIMIT)
    if failed:
        raise failed[0]
    if left:
        raise Failed(0, "%d records were not delivered" % left)
    return {"offset": base[0]}


def consume(r):
    c = ck.Consumer({
        "bootstrap.servers": r["server"], "group.id": "unused-" + uuid.uuid4().hex, "enable.auto.commit": False, "auto.offset.reset": "error",
    })
    try:
        at = r["at"]
        if r["from"] == "time":
            at = c.offsets_for_times([ck.TopicPartition(r["topic"], r["partition"], at)], protocol.LIMIT)[0].offset
        c.assign([ck.TopicPartition(r["topic"], r["partition"], at)])
        guard, records = protocol.Guard(), []
        while len(records) < r["count"]:
            for m in c.consume(r["count"] - len(records), min(guard.left(), 5)):
                if m.error():
                    raise ck.KafkaException(m.error())
                records.append(protocol.read(m.offset(), m.timestamp()[1], m.key() or b"", m.value() or b"", m.headers()))
        return {"records": records}
    finally:
        c.close()


protocol.serve({
    "version": lambda r: {"version": "%s, librdkafka %s" % (ck.__version__, ck.libversion()[0])},
    "create": lambda r: done(manager(r).create_topics([admin.NewTopic(r["topic"], r["partitions"], 1)])) and None,
    "delete": lambda r: done(manager(r).delete_topics([r["topic"]])) and None,
    "grow": lambda r: done(manager(r).create_partitions([admin.NewPartitions(r["topic"], r["partitions"])])) and None,
    "partitions": partitions, "config": config, "offset": offset, "produce": produce, "stream": produce, "consume": consume,
}, code)
