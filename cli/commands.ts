import type { Command } from './command.ts'
import { applyCommand } from './commands/apply.ts'
import { datasetCreateCommand } from './commands/dataset-create.ts'
import { datasetListCommand } from './commands/dataset-list.ts'
import { datasetShowCommand } from './commands/dataset-show.ts'
import { ingestCommand } from './commands/ingest.ts'
import { materializeCommand } from './commands/materialize.ts'
import { migrateCommand } from './commands/migrate.ts'
import { modelListCommand } from './commands/model-list.ts'
import { modelPushCommand } from './commands/model-push.ts'
import { planCommand } from './commands/plan.ts'
import { predictCommand } from './commands/predict.ts'
import { serveCommand } from './commands/serve.ts'
import { statusCommand } from './commands/status.ts'

/** In the order in which they are listed, which is that in which they are first used. */
export const commands: readonly Command[] = [
  migrateCommand,
  planCommand,
  applyCommand,
  statusCommand,
  ingestCommand,
  datasetCreateCommand,
  datasetListCommand,
  datasetShowCommand,
  materializeCommand,
  modelPushCommand,
  modelListCommand,
  predictCommand,
  serveCommand,
]
