import { setTimeout as sleep } from 'node:timers/promises'
import { startRollout } from '../../registry/rollouts/change-rollout.ts'
import { readRolloutHistory } from '../../registry/rollouts/rollout-history.ts'
import type { Database } from '../../runtime/postgres/database.ts'

const maxSeconds = 120

/**
 * Rolls a version out by a plan, until the controller ends it.
 *
 * @returns seconds from its start to its end
 * @throws Error if it ends otherwise
 */
export async function rollOutTo(
  db: Database,
  { model, version, unit }: { readonly model: string; readonly version: number; readonly unit: string },
  plan: object,
  end: 'rolled back' | 'promoted',
): Promise<number> {
  await startRollout(db, model, { version, plan: { every: '300ms', ...plan }, unit }, { actor: 'bench' })
  const began = performance.now()
  for (;;) {
    const { rollout, decisions } = await readRolloutHistory(db.kysely, model)
    const seconds = (performance.now() - began) / 1000
    if (rollout?.state === end) return Math.round(seconds * 100) / 100
    if (rollout?.state !== 'running' || seconds > maxSeconds)
      throw new Error(`Version ${version} is "${rollout?.state}", not "${end}": ${decisions[0]?.reasons.join(' ')}`)
    await sleep(20)
  }
}
