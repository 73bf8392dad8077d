import type { NodeKind } from '../../registry/find/graph.ts'
import { findNode } from '../../registry/find/find-entry.ts'
import { findDataset } from '../../offline/datasets/stored-datasets.ts'
import { readInventory } from '../../registry/find/inventory.ts'
import type { Command, Outcome } from '../command.ts'
import type { Context } from '../context.ts'
import { pageText } from '../find/definition-text.ts'
import { kindOrder } from '../../registry/definition.ts'
import { finderOf } from '../find/finder.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { manifestText } from './dataset-show.ts'
import { showModelVersion } from './model-show.ts'

const shownKinds: readonly NodeKind[] = [...kindOrder, 'modelVersion', 'dataset']

export const showCommand: Command = {
  name: 'show',
  summary: 'Show everything about one definition: features, statistics, freshness, users, an example',
  description: [
    'Takes the name of anything that "lockstep list" lists, with or without a version. If several things have the name, it lists them; then write the kind before the name, as in view/airport_delays.',
    'Statistics are those of the newest training set that has the feature. The example is a request for a real entity, and was tried.',
  ],
  arguments: [
    { name: 'NAME', help: 'airport_delays, airport_delays@1, view/airport_delays, delay@champion, or the id of a training set.' },
  ],
  options: { server: serverOption },
  example: 'lockstep show airport_delays',
  async run(context, input) {
    const name = input.argument('NAME')
    const server = serverOf(context, input)
    const other = server === null ? await showOther(context, name) : null
    if (other !== null) return other
    const page = await finderOf(context, input).page(name)
    const at = { url: server?.url ?? `localhost:${context.config.port}`, option: server === null ? null : (input.text('server') ?? null) }
    return { json: page, text: await pageText(page, at, context.terminal.width) }
  },
}

/** A version of a model, or a training set; null: the name is that of a definition. */
async function showOther(context: Context, reference: string): Promise<Outcome | null> {
  const db = await context.database()
  const { kind, name } = findNode(await readInventory(db, 'all'), reference, shownKinds)
  if (kind === 'modelVersion') return await showModelVersion(context, name)
  if (kind !== 'dataset') return null
  const { manifest } = await findDataset(db, name)
  return { json: manifest, text: manifestText(manifest) }
}
