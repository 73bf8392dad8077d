import type { ExperimentSpec } from '../../kernel/specs/experiment-spec.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { currentDefinitions } from '../definition.ts'
import { unknownDefinition } from '../unknown-definition.ts'

/** An experiment as it is declared now. @throws LockstepError `UNKNOWN_DEFINITION` */
export async function declaredExperiment(
  db: Pick<Database, 'kysely'>,
  name: string,
): Promise<{ readonly spec: ExperimentSpec; readonly coverage: number }> {
  const definitions = await currentDefinitions(db.kysely)
  for (const each of definitions) {
    if (each.kind === 'experiment' && each.name === name) return { spec: each.spec, coverage: each.operational.coverage ?? 1 }
  }
  throw unknownDefinition(definitions, 'experiment', name)
}
