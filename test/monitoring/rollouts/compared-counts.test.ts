import { expect, test } from 'vitest'
import { LockstepError } from '../../../kernel/errors.ts'
import { createRolloutCounts } from '../../../monitoring/rollouts/rollout-counts.ts'
import { comparedCounts } from '../../../monitoring/rollouts/compared-counts.ts'
import { createRollupRecorder } from '../../../monitoring/rollups/rollup-recorder.ts'
import { createRollupWriter } from '../../../monitoring/rollups/rollup-writer.ts'
import type { CatalogModel } from '../../../registry/catalog.ts'
import { readLastRollout } from '../../../registry/rollouts/rollout.ts'
import type { Rollout } from '../../../registry/rollouts/rollout.ts'
import { createLogger } from '../../../runtime/log.ts'
import { during, openServer } from '../../opened-database.ts'

const opened = during(() => openServer())
const minute = 60_000_000

test('a step at 100 % compares with the present champion, whenever it became it', async () => {
  const { db } = opened()
  const now = Date.now() * 1000
  const log = createLogger('silent')
  const started = new Date((now - 30 * minute) / 1000)
  await db.query(
    `insert into lockstep.rollouts (model, version, state, share, unit, salt, plan, step, revision, started_by, started_at)
     values ('m', 2, 'running', 1, 'card', 's', '{}', 1, 1, 'ann', $1)`,
    [started.toISOString()],
  )
  const rollout = (await readLastRollout(db.kysely, 'm')) as Rollout
  const before = { ...rollout, revision: 0, share: 0.5 }
  let pin: number | null = null
  const models = () => new Map([['m', { rollout: before, pin } as CatalogModel]])
  const counts = createRolloutCounts({ catalog: () => ({ models: models() }), database: () => db, log })
  for (let i = 0; i < 10; i++) counts.answered('m', 1, 'champion', 1, 5)
  // a pinned version is not what the candidate is compared with, and may be the candidate itself
  pin = 2
  for (let i = 0; i < 7; i++) counts.answered('m', 2, 'champion', 1, 500)
  await counts.close()
  /** Fails once a minute, from twenty minutes ago. */
  const fails = async (version: number, role: 'champion' | 'requested', times: number) => {
    let at = now - 20 * minute
    const writer = createRollupWriter({ database: () => db, log })
    const recorder = createRollupRecorder({ writer, baselineOf: () => null, log, clock: () => at }, { rowsPerSecond: 0 })
    for (let i = 0; i < times; i++, at += minute) {
      await recorder.flush()
      recorder.failed('m', version, role, new LockstepError('MODEL_FAILED', 'It failed.'))
    }
    await recorder.close(60_000)
  }
  await fails(3, 'champion', 19)
  await fails(3, 'requested', 5)
  const compared = async (champion: number, minutesAgo: number | null) => {
    const setAt = minutesAgo === null ? null : new Date((now - minutesAgo * minute) / 1000)
    const aliases = new Map(setAt === null ? [] : [['champion', { model: 'm', alias: 'champion', version: champion, former: [], setAt }]])
    const { champion: side, championOf } = await comparedCounts(db, { aliases }, rollout, champion, { from: now - minute, to: now })
    return [side.requests, championOf]
  }
  expect(await compared(1, 60)).toEqual([10, 'the steps before'])
  expect(await compared(1, null)).toEqual([10, 'the steps before'])
  // the steps before are of another champion
  expect(await compared(3, 21)).toEqual([19, 'since it became the champion'])
  expect(await compared(4, 21)).toEqual([0, 'nothing'])
})
