import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Outcome } from '../../cli/command.ts'
import { createContext } from '../../cli/context.ts'
import { prepare } from '../../cli/run.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { withContext } from '../../cli/with-context.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { loadConfig } from '../../runtime/config.ts'
import { hour, logPredictions, payments, report, start } from '../monitoring/outcomes/payments.ts'
import { definitionFiles, load } from '../registry/definition-files.ts'
import type { World } from '../serving/world.ts'
import { createWorld } from '../serving/world.ts'

const now = start + 100 * hour
let world: World
let folder: string
let url: string

beforeAll(async () => {
  world = await createWorld('embedded', await load({ 'features.ts': payments }))
  folder = await mkdtemp(join(tmpdir(), 'lockstep-outcomes-'))
  await world.materialize('spending', now)
  const { server, url: served } = await world.serve({ clock: () => now })
  await server.whenReady()
  url = served
  await logPredictions(world.db, [
    { id: 'a/0', card: 'A', atHour: 10 },
    { id: 'b/0', card: 'B', atHour: 10 },
    { id: 'c/0', card: 'C', atHour: 10 },
    { id: 'd/0', card: 'D', atHour: 90 },
  ])
  await report(world.db, { card: 'A', id: 'a/0', atHour: 12, isFraud: true })
  await report(world.db, { card: 'B', id: 'b/0', atHour: 60, isFraud: true })
  await report(world.db, { card: 'D', id: 'd/0', atHour: 91, isFraud: true })
})
afterAll(async () => {
  await world?.close()
  await rm(folder, { recursive: true, force: true })
})

/** A command as in a process of its own. */
function run(...words: readonly string[]): Promise<Outcome> {
  return runLogging('0,fraud=0.5', ...words)
}

async function runLogging(shares: string, ...words: readonly string[]): Promise<Outcome> {
  const settings = { LOCKSTEP_POSTGRES_URL: world.postgresUrl, LOCKSTEP_DIR: folder, LOCKSTEP_LOG_LEVEL: 'silent' }
  const config = loadConfig({ ...settings, LOCKSTEP_LOG_PREDICTIONS: shares })
  const context = createContext(config, createTerminal(true), new AbortController().signal)
  return await withContext(context, async () => (await prepare(words))(context))
}

describe('the commands of outcomes', () => {
  it('list them, and show their definitions and lineage', async () => {
    const { json } = await run('outcome', 'list')
    const outcomes = (json as { outcomes: { name: string; about: string }[] }).outcomes
    expect(outcomes.map(({ name }) => name)).toEqual(['chargeback', 'costly', 'labelled', 'lost', 'lost_last'])
    expect(outcomes[0]?.about).toBe('what came of fraud within 1 d, from chargeback')
    expect((await run('list', 'outcomes', '--server', url)).text).toContain('what came of fraud within 1 d, from reports')
    const shown = await run('show', 'outcome/costly')
    expect(shown.text).toMatch(/match +column prediction_id has the prediction's id/)
    expect(shown.text).toMatch(/missing +false/)
    expect(shown.text).toContain('row.loss > limit')
    const { text } = await run('lineage', 'source/reports', '--down')
    expect(text).toContain('lost_last')
  })

  it('count what is mature, matched, missing and late, here and through a server', async () => {
    const words = ['outcome', 'show', 'labelled', '--since', '10d', '--as-of', formatTimestamp(now)]
    const [here, there] = [await run(...words), await run(...words, '--server', url)]
    expect(here.json).toMatchObject({
      outcome: 'labelled',
      missing: 'exclude',
      logShare: 0.5,
      counts: { predictions: 4, mature: 3, immature: 1, matched: 1, missing: 2, late: 1 },
    })
    expect(there.json).toEqual({ ...(here.json as object), logShare: 0 })
    expect(here.text).toMatch(/missing +2, left out of figures; of these 1 with a late outcome/)
    expect(here.text).toContain('50 % of predictions')
  })

  it('refuse an outcome that is not there, and suggest one', async () => {
    await expect(run('outcome', 'show', 'labeled')).rejects.toThrow(
      'There is no outcome "labeled" in the registry. Did you mean "labelled"?',
    )
  })

  it('note in a plan a number that judges an output of which another outcome says yes or no', async () => {
    const outcomeOf = (more: string) =>
      `${payments}export const minutes = outcome('minutes', { model: fraud, value: t.float64, within: '1d'${more} })\n`
    const planned = async (more: string) => (await run('plan', join(definitionFiles({ 'more.ts': outcomeOf(more) }), 'more.ts'))).text
    const note = 'The outcome "minutes" is a float64 and judges the output "probability" of the model "fraud", of which "'
    expect(await planned('')).toContain(note)
    expect(await planned(', output: null')).not.toContain(note)
  })

  it('note in a plan a yes or no of an output that a stored number judges', async () => {
    const fileOf = (more: string) => {
      const before = `${payments}const late = model('late', { service, output: { probability: t.float32 } })
export const delay = outcome('delay', { model: late, value: t.float64, within: '1d' })\n`
      return join(definitionFiles({ 'more.ts': before + more }), 'more.ts')
    }
    await run('apply', fileOf(''))
    const { text } = await run('plan', fileOf(`export const isLate = outcome('is_late', { model: late, value: t.bool, within: '1d' })\n`))
    expect(text).toContain('The outcome "delay" is a float64 and judges the output "probability" of the model "late", of which "is_late"')
  })

  it('note in a plan that predictions must be logged', async () => {
    const more = `${payments}export const refunded = outcome('refunded', { model: fraud, value: t.bool, within: '1d' })\n`
    const { text } = await run('plan', join(definitionFiles({ 'more.ts': more }), 'more.ts'))
    expect(text).toContain(
      'Set LOCKSTEP_LOG_PREDICTIONS=fraud=1 for the servers: the outcome "refunded" can only judge logged predictions.',
    )
    const file = join(definitionFiles({ 'more.ts': more }), 'more.ts')
    for (const shares of ['0,fraud=1', '1']) expect((await runLogging(shares, 'plan', file)).text).not.toContain('LOCKSTEP_LOG_PREDICTIONS')
  })

  it('refuse a source with a key of unknown type that only an outcome reads', async () => {
    const notes = `const notes = source('notes', { key: { branch: 'branch' }, eventTime: 'at', columns: { id: t.string, bad: t.bool } })
export const noted = outcome('noted', { model: fraud, source: notes, match: 'prediction', predictionId: 'id', value: 'bad', within: '1d' })\n`
    const file = join(definitionFiles({ 'notes.ts': payments + notes }), 'notes.ts')
    await expect(run('apply', file)).rejects.toThrow('The source "notes" has the key column "branch", whose type is unknown')
  })

  it('keep a model and a source that an outcome needs when they are pruned', async () => {
    const kept = async (name: string) => (await run('prune', name, '--dry-run')).json as { kept: { neededBy: string[] }[] }
    expect((await kept('reports')).kept[0]?.neededBy).toEqual([
      'outcome "costly"',
      'outcome "labelled"',
      'outcome "lost"',
      'outcome "lost_last"',
    ])
    expect((await kept('fraud')).kept[0]?.neededBy).toContain('outcome "chargeback"')
    const { json } = await run('prune', 'costly', 'labelled', 'lost', 'lost_last', 'reports')
    expect((json as { kept: unknown[]; pruned: { name: string }[] }).kept).toEqual([])
  })
})
