import { expect, test } from 'vitest'
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
  const from = Math.floor(Date.now() / 60_000) * minute - 10 * minute
  const writer = createRollupWriter({ database: () => db, log })
  const recorder = createRollupRecorder({ writer, baselineOf: () => null, log, clock: () => from + minute }, { rowsPerSecond: 0 })
  const failed = new LockstepError('MODEL_FAILED', 'It failed.')
  for (let i = 0; i < 10; i++) recorder.failed('rare', 1, 'champion', failed)
  for (let i = 0; i < 9990; i++) recorder.failed('frequent', 1, 'champion', failed)
  for (let i = 0; i < 5; i++) recorder.errorAnswered(new LockstepError('OVERLOADED', 'It is busy.'))
  await recorder.close(60_000)
  const spec = gate({ kind: 'load' })
  const models = new Map(['rare', 'frequent'].map((name) => [name, null]))
  // what the gate asks for of a context
  const context = { db, catalog: { models }, rollout: { model: 'rare' }, from, now: from + 5 * minute }
  const evidence = await gatherGate(context as unknown as GateContext, spec, null)
  expect(evidence).toMatchObject({ minutes: 5, requests: 10_000, refused: 5 })
  expect(judgeGate(spec, evidence)).toMatchObject({ verdict: 'advance', text: expect.stringContaining('0.05 %') as string })
})
