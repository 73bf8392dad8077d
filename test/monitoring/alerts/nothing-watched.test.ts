import { expect, test } from 'vitest'
import { activeMonitors } from '../../../monitoring/alerts/default-monitors.ts'
import { evaluateMonitor } from '../../../monitoring/alerts/evaluate-monitor.ts'
import { listMonitors, monitorState } from '../../../monitoring/alerts/monitor-list.ts'
import { recordEvaluation } from '../../../monitoring/alerts/record-evaluation.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import { during, openServer } from '../../opened-database.ts'
import { load } from '../../registry/definition-files.ts'
import { minute } from './monitors.ts'

const definitions = (online: boolean) => `import { count, entity, featureService, featureView, model, monitor, source, t } from 'lockstep'
const card = entity('card', { key: { card: t.string } })
const payments = source('payments', { key: { card: 'card' }, eventTime: 'paid_at' })
const view = featureView('spent', { version: 1, entity: card, source: payments, online: ${online}, features: { paid1h: count('1h') } })
const service = featureService('spending', { version: 1, features: [view] })
const fraud = model('fraud', { service, output: { probability: t.float32 } })
export const late = monitor('late', { model: fraud, noData: '1h', checks: [{ kind: 'freshness', maxLag: '10m' }] })
`

const opened = during(openServer)

test('a monitor whose checks have no subject says what it waits for, until they have one', async () => {
  const { db } = opened()
  const evaluated = async (moment: number) => {
    const catalog = await loadCatalog(db)
    const active = activeMonitors(catalog, true)
    for (const monitor of active.monitors.filter(({ name }) => name === 'late' || name === 'system:sources')) {
      const deps = { db, store: null, catalog, clock: () => moment, signal: new AbortController().signal }
      await recordEvaluation(db, monitor, active.channels, moment, await evaluateMonitor(deps, monitor, moment))
    }
    const listed = await listMonitors(db, active)
    return (name: string) => {
      const results = listed.find((each) => each.name === name)?.results ?? []
      return {
        state: monitorState(results).text,
        causes: results.filter(({ check }) => check !== 'no_data').map(({ result: { subject, cause } }) => [subject, cause]),
      }
    }
  }
  await applyChanges(db, await load({ 'features.ts': definitions(false) }))
  const none = await evaluated(Date.now() * 1000)
  expect(none('system:jobs').state).toBe('not evaluated yet: it waits for a worker')
  expect(none('system:sources')).toEqual({
    state: 'unknown',
    causes: [['the system', 'The check "arrivals" has nothing to watch: no view is online. It waits until one is.']],
  })
  expect(none('late')).toEqual({
    state: 'unknown',
    causes: [['fraud', 'The check "freshness" has nothing to watch: no view of the model "fraud" is online. It waits until one is.']],
  })
  await applyChanges(db, await load({ 'features.ts': definitions(true) }))
  const some = await evaluated(Date.now() * 1000 + minute)
  expect(some('system:sources').causes).toEqual([['payments', expect.stringContaining('that needs a day')]])
  expect(some('late').causes).toEqual([['spent@1', expect.any(String)]])
})
