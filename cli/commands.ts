import type { Command } from './command.ts'
import { applyCommand } from './commands/apply.ts'
import { datasetCreateCommand } from './commands/dataset-create.ts'
import { ingestCommand } from './commands/ingest.ts'
import { materializeCommand } from './commands/materialize.ts'
import { migrateCommand } from './commands/migrate.ts'
import { planCommand } from './commands/plan.ts'
import { serveCommand } from './commands/serve.ts'

/** In the order in which they are listed, which is that in which they are first used. */
export const commands: readonly Command[] = [
  migrateCommand,
  planCommand,
  applyCommand,
  ingestCommand,
  datasetCreateCommand,
  materializeCommand,
  serveCommand,
]
