/**
 * Features and predictions over HTTP: 100,000 customers with 50 features in five views in Redis (four of latest values,
 * one of windows), a perceptron 50-64-1, keys and metrics on, one prediction in a hundred logged. The server is one
 * process of `lockstep serve`; the load comes from wrk where it is installed, else from autocannon, over 64
 * connections.
 *
 *     raw_http_rps        requests/s of a bare node:http server that parses the same JSON body and answers a constant
 *     ratio_features      requests/s of /v1/features with one entity, over raw_http_rps; ratio_predict those of
 *                         /v1/predict. Each is the median of the rounds' own ratios, because the speed of a shared
 *                         machine changes between rounds
 *     cpu_us              processor time of the server per request, of the round with the best rate
 *     cpu_us_raw          the same as the median of the rounds; so are cpu_us_features and cpu_us_predict, and cpu_us_bulk_row for one
 *                         of the 100 rows of a request. Noise of the machine affects these less than rates
 *     ratio_cpu_predict   cpu_us_predict over cpu_us_raw, 2.2 at most; ratio_cpu_features that of features, 2.4 at most
 *     predict_p99_ms      at 64 connections, of the round with the best rate; raw_p99_ms that of the bare server
 *     predict_1000        p50 and p99 at 1,000 requests/s, the best of three rounds by p99; raw_1000 those of the bare server
 *     bulk100             predictions/s by requests of 100 entities; ratio_bulk over a bare MGET of the same keys by ioredis, as many at once; ratio_bulk_reader over one by the store's
 *                         own reader, which is faster
 *     oip_rps             of the Open Inference Protocol by tensor, as JSON and binary
 *     overhead_us         p50 of a prediction at one connection, less that of a bare run of the model and of a bare MGET
 *
 *     LOCKSTEP_POSTGRES_URL=… LOCKSTEP_REDIS_URL=… npm run bench -- serving [--entities 100000] [--seconds 3] [--rounds 5] [--json]
 *
 * Rates and times are the best of alternating rounds; ratios are the median of those within a round. It works in its
 * own database and under its own key prefix, and removes both.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { median } from './in-process.ts'
import { bareReads, bareRunUs } from './serving/bare.ts'
import type { Loaded, Target } from './serving/load.ts'
import { load, loadTool, pacedLoad } from './serving/load.ts'
import { inServedPlace } from './serving/served-place.ts'
import { cpuSeconds, end, start } from './serving/server.ts'
import type { TargetName } from './serving/targets.ts'
import { targetsAt } from './serving/targets.ts'

const { values: args } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    entities: { type: 'string', default: '100000' },
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '5' },
  },
})
const [entities, seconds, rounds] = [args.entities, args.seconds, args.rounds].map(Number) as [number, number, number]
const connections = 64
const bulkConnections = 8
const pacedRounds = 3
/** V8 compiles for some 40,000 requests; the figures are of a server that has been up for longer. */
const warmUpSeconds = 4
const none: Loaded = { requests: 0, rps: 0, p50Ms: Number.POSITIVE_INFINITY, p99Ms: Number.POSITIVE_INFINITY }
await inServedPlace(entities, [], async ({ served, key, config, folder }) => {
  const tool = await loadTool()
  say(`${entities} customers, load by ${tool}`)
  const bare = await start([join(import.meta.dirname, 'serving/bare-server.ts')], process.env)
  try {
    const targets = targetsAt(served.url, bare.url, key, entities)
    await requireScores(targets.predict)
    await requireScores(targets.bulk)
    const measured: Partial<Record<TargetName, Measured[]>> = {}
    const measure = async (name: TargetName, at: number, isWarmUp: boolean): Promise<void> => {
      const server = name === 'raw' ? bare : served
      const before = await cpuSeconds(server.child)
      const loaded = await load(tool, targets[name], { connections: at, seconds: isWarmUp ? warmUpSeconds : seconds, folder })
      const result = { ...loaded, cpuUs: (((await cpuSeconds(server.child)) - before) / loaded.requests) * 1e6 }
      if (isWarmUp) return
      ;(measured[name] ??= []).push(result)
      say(
        `${name.padEnd(12)} ${result.rps.toFixed(0).padStart(7)} requests/s   ${result.cpuUs.toFixed(0).padStart(5)} us CPU   p50 ${result.p50Ms.toFixed(2)} ms   p99 ${result.p99Ms.toFixed(2)} ms`,
      )
    }
    for (let round = 0; round <= rounds; round++) {
      for (const name of ['raw', 'features', 'predict'] as const) await measure(name, connections, round === 0)
    }
    for (let round = 0; round <= rounds; round++) {
      for (const name of ['oipJson', 'oipBinary'] as const) await measure(name, connections, round === 0)
    }
    const reads: Record<'client' | 'reader', Awaited<ReturnType<typeof bareReads>>[]> = { client: [], reader: [] }
    for (let round = 0; round <= rounds; round++) {
      await measure('bulk', bulkConnections, round === 0)
      if (round === 0) continue
      for (const by of ['client', 'reader'] as const) {
        const one = await bareReads(config, entities, { by, atOnce: bulkConnections, seconds })
        reads[by].push(one)
        say(`MGET by the ${by} ${one.entitiesPerSecond.toFixed(0)} customers/s`)
      }
    }
    const rounded = (name: TargetName): readonly Measured[] => measured[name] ?? []
    const best = (name: TargetName): Measured => rounded(name).reduce((a, b) => (b.rps > a.rps ? b : a))
    const [raw, features, predict, bulk] = [best('raw'), best('features'), best('predict'), best('bulk')]
    /** Of the rates of one round. */
    const ratio = (of: TargetName, to: (round: number) => number): number =>
      round2(median(rounded(of).map(({ rps }, round) => rps / to(round))))
    const toRaw = (round: number): number => rounded('raw')[round]?.rps ?? Number.NaN
    const toReads = (by: 'client' | 'reader') => (round: number) => (reads[by][round]?.entitiesPerSecond ?? Number.NaN) / 100
    const oneUs = (by: 'client' | 'reader'): number => Math.min(...reads[by].map((read) => read.oneUs))
    const paced = { raw: none, predict: none }
    for (let round = 0; round < pacedRounds; round++) {
      for (const name of ['raw', 'predict'] as const) {
        const one = await pacedLoad(targets[name], { rate: 1000, seconds: Math.max(seconds, 5), connections })
        say(`${name.padEnd(12)}    1000 requests/s   p50 ${one.p50Ms.toFixed(2)} ms   p99 ${one.p99Ms.toFixed(2)} ms`)
        if (one.p99Ms < paced[name].p99Ms) paced[name] = one
      }
    }
    const alone = await load(tool, targets.predict, { connections: 1, seconds, folder })
    const runUs = await bareRunUs()
    say(
      `bare MGET of one customer's keys: ${oneUs('client').toFixed(0)} us by the client, ${oneUs('reader').toFixed(0)} us by the store's reader; bare run ${runUs.toFixed(0)} us; alone ${(alone.p50Ms * 1000).toFixed(0)} us`,
    )
    const cpuUs = (name: TargetName): number => median(rounded(name).map((round) => round.cpuUs))
    const result = {
      tool,
      raw_http_rps: Math.round(raw.rps),
      features_rps: Math.round(features.rps),
      predict_rps: Math.round(predict.rps),
      ratio_features: ratio('features', toRaw),
      ratio_predict: ratio('predict', toRaw),
      cpu_us: {
        raw: Math.round(raw.cpuUs),
        features: Math.round(features.cpuUs),
        predict: Math.round(predict.cpuUs),
        bulk100: Math.round(bulk.cpuUs),
      },
      cpu_us_raw: round2(cpuUs('raw')),
      cpu_us_features: round2(cpuUs('features')),
      cpu_us_predict: round2(cpuUs('predict')),
      cpu_us_bulk_row: round2(cpuUs('bulk') / 100),
      ratio_cpu_predict: round2(cpuUs('predict') / cpuUs('raw')),
      ratio_cpu_features: round2(cpuUs('features') / cpuUs('raw')),
      predict_p99_ms: round2(predict.p99Ms),
      raw_p99_ms: round2(raw.p99Ms),
      predict_1000: { p50_ms: round2(paced.predict.p50Ms), p99_ms: round2(paced.predict.p99Ms), rps: Math.round(paced.predict.rps) },
      raw_1000: { p50_ms: round2(paced.raw.p50Ms), p99_ms: round2(paced.raw.p99Ms) },
      bulk100_predictions_s: Math.round(bulk.rps * 100),
      ratio_bulk: ratio('bulk', toReads('client')),
      ratio_bulk_reader: ratio('bulk', toReads('reader')),
      oip_rps: { json: Math.round(best('oipJson').rps), binary: Math.round(best('oipBinary').rps) },
      overhead_us: Math.round(alone.p50Ms * 1000 - runUs - oneUs('client')),
    }
    process.stdout.write(`${JSON.stringify(result)}\n`)
  } finally {
    await end(bare)
  }
})

/** Checks the answer first: requests that the model cannot answer would be measured all the same. */
async function requireScores({ url, path, headers, bodies: [body] }: Target): Promise<void> {
  const answer = (await (await fetch(url + path, { method: 'POST', headers, body: body as string })).json()) as {
    predictions?: { score: number | null }[]
  }
  if (answer.predictions?.every(({ score }) => Number.isFinite(score)) !== true)
    throw new Error(`There is no score: ${JSON.stringify(answer)}`)
}

interface Measured extends Loaded {
  /** Of the server, for each request. */
  readonly cpuUs: number
}

function say(line: string): void {
  if (!args.json) process.stdout.write(`${line}\n`)
}

function round2(number: number): number {
  return Math.round(number * 100) / 100
}
