import { afterAll, beforeAll, expect, it } from 'vitest'
import { activeMonitors } from '../../../monitoring/alerts/default-monitors.ts'
import { storeVersionFigures } from '../../../monitoring/figures/figures-job.ts'
import { maturePredictions } from '../../../monitoring/outcomes/mature-predictions.ts'
import { outcomeOf } from '../../../monitoring/quality/quality-report.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { defaultGates } from '../../../registry/rollouts/named-plans.ts'
import type { OpenedDatabase } from '../../opened-database.ts'
import { openServer } from '../../opened-database.ts'
import { load } from '../../registry/definition-files.ts'
import { hour, logPredictions, report, start } from '../outcomes/payments.ts'

// Outcomes that are declared with output: null.

const definitions = (more: string) => `import { count, entity, featureService, featureView, model, outcome, source, t } from 'lockstep'
const card = entity('card', { key: { card: t.string } })
const payments = source('payments', { key: { card: 'card' }, eventTime: 'paid_at', columns: { amount: t.float64 } })
const spending = featureView('spending', { version: 1, entity: card, source: payments, features: { paid1h: count('1h') } })
const service = featureService('fraud_features', { version: 1, features: [spending] })
const fraud = model('fraud', { service, output: { probability: t.float32 } })
const reports = source('reports', {
  key: { card: 'card' }, eventTime: 'happened_at', known: 'reported_at',
  columns: { prediction_id: t.string, loss: t.float64, is_fraud: t.bool },
})
const byId = { model: fraud, source: reports, match: 'prediction', predictionId: 'prediction_id', within: '1d' } as const
export const lost = outcome('lost', { ...byId, value: 'loss', output: null })
${more}`

let opened: OpenedDatabase
beforeAll(async () => (opened = await openServer()))
afterAll(() => opened?.close())

async function applied(more: string): Promise<Catalog> {
  await applyChanges(opened.db, await load({ 'features.ts': definitions(more) }))
  return await loadCatalog(opened.db)
}

function watchedAndGated(catalog: Catalog): [checks: string[], gates: string[]] {
  const daily = activeMonitors(catalog, true).monitors.find(({ name }) => name === 'daily:fraud')
  const gates = defaultGates(catalog, 'fraud').flatMap((gate) => (gate.kind === 'quality' ? [gate.outcome ?? ''] : []))
  return [(daily?.checks ?? []).map(({ kind }) => kind).filter((kind) => kind === 'quality'), gates]
}

it('an outcome without an output is in no figure of quality, and predictions still have it', async () => {
  const alone = await applied('')
  expect(watchedAndGated(alone)).toEqual([[], []])
  expect(() => outcomeOf(alone, alone.model('fraud'), undefined)).toThrow('The model "fraud" has no outcome that judges an output')
  await logPredictions(opened.db, [{ id: 'a', card: 'A', atHour: 0 }])
  await report(opened.db, { card: 'A', id: 'a', atHour: 2, loss: 12.5 })
  const asOf = start + 48 * hour
  expect(await storeVersionFigures(opened.db, alone, { model: 'fraud', version: 1, asOf })).toBe(0)
  const found = await opened.db.snapshot(async (snapshot) => {
    const query = { outcome: alone.outcome('lost'), from: start, to: asOf, asOf }
    const rows = []
    for await (const batch of maturePredictions(snapshot, query)) rows.push(...batch)
    return rows.map(({ predictionId, output, outcome }) => ({ predictionId, output, outcome }))
  })
  expect(found).toEqual([{ predictionId: 'a', output: null, outcome: 12.5 }])

  const both = await applied(`export const labelled = outcome('labelled', { ...byId, value: 'is_fraud' })`)
  expect(watchedAndGated(both)).toEqual([['quality'], ['labelled']])
  expect(outcomeOf(both, both.model('fraud'), undefined).spec.name).toBe('labelled')
  expect(() => outcomeOf(both, both.model('fraud'), 'lost')).toThrow(
    'The outcome "lost" judges no output: it is declared with output: null.',
  )
})

it('a stored outcome that cannot judge its output hides no other one', async () => {
  const { db } = opened
  const more = (output: string) => `export const word = outcome('word', { model: fraud, value: t.string, within: '1d', output: ${output} })
export const labelled = outcome('labelled', { ...byId, value: 'is_fraud' })`
  await applied(more('null'))
  // as versions before stored it, which did not refuse it
  await db.query(
    `update lockstep.definitions set spec = jsonb_set(spec::jsonb, '{output}', '"probability"') where kind = 'outcome' and name = 'word'`,
  )
  const catalog = await loadCatalog(db)
  expect(catalog.outcome('word').spec.output).toBe('probability')
  expect(watchedAndGated(catalog)).toEqual([['quality'], ['labelled']])
  expect(outcomeOf(catalog, catalog.model('fraud'), undefined).spec.name).toBe('labelled')
})
