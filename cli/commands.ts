import type { Command } from './command.ts'

/** A command and how to load it: a process loads only the one that it runs. */
export interface CommandEntry {
  readonly name: string
  load(): Promise<Command>
}

/** In the order of the list, which is the order in which users first need them. */
export const commands: readonly CommandEntry[] = [
  { name: 'migrate', load: async () => (await import('./commands/migrate.ts')).migrateCommand },
  { name: 'plan', load: async () => (await import('./commands/plan.ts')).planCommand },
  { name: 'apply', load: async () => (await import('./commands/apply.ts')).applyCommand },
  { name: 'prune', load: async () => (await import('./commands/prune.ts')).pruneCommand },
  { name: 'status', load: async () => (await import('./commands/status.ts')).statusCommand },
  { name: 'ingest', load: async () => (await import('./commands/ingest.ts')).ingestCommand },
  { name: 'ingest list', load: async () => (await import('./commands/ingest-list.ts')).ingestListCommand },
  { name: 'ingest undo', load: async () => (await import('./commands/ingest-undo.ts')).ingestUndoCommand },
  { name: 'dataset create', load: async () => (await import('./commands/dataset-create.ts')).datasetCreateCommand },
  { name: 'dataset list', load: async () => (await import('./commands/dataset-list.ts')).datasetListCommand },
  { name: 'dataset show', load: async () => (await import('./commands/dataset-show.ts')).datasetShowCommand },
  { name: 'dataset verify', load: async () => (await import('./commands/dataset-verify.ts')).datasetVerifyCommand },
  { name: 'dataset delete', load: async () => (await import('./commands/dataset-delete.ts')).datasetDeleteCommand },
  { name: 'worker', load: async () => (await import('./commands/worker.ts')).workerCommand },
  { name: 'job list', load: async () => (await import('./commands/job-list.ts')).jobListCommand },
  { name: 'job show', load: async () => (await import('./commands/job-show.ts')).jobShowCommand },
  { name: 'job watch', load: async () => (await import('./commands/job-watch.ts')).jobWatchCommand },
  { name: 'job cancel', load: async () => (await import('./commands/job-cancel.ts')).jobCancelCommand },
  { name: 'job retry', load: async () => (await import('./commands/job-retry.ts')).jobRetryCommand },
  { name: 'dead-letter list', load: async () => (await import('./commands/dead-letter-list.ts')).deadLetterListCommand },
  { name: 'dead-letter show', load: async () => (await import('./commands/dead-letter-show.ts')).deadLetterShowCommand },
  { name: 'dead-letter retry', load: async () => (await import('./commands/dead-letter-retry.ts')).deadLetterRetryCommand },
  { name: 'dead-letter drop', load: async () => (await import('./commands/dead-letter-drop.ts')).deadLetterDropCommand },
  { name: 'materialize', load: async () => (await import('./commands/materialize.ts')).materializeCommand },
  { name: 'erase', load: async () => (await import('./commands/erase.ts')).eraseCommand },
  { name: 'backfill', load: async () => (await import('./commands/backfill.ts')).backfillCommand },
  { name: 'model push', load: async () => (await import('./commands/model-push.ts')).modelPushCommand },
  { name: 'model list', load: async () => (await import('./commands/model-list.ts')).modelListCommand },
  { name: 'model show', load: async () => (await import('./commands/model-show.ts')).modelShowCommand },
  { name: 'model promote', load: async () => (await import('./commands/model-promote.ts')).modelPromoteCommand },
  { name: 'model rollback', load: async () => (await import('./commands/model-rollback.ts')).modelRollbackCommand },
  { name: 'model alias', load: async () => (await import('./commands/model-alias.ts')).modelAliasCommand },
  { name: 'model history', load: async () => (await import('./commands/model-history.ts')).modelHistoryCommand },
  { name: 'model delete', load: async () => (await import('./commands/model-delete.ts')).modelDeleteCommand },
  { name: 'predict', load: async () => (await import('./commands/predict.ts')).predictCommand },
  { name: 'predictions list', load: async () => (await import('./commands/predictions-list.ts')).predictionsListCommand },
  { name: 'predictions export', load: async () => (await import('./commands/predictions-export.ts')).predictionsExportCommand },
  { name: 'parity', load: async () => (await import('./commands/parity.ts')).parityCommand },
  { name: 'keys create', load: async () => (await import('./commands/keys-create.ts')).keysCreateCommand },
  { name: 'keys list', load: async () => (await import('./commands/keys-list.ts')).keysListCommand },
  { name: 'keys revoke', load: async () => (await import('./commands/keys-revoke.ts')).keysRevokeCommand },
  { name: 'keys rotate', load: async () => (await import('./commands/keys-rotate.ts')).keysRotateCommand },
  { name: 'sign', load: async () => (await import('./commands/sign.ts')).signCommand },
  { name: 'audit', load: async () => (await import('./commands/audit.ts')).auditCommand },
  { name: 'explain', load: async () => (await import('./commands/explain.ts')).explainCommand },
  { name: 'serve', load: async () => (await import('./commands/serve.ts')).serveCommand },
  { name: 'openapi', load: async () => (await import('./commands/openapi.ts')).openapiCommand },
  { name: 'completion', load: async () => (await import('./commands/completion.ts')).createCompletionCommand(commands) },
]
