import type { Kysely } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import { measuresOf } from '../../kernel/specs/experiment-spec.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { DefinitionComparison } from '../changes/compare.ts'
import { differenceText } from '../changes/diff.ts'
import type { ExperimentRun } from './experiment.ts'

/** Changes of a definitions file that a running experiment does not allow: figures would no longer mean the same. */
export function checkRunning(comparisons: readonly DefinitionComparison[], running: readonly ExperimentRun[]): LockstepError[] {
  return comparisons.flatMap(({ declared, semantic }) => {
    if (declared.kind === 'outcome' && semantic.length > 0) {
      const reading = running.find((run) => readsOutcome(run, declared.name))
      return reading === undefined ? [] : [changedOutcome(declared.name, reading)]
    }
    const run = declared.kind === 'experiment' ? running.find(({ name }) => name === declared.name) : undefined
    if (run === undefined || declared.kind !== 'experiment') return []
    const { coverage = 1 } = declared.operational
    if (semantic.length > 0) return [changedRunning(run, semantic.map((each) => `\n    ${differenceText(each)}`).join(''))]
    return coverage < run.coverage ? [shrunk(run, coverage)] : []
  })
}

/** The running experiments whose coverage grows with a definitions file. */
export async function growCoverage(
  transaction: Kysely<LockstepTables>,
  comparisons: readonly DefinitionComparison[],
  running: readonly ExperimentRun[],
): Promise<void> {
  for (const { declared } of comparisons) {
    const run = declared.kind === 'experiment' ? running.find(({ name }) => name === declared.name) : undefined
    const { coverage = 1 } = declared.operational
    if (run === undefined || coverage <= run.coverage) continue
    await transaction.updateTable('lockstep.experiments').set({ coverage }).where('id', '=', String(run.id)).execute()
  }
}

function readsOutcome({ spec }: ExperimentRun, outcome: string): boolean {
  return spec.metrics.flatMap(measuresOf).some(({ of }) => of.kind === 'outcome' && of.outcome === outcome)
}

const mayChange = 'While an experiment runs, its coverage may grow, and its description, owner and tags may change.'

function changedRunning({ name }: ExperimentRun, differences: string): LockstepError {
  return new LockstepError(
    'IN_USE',
    `The experiment "${name}" runs, and the file changes it:${differences}\n  ${mayChange} Restore the rest, or stop it, apply, and start it again: lockstep experiment stop ${name}.`,
    { details: { experiment: name } },
  )
}

function shrunk({ name, coverage: before }: ExperimentRun, coverage: number): LockstepError {
  return new LockstepError(
    'IN_USE',
    `The experiment "${name}" runs with the coverage ${before}, and the file has ${coverage}: units in the experiment would leave it. ${mayChange} To end it: lockstep experiment stop ${name}.`,
    { details: { experiment: name } },
  )
}

function changedOutcome(outcome: string, { name }: ExperimentRun): LockstepError {
  return new LockstepError(
    'IN_USE',
    `The outcome "${outcome}" changes, and the running experiment "${name}" has a metric over it, so its figures would no longer mean the same. Declare another outcome, or stop the experiment: lockstep experiment stop ${name}.`,
    { details: { experiment: name, outcome } },
  )
}
