import { existsSync } from 'node:fs'
import { LockstepError } from '../kernel/errors.ts'
import type { Argument } from './command.ts'
import type { Context } from './context.ts'
import type { Input } from './input.ts'

export const definitionsArgument: Argument = {
  name: 'FILE',
  help: 'The definitions file (TypeScript or JavaScript). Default: "definitions" of lockstep.config.ts, else features.ts.',
  takes: 'optional',
}

/**
 * The definitions file that a call names, or else the settings.
 *
 * @throws LockstepError `DEFINITIONS_INVALID` where neither names one that exists
 */
export function definitionsFile({ config }: Pick<Context, 'config'>, input: Input): string {
  const [given] = input.arguments('FILE')
  if (given !== undefined) return given
  if (existsSync(config.definitions)) return config.definitions
  throw new LockstepError(
    'DEFINITIONS_INVALID',
    `There is no definitions file "${config.definitions}". Name one, set "definitions" in lockstep.config.ts, or run "lockstep init" for a project that has one.`,
    { details: { file: config.definitions } },
  )
}
