import { expect, test } from 'vitest'
import type { JsonValue } from '../../../kernel/specs/view-spec.ts'
import { LockstepError } from '../../../kernel/errors.ts'
import { gatherGate, judgeGate } from '../../../monitoring/rollouts/gates/all-gates.ts'
import type { GateContext } from '../../../monitoring/rollouts/gates/gate.ts'
import { createRollupRecorder } from '../../../monitoring/rollups/rollup-recorder.ts'
import { createRollupWriter } from '../../../monitoring/rollups/rollup-writer.ts'
import { gate } from '../../../registry/rollouts/plan-schema.ts'
import { createLogger } from '../../../runtime/log.ts'
import { during, openServer } from '../../opened-database.ts'

const opened = during(() => openServer())
const minute = 60_000_000

test('the gate of load compares refused requests with those of all models', async () => {
  const { db } = opened()
  const log = createLogger('silent')
  const from = Math.floor(Date.now() / 60_000) * minute - 20 * minute
  let at = from + minute
  const writer = createRollupWriter({ database: () => db, log })
  const recorder = createRollupRecorder({ writer, baselineOf: () => null, log, clock: () => at }, { rowsPerSecond: 0 })
  const failed = new LockstepError('MODEL_FAILED', 'It failed.')
  for (let i = 0; i < 10; i++) recorder.failed('rare', 1, 'champion', failed)
  for (let i = 0; i < 9990; i++) recorder.failed('frequent', 1, 'champion', failed)
  for (let i = 0; i < 5; i++) recorder.errorAnswered(new LockstepError('OVERLOADED', 'It is busy.'))
  at = from + 6 * minute
  await recorder.flush()
  for (let i = 0; i < 100; i++) recorder.failed('rare', 1, 'champion', failed)
  for (let i = 0; i < 100; i++) recorder.errorAnswered(new LockstepError('OVERLOADED', 'It is busy.'))
  at = from + 8 * minute
  await recorder.flush()
  for (let i = 0; i < 100; i++) recorder.failed('rare', 1, 'champion', failed)
  await recorder.close(60_000)
  const spec = gate({ kind: 'load' })
  const models = new Map(['rare', 'frequent'].map((name) => [name, null]))
  // what the gate asks for of a context
  const look = async (minutes: number): Promise<JsonValue> => {
    const context = { db, catalog: { models }, rollout: { model: 'rare' }, from, now: from + minutes * minute }
    return await gatherGate(context as unknown as GateContext, spec, null)
  }
  const evidence = await look(5)
  expect(evidence).toMatchObject({ minutes: 5, requests: 10_000, refused: 5 })
  expect(judgeGate(spec, evidence)).toMatchObject({ verdict: 'advance', text: expect.stringContaining('0.05 %') as string })
  // once servers keep up again, the rollout continues
  const [busy, calm] = [await look(8), await look(18)]
  expect(busy).toMatchObject({ requests: 10_100, refused: 105 })
  expect(judgeGate(spec, busy)).toMatchObject({ verdict: 'hold' })
  expect(calm).toMatchObject({ minutes: 18, requests: 100, refused: 0 })
  expect(judgeGate(spec, calm)).toMatchObject({ verdict: 'advance', text: expect.stringContaining('of 10 minutes') as string })
})
