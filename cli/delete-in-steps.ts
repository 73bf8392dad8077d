import { LockstepError } from '../kernel/errors.ts'
import type { Command, Outcome } from './command.ts'
import type { Context } from './context.ts'
import type { Input } from './input.ts'

/** The options of commands that delete something. */
export const deleteOptions: NonNullable<Command['options']> = {
  'dry-run': { help: 'Say what would be deleted, and delete nothing.' },
  yes: { help: 'Do not ask for confirmation on a terminal.' },
}

export interface Deletion<Report extends object> {
  /** Default: `Delete it?` */
  readonly question?: string
  /** Deletes, or with `dryRun` only finds what would be deleted. Throws where it is refused. */
  run(dryRun: boolean): Promise<Report>
  /** @param done false: it would be deleted */
  text(report: Report, done: boolean): string
  /** The exit code, where not all could be deleted. Default: 0. */
  exitCode?(report: Report): number
}

/**
 * Says first what a deletion would free, and asks if there is a person to ask. Without a terminal, as in a script, it
 * deletes at once.
 */
export async function deleteInSteps<Report extends object>(
  { terminal }: Pick<Context, 'terminal'>,
  input: Input,
  { question = 'Delete it?', run, text, exitCode }: Deletion<Report>,
): Promise<Outcome> {
  const dryRun = input.flag('dry-run')
  const asks = terminal.canAsk && !input.flag('yes')
  if (dryRun || asks) {
    const found = await run(true)
    if (dryRun) {
      return { json: { ...found, dryRun: true }, text: `${text(found, false)}\nNothing was changed.`, exitCode: exitCode?.(found) ?? 0 }
    }
    terminal.complain(text(found, false))
    if (!(await terminal.confirm(question))) throw new LockstepError('STOPPED', 'Nothing was changed.')
  }
  const report = await run(false)
  return { json: report, text: text(report, true), exitCode: exitCode?.(report) ?? 0 }
}
