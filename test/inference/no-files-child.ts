import { closeSync, openSync } from 'node:fs'
import { LockstepError } from '../../kernel/errors.ts'
import { inspectModel } from '../../inference/inspect-model.ts'
import { createProcessPool } from '../../inference/process-pool.ts'
import { endlessModel } from './made-models.ts'

// A process that can open no more files: it reports what happens to its models.
const model = endlessModel()
const codeOf = (error: unknown) => (error instanceof LockstepError ? error.code : String(error))
const outcome = (what: Promise<unknown>) => what.then(() => 'no error', codeOf)
const load = async () => await outcome(createProcessPool().take().load(model, 'endless', 60_000))
const opened: number[] = []
try {
  for (;;) opened.push(openSync('/dev/null', 'r'))
} catch {
  // that was the last
}
const answers = [await load(), await outcome(inspectModel(model)), await load()]
for (const file of opened) closeSync(file)
process.stdout.write(`${answers.join(' ')}\n`)
