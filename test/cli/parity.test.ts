import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createContext } from '../../cli/context.ts'
import { prepare } from '../../cli/run.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { withContext } from '../../cli/with-context.ts'
import { loadConfig } from '../../runtime/config.ts'
import type { World } from '../serving/world.ts'
import { ask, createWorld, noon } from '../serving/world.ts'
import { lockstep } from './lockstep.ts'
import type { Ended, Environment } from './run-lockstep.ts'
import { killAll } from './run-lockstep.ts'

let world: World
let env: Environment

beforeAll(async () => {
  world = await createWorld('redis')
  env = { LOCKSTEP_POSTGRES_URL: world.postgresUrl }
  await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-07-01T11:30:00Z', 25)`)
  await world.materialize('airport_delays')
  await world.push('echo', 'identity')
  const { server, url } = await world.serve({
    config: { bodyLimitBytes: 100_000, logShares: { share: 1, models: new Map() } },
    clock: () => Date.now() * 1000,
  })
  await server.whenReady()
  const entities = ['ATL', 'JFK'].map((airport) => ({ airport, distance: 4 }))
  await ask(url, '/v1/predict', { model: 'echo', entities, asOf: noon }, { 'x-request-id': 'mine-1' })
  await server.close()
})
afterAll(async () => {
  killAll()
  await world?.close()
})

const parity = (...words: string[]): Promise<Ended> => lockstep(env, 'parity', ...words)

describe('lockstep parity', () => {
  it('prints equal values, also of retired definitions, and exits with 0', async () => {
    await world.db.query(`update lockstep.definitions set retired_at = now() where kind = 'service' and name = 'flight'`)
    const { code, out } = await parity()
    await world.db.query(`update lockstep.definitions set retired_at = null`)
    expect(code).toBe(0)
    expect(out).toMatch(/flight@1 +lastDelay +2 +0 +0 +0 +0 +0 +0\n/)
    expect(out).toContain('0 of 6 values differ (0 %, and the budget is 0 %).')
    expect(out).not.toContain('--sample')
    const part = await parity('--sample', '1')
    expect([part.code, part.out]).toEqual([0, expect.stringMatching(/note: "--sample 1" is the limit .*\n0 of 3 values differ/)])
  })

  it('exits with 1 if more differs than the budget allows, with an example', async () => {
    await world.db.query(
      `update lockstep.prediction_log set features = replace(features::text, '"lastDelay":25', '"lastDelay":26')::json where request_id = 'mine-1'`,
    )
    const strict = await parity('--since', '30m')
    const lenient = await parity('--budget', '20%', '--json')
    expect(strict.code).toBe(1)
    expect(strict.out).toContain(
      'other: lastDelay of {"airport":"ATL"} as of 2001-07-01T12:00:00Z: 26 was served, the history says 25 (echo@1, request mine-1, entity 0)',
    )
    expect(strict.out).toContain('1 of 6 values differ (16.7 %, and the budget is 0 %).')
    expect(lenient.code).toBe(0)
    const none = await parity('--model', 'echo', '--since', '1ms')
    expect([none.code, none.out]).toEqual([1, expect.stringContaining('There are no predictions of the last 1ms to compare')])
    await world.db.query(`alter table lockstep_source.landings rename column delay to renamed`)
    const unreadable = await parity()
    await world.db.query(`alter table lockstep_source.landings rename column renamed to delay`)
    expect([unreadable.code, unreadable.out]).toEqual([1, expect.stringContaining('every logged vector was skipped')])
    expect(unreadable.out).toMatch(/note: skipped 2 vectors that cannot be read or recomputed\n {2}2 vectors of flight@1: .*"delay"/)
    const { url, server } = await world.serve({ clock: () => Date.now() * 1000 })
    await server.whenReady()
    const remote = await parity('--budget', '20%', '--model', 'echo', '--since', '30m', '--json', '--server', url)
    const misspelt = await parity('--model', 'ehco', '--server', url)
    await server.close()
    expect([remote.code, remote.json]).toEqual([0, lenient.json])
    expect([misspelt.code, misspelt.err]).toEqual([1, expect.stringContaining('Did you mean "echo"')])
    expect(lenient.json).toMatchObject({ vectors: 2, values: 6, differing: 1, budget: 0.2, within: true, examples: [{ verdict: 'other' }] })
  })

  it('compares no values that may have counted rows which were erased since, and reports how many', async () => {
    const receipt = [{ what: 'removed', kind: 'rows', where: 'lockstep_source."landings"', count: 6 }]
    await world.db.query(
      `insert into lockstep.erasures (entity, key_hash, receipt, finished_at) values ('plane', '', $1, now() + interval '1 hour')`,
      [JSON.stringify(receipt)],
    )
    const { code, out } = await parity()
    await world.db.query('delete from lockstep.erasures')
    expect(out).toMatch(/flight@1 +lastDelay +1 +0 +0 +0 +0 +1 +0\n/)
    expect(out).toContain('note: 1 value not compared, because rows of their sources were erased since')
    expect([code, out]).toEqual([0, expect.stringContaining('0 of 5 values differ (0 %, and the budget is 0 %).')])
  })

  it('has the log that it reads listed, and written to a file with typed columns', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lockstep-predictions-'))
    const out = join(folder, 'served.jsonl')
    const listed = await lockstep(env, 'predictions', 'list', '--request', 'mine-1')
    const told = await lockstep(env, 'predictions', 'list', '--request', 'mine-1', '--json')
    const exported = await lockstep(env, 'predictions', 'export', 'echo', '--out', out, '--json')
    const other = await lockstep(env, 'predictions', 'list', 'ehco')
    expect(await lockstep(env, 'predictions', 'list', 'ehco', '--model', 'ehco')).toEqual(other)
    expect((await lockstep(env, 'predictions', 'list', 'echo', '--model', 'ehco')).err).toContain('names the model "echo", and --model')
    expect([listed.code, listed.out]).toEqual([
      0,
      expect.stringMatching(/echo@1 +champion +mine-1 +{"airport":"ATL"} +{"out":\[25,1,6.25\]}/),
    ])
    expect(told.json).toMatchObject({ predictions: [{ asOf: '2001-07-01T12:00:00Z', at: expect.stringMatching(/Z$/) }, { entity: 1 }] })
    const ids = told.json.predictions.map(({ predictionId }) => predictionId)
    expect(ids).toEqual([expect.stringMatching(/.+\/0$/), expect.stringMatching(/.+\/1$/)])
    const byId = await lockstep(env, 'predictions', 'list', '--prediction', ids[1] ?? '', '--json')
    expect(byId.json).toEqual({ next: null, predictions: [expect.objectContaining({ predictionId: ids[1], entity: 1 })] })
    expect([other.code, other.err]).toEqual([1, expect.stringContaining('"ehco"')])
    expect([exported.code, exported.json]).toEqual([0, expect.objectContaining({ model: 'echo', service: 'flight@1', rows: 2 })])
    await world.db.query(`update lockstep.prediction_log set service = 'flight@9' where model = 'echo' and entity = 1`)
    const part = await lockstep(env, 'predictions', 'export', 'echo', '--out', join(folder, 'part.jsonl'))
    await world.db.query(`update lockstep.prediction_log set service = 'flight@1' where service = 'flight@9'`)
    expect(part.out).toMatch(
      /^Wrote 1 logged prediction .*\nnote: 1 logged prediction .* from flight@9 and not in the file: use --service flight@9\n$/,
    )
    const rows = (await readFile(out, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object)
    await rm(folder, { recursive: true })
    expect(rows).toEqual([
      {
        _at: expect.any(String),
        _request_id: 'mine-1',
        _prediction_id: ids[0],
        _entity: 0,
        _version: 1,
        _as_of: '2001-07-01T12:00:00Z',
        _role: 'champion',
        _experiment: null,
        _variant: null,
        airport: 'ATL',
        distance: 4,
        lastDelay: 26,
        landed1h: 1,
        pressure: 6.25,
        output__out: [25, 1, 6.25],
      },
      expect.objectContaining({ _entity: 1, airport: 'JFK', lastDelay: null, landed1h: 0 }),
    ])
  })

  it('refuses options that it cannot read', async () => {
    const wrong = [
      ['--budget', '2'],
      ['--since', 'yesterday'],
    ]
    for (const words of wrong) {
      const { code, err } = await parity(...words)
      expect([code, err]).toEqual([2, expect.stringMatching(new RegExp(`"${words[0]}".*lockstep parity --help`))])
    }
  })

  it('takes 200 predictions by default, and shows its progress on a terminal', async () => {
    await world.db.query(`insert into lockstep.prediction_log select p.* from lockstep.prediction_log p, generate_series(1, 150)`)
    const shown: string[] = []
    const err = { isTTY: true, write: (text: string) => shown.push(text) }
    const config = loadConfig({ ...env, LOCKSTEP_LOG_LEVEL: 'silent' })
    const context = createContext(config, createTerminal(false, { out: { write: () => true }, err }), new AbortController().signal)
    const { json, text } = await withContext(context, async () => (await prepare(['parity']))(context))
    expect(json).toMatchObject({ vectors: 200 })
    expect(text).toContain('note: "--sample 200" is the limit of this check')
    expect(shown[0]).toContain('Recomputing logged predictions ...')
    expect(shown.at(-1)).toBe('\r\u001B[K')
  })
})
