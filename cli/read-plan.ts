import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import { isRecord } from '../kernel/is-record.ts'
import { planNames } from '../registry/rollouts/plan-schema.ts'
import { importWithin } from '../runtime/import-within.ts'

const timeoutMs = 20_000

/**
 * The plan that an option names: one of the plans by name, or what a file exports by default or holds as JSON.
 *
 * @throws LockstepError `USAGE` where there is no such plan, or the file does not run
 */
export async function readPlan(named: string): Promise<unknown> {
  if (planNames.some((name) => name === named)) return named
  const path = resolve(named)
  if (!existsSync(path)) {
    throw new LockstepError('USAGE', `There is no plan "${named}". Use ${planNames.join(' or ')}, or the name of a file that exists.`)
  }
  try {
    if (path.endsWith('.json')) return JSON.parse(readFileSync(path, 'utf8'))
    const exported = await importWithin(path, timeoutMs)
    const plan = isRecord(exported) ? exported['default'] : undefined
    if (isRecord(plan)) return plan
  } catch (cause) {
    throw new LockstepError('USAGE', `The plan "${named}" cannot be read: ${messageOf(cause)}`, { cause })
  }
  throw new LockstepError(
    'USAGE',
    `"${named}" exports no plan. Write: export default rolloutPlan({ steps: [{ share: 0.05 }, { share: 1 }] }).`,
  )
}
