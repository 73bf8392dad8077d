import { describe, expect, it } from 'vitest'
import { claimStep, finishChunk } from '../../../runtime/jobs/steps.ts'
import { createTurns } from '../../../runtime/jobs/turns.ts'
import { during, openEmbedded, openServer } from '../../opened-database.ts'
import { hiredWorkers } from './hired-workers.ts'

// In which order jobs are worked on.

describe.each([
  ['PostgreSQL', openServer],
  ['PGlite', openEmbedded],
])('jobs in %s', (_, open) => {
  const opened = during(open)
  const db = () => opened().db
  const { newKind, submit } = hiredWorkers(db)

  it('share the time, so that short steps do not wait for a long step each time', async () => {
    const kind = newKind()
    const planned = (length: number) => ({ planned: { plan: { unit: 'pears' }, chunks: Array.from({ length }, (__, n) => n) } })
    await submit(kind, 50, { subject: 'long', ...planned(50) })
    await submit(kind, 50, { subject: 'short', ...planned(50) })
    let now = 0
    const turns = createTurns(() => now)
    const order: string[] = []
    while (order.length < 22) {
      const claimed = await claimStep(db(), { kinds: [{ kind: kind.name, scope: '' }], worker: 'w', rests: turns.rests })
      if (claimed === null) break
      const { subject, id } = claimed.job
      order.push(subject)
      const end = turns.begin(id)
      now += subject === 'long' ? 10_500 : 1_000
      end()
      await finishChunk(db(), claimed, { n: 0 })
    }
    const shorts = Array.from({ length: 10 }, () => 'short')
    expect(order).toEqual(['long', ...shorts, 'long', ...shorts])
  })
})
