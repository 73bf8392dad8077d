import { messageOf } from '../../kernel/errors.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import type { FailedVersion, SelectedVersions } from './select-versions.ts'

/** The versions of a prepared catalog that do not load. */
export interface VersionFailures {
  /** One sentence each. */
  readonly texts: readonly string[]
  /** The models of which something does not load, or has not yet. */
  readonly models: readonly string[]
  /** Texts that are about one version, by `name@version`. */
  readonly ofVersion: ReadonlyMap<string, string>
}

export const noFailures: VersionFailures = { texts: [], models: [], ofVersion: new Map() }

/** @param isUntried whether a version answers although its trial run did not end */
export function failuresOf(
  { answering, failed }: SelectedVersions,
  isUntried: (model: string, version: ModelVersion) => boolean,
): VersionFailures {
  const unusable = failed.map((each) => [`${each.model}@${each.version}`, unusableText(each)] as const)
  const untried = [...answering].flatMap(([model, version]) => {
    const id = `${model}@${version.version}`
    return isUntried(model, version) ? [[id, `The model "${id}" answers although its trial run on made-up rows did not end.`] as const] : []
  })
  return {
    texts: [...unusable, ...untried].map(([, text]) => text),
    models: failed.map(({ model }) => model),
    ofVersion: new Map([...untried, ...unusable]),
  }
}

function unusableText({ model, version, error, instead }: FailedVersion): string {
  const other = instead === null ? '' : `, and "${model}@${instead}" answers instead`
  return `The model "${model}@${version}" cannot be used${other}: ${messageOf(error)}`
}
