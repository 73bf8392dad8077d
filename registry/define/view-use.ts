import { LockstepError } from '../../kernel/errors.ts'
import type { ViewUseSpec } from '../../kernel/specs/service-spec.ts'
import { definitionId } from '../../kernel/specs/view-spec.ts'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import { checkKind, define, definitionKind } from './definition.ts'
import type { Features } from './feature.ts'
import type { AnyFeatureView } from './feature-view.ts'
import type { KeyTypes } from './t.ts'

/**
 * A feature view as a service or an on-demand view uses it: under an alias, or with only some of its features. `.as`
 * and `.pick` create it.
 */
export interface ViewUse<Needs extends KeyTypes = KeyTypes, F extends Features = Features, A extends string | null = string | null> {
  readonly kind: 'viewUse'
  readonly view: AnyFeatureView
  readonly alias: A
  /** The columns of the spine or request that identify the entity. */
  readonly needs: Needs
  readonly features: F
  readonly spec: ViewUseSpec
  /** Only these features. */
  pick<P extends keyof F & string>(...names: P[]): ViewUse<Needs, Pick<F, P>, A>
}

/** A view's key in other columns: for each part of the entity's key, the column that holds it. */
export type Renamed<K extends KeyTypes, M extends { readonly [P in keyof K]: string }> = { readonly [P in keyof K as M[P]]: K[P] }

export function viewUse<Needs extends KeyTypes, F extends Features, A extends string | null>(
  view: AnyFeatureView,
  alias: A,
  key: readonly string[],
  needs: Needs,
  features: F,
): ViewUse<Needs, F, A> {
  return define({
    kind: 'viewUse',
    view,
    alias,
    needs,
    features,
    spec: Object.freeze({ view: definitionId(view), alias, key: Object.freeze(key) }),
    pick: (...names) => viewUse(view, alias, key, needs, picked(features, names, `view "${view.name}"`)),
  })
}

/** Converts a plain feature view to a use of all of its features. */
export function asViewUse(value: AnyFeatureView | ViewUse, what: string): ViewUse {
  checkKind(value, ['featureView', 'viewUse'], what, 'a feature view, or one with .as(…) or .pick(…)')
  if (definitionKind(value) === 'viewUse') return value as ViewUse
  const view = value as AnyFeatureView
  return viewUse(view, null, Object.keys(view.entity.key), view.entity.key, view.features)
}

/**
 * @throws LockstepError `UNKNOWN_FEATURE` naming the feature and the nearest one, `DEFINITIONS_INVALID` for no
 *   feature or a repeated one
 */
export function picked<F extends Features, P extends keyof F & string>(features: F, names: readonly P[], what: string): Pick<F, P> {
  if (names.length === 0) throw new LockstepError('DEFINITIONS_INVALID', `pick() of ${what} is empty; name at least one feature.`)
  const result: Partial<Record<string, unknown>> = {}
  for (const name of names) {
    if (!Object.hasOwn(features, name)) {
      throw new LockstepError('UNKNOWN_FEATURE', `The ${what} has no feature "${name}".${didYouMean(name, Object.keys(features))}`)
    }
    if (Object.hasOwn(result, name))
      throw new LockstepError('DEFINITIONS_INVALID', `pick() of ${what} names "${name}" twice; name it once.`)
    result[name] = features[name]
  }
  return Object.freeze(result) as Pick<F, P>
}
