import { aliasesOf } from '../../registry/model-aliases.ts'
import type { ModelVersion } from '../../registry/model-versions.ts'
import { listModelVersions } from '../../registry/model-versions.ts'
import { pickVersion } from '../../registry/pick-version.ts'
import type { Command } from '../command.ts'
import { bytes, moment } from '../human.ts'
import { modelVersionJson } from '../model-text.ts'
import { table } from '../table.ts'

export const modelListCommand: Command = {
  name: 'model list',
  summary: 'List the versions of a model, or of all',
  arguments: [{ name: 'NAME', help: 'The model.', takes: 'optional' }],
  example: 'lockstep model list delay',
  async run(context, input) {
    const [name] = input.arguments('NAME')
    const catalog = await context.catalog()
    // reports a misspelt name as an error, not as an empty list
    if (name !== undefined) catalog.model(name)
    const versions = await listModelVersions(await context.database(), name)
    const aliases = (version: ModelVersion): string[] => {
      const model = catalog.models.get(version.model)
      return model === undefined ? [] : aliasesOf(model, version.version)
    }
    /** Whether this version answers requests that name no version. */
    const isDefault = (version: ModelVersion): boolean => {
      const model = catalog.models.get(version.model)
      return model !== undefined && model.versions.length > 0 && pickVersion(model).version === version.version
    }
    const rows = versions.map((version) => [
      version.model,
      String(version.version),
      isDefault(version) ? 'yes' : '',
      aliases(version).join(', '),
      version.service,
      bytes(version.sizeBytes),
      version.sha256.slice(0, 12),
      moment(version.createdAt),
      [version.metrics, version.metadata]
        .filter((facts) => Object.keys(facts).length > 0)
        .map((facts) => JSON.stringify(facts))
        .join(' '),
    ])
    const header = ['MODEL', 'VERSION', 'DEFAULT', 'ALIASES', 'SERVICE', 'SIZE', 'SHA256', 'PUSHED (UTC)', 'METRICS, METADATA']
    return {
      json: {
        versions: versions.map((version) => ({ ...modelVersionJson(version), aliases: aliases(version), default: isDefault(version) })),
      },
      text: rows.length === 0 ? 'No model version has been pushed yet.' : table(header, rows),
    }
  },
}
