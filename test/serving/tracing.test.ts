import { Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLogger } from '../../runtime/log.ts'
import { createOtlpTracing } from '../../runtime/tracing/otlp-tracing.ts'
import type { Tracing } from '../../runtime/tracing/span.ts'
import { readTraceSettings } from '../../runtime/tracing/trace-settings.ts'
import type { Collector, ReceivedSpan } from '../tracing/collector.ts'
import { openCollector } from '../tracing/collector.ts'
import { until } from './gate.ts'
import { openGrpc } from './oip/transports.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

const entities = [{ airport: 'ATL', distance: 1 }]
const question = { service: 'flight', entities }
const prediction = { model: 'echo', entities }
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const callerId = '00f067aa0ba902b7'

let world: World
let collector: Collector
let tracing: Tracing
let registry: Registry
let url: string
let grpc: string

/** With the settings of a process that has these environment variables. */
async function traced(endpoint: string, more: Readonly<Record<string, string>> = {}) {
  const settings = readTraceSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_BSP_SCHEDULE_DELAY: '10', ...more }, [])
  if (settings === null) throw new Error('It is off.')
  const metrics = new Registry()
  const opened = createOtlpTracing(settings, { log: createLogger('silent'), registry: metrics })
  return { tracing: opened, metrics, settings }
}

async function counted(metrics: Registry): Promise<Record<string, number>> {
  const metric = await metrics.getSingleMetric('lockstep_trace_spans_total')?.get()
  return Object.fromEntries((metric?.values ?? []).map(({ labels, value }) => [String(labels['outcome']), value]))
}

async function serve(by: Tracing, options: Parameters<World['serve']>[0] = {}) {
  const served = await world.serve({ tracing: by, config: { bodyLimitBytes: 100_000, accessLogShare: 1 }, ...options }, { grpcPort: 0 })
  await served.server.whenReady()
  return served
}

beforeAll(async () => {
  ;[world, collector] = await Promise.all([createWorld('redis'), openCollector()])
  await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-07-01T11:30:00Z', 25)`)
  await world.materialize('airport_delays')
  await world.push('echo', 'identity')
  const opened = await traced(collector.url, { OTEL_EXPORTER_OTLP_HEADERS: 'x-team=risk%20desk', OTEL_SERVICE_NAME: 'features' })
  tracing = opened.tracing
  registry = opened.metrics
  const served = await serve(tracing)
  url = served.url
  grpc = `127.0.0.1:${served.grpcPort}`
})
afterAll(async () => {
  await world?.close()
  await tracing?.close()
  await collector?.[Symbol.asyncDispose]()
})

/** Sends a request under an id of its own, and gives the answer with the spans of its trace. */
let sent = 0
async function spansOf(path: string, body: unknown, headers: Record<string, string> = {}) {
  const id = `traced-${sent++}`
  const answer = await ask(url, path, body, { 'x-request-id': id, ...headers })
  const spans = await collector.trace((span) => span.attributes['lockstep.request_id'] === id)
  const server = spans.find((span) => span.attributes['lockstep.request_id'] === id)
  if (server === undefined) throw new Error('There is no span of the request.')
  return { id, answer, spans, server }
}

/** Each span under its parent, in the order of their beginnings. */
function tree(spans: readonly ReceivedSpan[], { spanId, name }: ReceivedSpan): unknown {
  const children = spans.filter(({ parentId }) => parentId === spanId).toSorted((a, b) => Number(a.start - b.start))
  return children.length === 0 ? name : { [name]: children.map((child) => tree(spans, child)) }
}

describe('a traced request', () => {
  it('for predictions has a span for each stage, under that of its caller', async () => {
    const { answer, spans, server, id } = await spansOf('/v1/predict', prediction, {
      traceparent: `00-${traceId}-${callerId}-01`,
      tracestate: 'vendor=a,other=b',
    })
    expect(answer.status).toBe(200)
    expect(tree(spans, server)).toEqual({
      'POST /v1/predict': [
        'wait for admission',
        'read body',
        { 'read features': ['read online store', 'evaluate'] },
        'run model',
        'encode',
        'log',
      ],
    })
    expect(server).toMatchObject({ traceId, parentId: callerId, state: 'vendor=a,other=b', kind: 2, status: 0 })
    expect(server.attributes).toMatchObject({
      'http.request.method': 'POST',
      'http.route': '/v1/predict',
      'http.response.status_code': 200,
      'url.path': '/v1/predict',
      'url.scheme': 'http',
    })
    expect(answer.headers.get('traceparent')).toBe(`00-${traceId}-${server.spanId}-01`)
    const line = world.logged.find((each) => each.includes('a request was answered') && each.includes(`"${id}"`))
    expect(JSON.parse(line ?? '{}')).toMatchObject({ traceId, spanId: server.spanId, parentId: callerId })
    const [read, model] = ['read online store', 'run model'].map((name) => spans.find((span) => span.name === name))
    expect(read).toMatchObject({ kind: 3, attributes: { 'db.system.name': 'redis', 'db.operation.batch.size': 1 } })
    expect(model?.attributes).toEqual({ 'lockstep.model': 'echo', 'lockstep.versions': ['echo@1'], 'lockstep.rows': 1 })
    expect(server.resource).toMatchObject({ 'service.name': 'features', 'telemetry.sdk.language': 'nodejs' })
    expect(collector.requests[0]).toMatchObject({ path: '/v1/traces', headers: { 'x-team': 'risk desk' } })
  })

  it('has spans that lie within their parents', async () => {
    const { spans, server } = await spansOf('/v1/predict', prediction)
    const byId = new Map(spans.map((span) => [span.spanId, span]))
    const outside = spans.filter((span) => {
      const parent = byId.get(span.parentId)
      return span.start > span.end || (parent !== undefined && (span.start < parent.start || span.end > parent.end))
    })
    expect(outside).toEqual([])
    expect(spans).toHaveLength(9)
    expect(Math.abs(Number(server.start / 1_000_000n) - Date.now())).toBeLessThan(60_000)
  })

  it('for features, pushes and tensors has the spans of their own stages', async () => {
    const features = await spansOf('/v1/features', question)
    expect(tree(features.spans, features.server)).toEqual({
      'POST /v1/features': ['wait for admission', 'read body', { 'read features': ['read online store', 'evaluate'] }, 'encode'],
    })
    expect(features.server.parentId).toBe('')
    expect(features.answer.headers.get('traceparent')).toBe(`00-${features.server.traceId}-${features.server.spanId}-01`)
    const event = { airport: 'JFK', at: '2001-07-01T11:40:00Z', delay: 1, amount: 1, count: 1, city: 'x', open: true, vec: [1, 2] }
    const push = await spansOf('/v1/sources/landings/events', { events: [event] })
    expect(tree(push.spans, push.server)).toEqual({
      'POST /v1/sources/:name/events': ['wait for admission', 'read body', 'commit events', 'fold events'],
    })
    const inputs = [{ name: 'features', datatype: 'FP32', shape: [1, 3], data: [1, 2, 3] }]
    const tensors = await spansOf('/v2/models/echo/infer', { inputs })
    expect(tree(tensors.spans, tensors.server)).toEqual({
      'POST /v2/models/:model/infer': ['wait for admission', 'read body', 'run model'],
    })
    const feast = await spansOf('/get-online-features', { feature_service: 'flight', entities: { airport: ['ATL'], distance: [1] } })
    expect(feast.spans.map(({ name }) => name)).toContain('read online store')
  })

  it('over gRPC takes up the trace of its metadata', async () => {
    using caller = openGrpc(grpc)
    const inputs = [{ name: 'features', datatype: 'FP32', shape: [1, 3], contents: { fp32_contents: [1, 2, 3] } }]
    const grpcTrace = 'a'.repeat(32)
    const metadata = { traceparent: `00-${grpcTrace}-${callerId}-01`, tracestate: 'vendor=c' }
    await caller.ask('ModelInfer', { model_name: 'echo', inputs }, { metadata })
    await expect(caller.ask('ModelInfer', { model_name: 'ecko', inputs }, { metadata })).rejects.toThrow('ecko')
    const spans = await collector.trace((span) => span.traceId === grpcTrace && span.attributes['error.type'] !== undefined)
    const [good, bad] = spans.filter(({ kind }) => kind === 2)
    expect(good).toMatchObject({
      name: 'inference.GRPCInferenceService/ModelInfer',
      parentId: callerId,
      state: 'vendor=c',
      attributes: { 'rpc.system.name': 'grpc', 'rpc.response.status_code': 'OK' },
    })
    expect(good === undefined ? null : tree(spans, good)).toMatchObject({ [good?.name ?? '']: ['wait for admission', 'run model'] })
    expect(bad?.attributes).toMatchObject({ 'rpc.response.status_code': 'NOT_FOUND', 'error.type': 'UNKNOWN_DEFINITION' })
  })

  it('that is wrong names the error; one that the server fails is marked as failed', async () => {
    const wrong = await spansOf('/v1/predict', { ...prediction, model: 'ecko' })
    expect(wrong.server).toMatchObject({ status: 0, attributes: { 'http.response.status_code': 404, 'error.type': 'UNKNOWN_DEFINITION' } })
    const down = await serve(tracing, {
      store: async () => ({ ...world.openStore(), read: () => Promise.reject(new Error('a broken cable')) }),
    })
    const answer = await ask(down.url, '/v1/features', question, { 'x-request-id': 'failed' })
    const spans = await collector.trace((span) => span.attributes['lockstep.request_id'] === 'failed')
    expect(answer.status).toBe(500)
    const server = spans.find(({ kind }) => kind === 2)
    const message = expect.stringContaining('a broken cable')
    expect(server).toMatchObject({ status: 2, attributes: { 'http.response.status_code': 500 } })
    expect(server?.events).toMatchObject([{ name: 'exception', attributes: { 'exception.message': message } }])
    expect(spans.find(({ name }) => name === 'read online store')?.status).toBe(2)
    expect(answer.body.error.message).not.toContain('a broken cable')
    await down.server.close()
  })

  it('is not recorded if its caller does not sample, or for health checks', async () => {
    // those of earlier requests are counted once the collector's answer has come back
    await until(async () => (await counted(registry))['exported'] === collector.spans.length)
    const before = collector.spans.length
    const answer = await ask(url, '/v1/features', question, { traceparent: `00-${traceId}-${callerId}-00` })
    expect(answer.headers.get('traceparent')).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`))
    await ask(url, '/livez', undefined, { traceparent: `00-${traceId}-${callerId}-01` })
    const { spans } = await spansOf('/v1/features', question)
    await until(async () => ((await counted(registry))['exported'] ?? 0) >= before + spans.length)
    expect((await counted(registry))['exported']).toBe(before + spans.length)
  })
})

describe('a sampler', () => {
  it('of a ratio records that share of new traces, and all that a caller samples', async () => {
    const { tracing: some } = await traced(collector.url, {
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.25',
    })
    const begin = (flags?: string) =>
      some.begin('x', { kind: 'server', parent: flags === undefined ? undefined : { traceId, spanId: callerId, flags } }) !== undefined
    const share = Array.from({ length: 4000 }, () => begin()).filter(Boolean).length / 4000
    // of 4,000 fair draws, five standard deviations
    expect(Math.abs(share - 0.25)).toBeLessThan(0.035)
    expect([begin('01'), begin('00')]).toEqual([true, false])
    const { tracing: none } = await traced(collector.url, { OTEL_TRACES_SAMPLER: 'always_off' })
    expect(none.begin('x', { kind: 'server', parent: { traceId, spanId: callerId, flags: '01' } })).toBeUndefined()
    await Promise.all([some.close(), none.close()])
  })
})

describe('a collector', () => {
  it('that is down loses spans, which are counted, and fails no request', async () => {
    const { tracing: lost, metrics } = await traced('http://127.0.0.1:9', { OTEL_EXPORTER_OTLP_TIMEOUT: '300' })
    const { url: own, server } = await serve(lost)
    for (let i = 0; i < 3; i++) expect((await ask(own, '/v1/predict', prediction)).status).toBe(200)
    await until(async () => ((await counted(metrics))['failed'] ?? 0) > 0)
    await server.close()
    await lost.close()
  })

  it('that does not answer fills the queue: more spans are dropped and counted', async () => {
    let release: () => void = () => undefined
    const held = new Promise<number>((resolve) => (release = () => resolve(200)))
    await using slow = await openCollector(() => held)
    const { tracing: queued, metrics } = await traced(slow.url, { OTEL_BSP_MAX_QUEUE_SIZE: '20' })
    const { url: own, server } = await serve(queued)
    await ask(own, '/v1/predict', prediction)
    await until(async () => slow.requests.length > 0)
    for (let i = 0; i < 6; i++) expect((await ask(own, '/v1/predict', prediction)).status).toBe(200)
    const { dropped = 0 } = await counted(metrics)
    expect(dropped).toBeGreaterThanOrEqual(6 * 9 - 20)
    release()
    await server.close()
    await queued.close()
    const { exported = 0, failed } = await counted(metrics)
    expect([exported + dropped, failed]).toEqual([7 * 9, 0])
  })
})
