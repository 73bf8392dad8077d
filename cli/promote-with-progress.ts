import type { VersionReference } from '../registry/models/pick-version.ts'
import type { AliasChange } from '../registry/models/promote.ts'
import { promoteModel } from '../registry/models/promote.ts'
import { actorOf } from './actor.ts'
import type { Option } from './command.ts'
import type { Context } from './context.ts'
import type { Input } from './input.ts'

export const atOnceOption: Option = { help: 'Do not wait until the servers have loaded the version.' }

export const datasetMismatchOption: Option = { help: 'Allow a version that was trained on other features than it is served with.' }

export const untriedOption: Option = { help: 'Allow a version whose trial run on made-up rows does not end.' }

/** Points an alias at a version, and shows how many servers have loaded the version meanwhile. */
export async function promoteWithProgress(
  context: Context,
  input: Input,
  { model, version, alias }: { readonly model: string; readonly version: VersionReference; readonly alias: string },
): Promise<AliasChange> {
  const db = await context.database()
  const progress = context.terminal.progress(`Loading ${model}@${version}`, 'servers')
  try {
    return await promoteModel(db, model, version, actorOf(input), alias, {
      atOnce: input.flag('at-once'),
      datasetMismatch: input.flag('dataset-mismatch'),
      untried: input.flag('untried'),
      signal: context.signal,
      onProgress: ({ loaded, asked }) => progress.update(loaded, asked),
    })
  } finally {
    progress.end()
  }
}
