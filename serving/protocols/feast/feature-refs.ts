import { cutText } from '../../../kernel/values/cut-text.ts'
import { LockstepError } from '../../../kernel/errors.ts'

/** `driver_stats:conv_rate`, `driver_stats@v2:conv_rate` or `driver_stats@latest:conv_rate`, taken apart. */
export interface FeatureRef {
  readonly view: string
  /** null: the newest. */
  readonly version: number | null
  readonly feature: string
}

const pattern = /^([^:@]+)(?:@(?:[vV]?(\d{1,9})|latest))?:([^:]+)$/

/** @throws LockstepError `INVALID_REQUEST` */
export function parseFeatureRef(text: string): FeatureRef {
  const match = pattern.exec(text)
  if (match === null) {
    throw new LockstepError(
      'INVALID_REQUEST',
      `The feature "${cutText(text, 200)}" is not written as "view:feature" or "view@v2:feature".`,
      {
        details: { feature: cutText(text, 200) },
      },
    )
  }
  const [, view = '', version, feature = ''] = match
  return { view, version: version === undefined ? null : Number(version), feature }
}
