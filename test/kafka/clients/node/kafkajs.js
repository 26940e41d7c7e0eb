// Drives kafkajs: requests as JSON lines on standard input, an answer each on standard output. The package clients, in Go,
// describes the requests.
'use strict'

const readline = require('node:readline')
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
const snappy = require('kafkajs-snappy')
const lz4 = require('lz4js')
const xxh32 = require('lz4js/xxh32.js')
const zstd = require('@bokuweb/zstd-wasm')

// kafkajs has gzip, and takes every other codec from outside.
CompressionCodecs[CompressionTypes.Snappy] = snappy
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => independent(Buffer.from(lz4.compress(encoder.buffer))),
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from(zstd.decompress(buffer)),
})

// Java reads only frames that call their blocks independent of each other. A small batch is one block, and so it is.
function independent (frame) {
  frame[4] |= 0x20
  const end = frame[4] & 0x08 ? 14 : 6 // the descriptor has the size of the content, or not
  frame[end] = (xxh32.hash(0, frame, 4, end - 4) >> 8) & 0xff
  return frame
}

const codecs = {
  none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD,
}
const acks = { 0: 0, 1: 1, all: -1 }

class Unsupported extends Error {}

const client = (r) => new Kafka({ clientId: 'kafkajs', brokers: [r.server], logLevel: logLevel.NOTHING })

const managed = (call) => async (r) => {
  const admin = client(r).admin({ retry: { retries: 2 } })
  await admin.connect()
  try {
    return await call(admin, r)
  } finally {
    await admin.disconnect()
  }
}

async function config (admin, r) {
  return (await admin.describeConfigs({ resources: [{ type: 2, name: r.topic }], includeSynonyms: false })).resources[0]
}

async function offset (admin, r) {
  const at = r.from === 'time' ? await admin.fetchTopicOffsetsByTimestamp(r.topic, r.at) : await admin.fetchTopicOffsets(r.topic)
  const p = at.find((p) => p.partition === r.partition)
  return { offset: Number(r.from === 'earliest' ? p.low : p.offset) }
}

async function produce (r) {
  const streaming = r.op === 'stream'
  const producer = client(r).producer({
    idempotent: r.idempotent, maxInFlightRequests: 1, createPartitioner: () => ({ message }) => message.partition,
    retry: { retries: streaming ? Number.MAX_SAFE_INTEGER : 3 },
  })
  await producer.connect()
  try {
    let base = -1
    const step = streaming ? 10 : r.count // kafkajs sends what one call gives it as one batch
    for (let first = r.first; first < r.first + r.count; first += step) {
      const messages = []
      for (let i = first; i < first + step; i++) {
        messages.push({ key: `k${i}`, value: `${r.codec}-${i}`.padEnd(r.size, '.'), headers: { i: String(i) }, partition: r.partition, timestamp: String(r.time + i) })
      }
      const got = await producer.send({ topic: r.topic, acks: acks[r.acks], compression: codecs[r.codec], messages })
      const at = got && got[0] && got[0].baseOffset !== undefined ? Number(got[0].baseOffset) : -1
      if (first === r.first && r.acks !== '0') base = at
      for (let i = first; streaming && i < first + step; i++) print({ acked: i, offset: at + i - first })
    }
    return { offset: base }
  } finally {
    await producer.disconnect()
  }
}

const operations = {
  version: async () => ({ version: require('kafkajs/package.json').version }),
  create: managed(async (admin, r) => { await admin.createTopics({ topics: [{ topic: r.topic, numPartitions: r.partitions, replicationFactor: 1 }] }) }),
  delete: managed(async (admin, r) => { await admin.deleteTopics({ topics: [r.topic] }) }),
  grow: managed(async (admin, r) => { await admin.createPartitions({ topicPartitions: [{ topic: r.topic, count: r.partitions }] }) }),
  partitions: managed(async (admin, r) => ({ count: (await admin.fetchTopicMetadata({ topics: [r.topic] })).topics[0].partitions.length })),
  config: managed(async (admin, r) => ({ count: (await config(admin, r)).configEntries.length })),
  offset: managed(offset),
  produce,
  stream: produce,
  consume: async () => { throw new Unsupported('kafkajs consumes in groups only') },
}

const print = (answer) => process.stdout.write(JSON.stringify(answer) + '\n')

// The innermost error that names a code of Kafka's; kafkajs wraps what it has tried again.
function code (e) {
  if (e.errors && e.errors[0]) return code(e.errors[0])
  if (typeof e.code === 'number' && e.code > 0) return e.code
  return e.cause ? code(e.cause) : 0
}

async function main () {
  await zstd.init()
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const r = JSON.parse(line)
    try {
      print({ ...await operations[r.op](r), ok: true })
    } catch (e) {
      print(e instanceof Unsupported ? { unsupported: e.message } : { error: `${e.name}: ${e.message}`, code: code(e) })
    }
  }
}

main()
