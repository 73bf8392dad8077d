import { listModelVersions } from '../../registry/model-versions.ts'
import type { Command } from '../command.ts'
import { bytes, moment } from '../human.ts'
import { modelVersionJson } from '../model-json.ts'
import { table } from '../table.ts'

export const modelListCommand: Command = {
  name: 'model list',
  summary: 'List the versions of a model, or of all',
  arguments: [{ name: 'NAME', help: 'The model.', takes: 'optional' }],
  example: 'lockstep model list delay',
  async run(context, input) {
    const [name] = input.arguments('NAME')
    // so that a misspelt name is an error and not an empty list
    if (name !== undefined) (await context.catalog()).model(name)
    const versions = await listModelVersions(await context.database(), name)
    const rows = versions.map((version) => [
      version.model,
      String(version.version),
      version.service,
      bytes(version.sizeBytes),
      version.sha256.slice(0, 12),
      moment(version.createdAt),
      Object.keys(version.metadata).length === 0 ? '' : JSON.stringify(version.metadata),
    ])
    const header = ['MODEL', 'VERSION', 'SERVICE', 'SIZE', 'SHA256', 'PUSHED (UTC)', 'METADATA']
    return {
      json: { versions: versions.map(modelVersionJson) },
      text: rows.length === 0 ? 'No version of a model was pushed yet.' : table(header, rows),
    }
  },
}
