import type { NodeKind } from '../../registry/find/graph.ts'
import { labelOf } from '../../registry/definition.ts'
import { findNode } from '../../registry/find/find-entry.ts'
import { readInventory } from '../../registry/find/inventory.ts'
import { definitionPage } from '../../serving/find/definition-page.ts'
import type { Command } from '../command.ts'
import { findDataset } from '../../offline/stored-datasets.ts'
import { pageText } from '../definition-text.ts'
import { createFindContext } from '../find-context.ts'
import { manifestText } from './dataset-show.ts'
import { showModelVersion } from './model-show.ts'

const shownKinds: readonly NodeKind[] = ['entity', 'source', 'view', 'onDemand', 'service', 'model', 'modelVersion', 'dataset']

export const showCommand: Command = {
  name: 'show',
  summary: 'Show all about one definition: features, statistics, freshness, users, an example',
  description: [
    'Takes the name of anything that "lockstep list" lists, with or without a version. If several things have the name, it lists them; then write the kind before the name, as in view/airport_delays.',
    'Statistics are those of the newest training set that has the feature. The example is a request about a real entity, which was tried.',
  ],
  arguments: [
    { name: 'NAME', help: 'airport_delays, airport_delays@1, view/airport_delays, delay@champion, or the id of a training set.' },
  ],
  example: 'lockstep show airport_delays',
  async run(context, input) {
    const db = await context.database()
    const inventory = await readInventory(db)
    const { kind, name } = findNode(inventory, input.argument('NAME'), shownKinds)
    if (kind === 'modelVersion') return await showModelVersion(context, name)
    const definition = inventory.definitions.find((each) => each.kind === kind && labelOf(each) === name)
    if (definition === undefined) {
      const { manifest } = await findDataset(db, name)
      return { json: manifest, text: manifestText(manifest) }
    }
    const { catalog, features, store } = await createFindContext(context, await context.catalog())
    const page = await definitionPage({ db, catalog, features, store, now: Date.now() * 1000 }, inventory, definition)
    return { json: page, text: await pageText(page, context.config.port, context.terminal.width) }
  },
}
