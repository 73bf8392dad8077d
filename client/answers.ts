import type { FeatureRow, FeatureService } from '../registry/define/feature-service.ts'
import type { Model } from '../registry/define/model.ts'
import type { ValueOf } from '../kernel/values/value-type.ts'

export type Status = 'PRESENT' | 'NULL_VALUE' | 'NOT_FOUND' | 'OUTSIDE_MAX_AGE' | 'UNAVAILABLE' | 'INVALID'

interface Answer {
  readonly requestId: string
  /** The moment of all values, epoch microseconds. */
  readonly asOf: number
  /** Whether values are stale or defaults, because the online store could not be read. */
  readonly degraded: boolean
  /** How long ago the oldest remembered state was read, milliseconds; null where none was used. */
  readonly staleMs: number | null
  /** Views with a schedule whose run is late: their values lack what the run should have added by now. */
  readonly late: readonly string[]
}

/** A value for each entity, in their order. Of entities that are written out in the call, none is undefined. */
type ForEach<Entities extends readonly unknown[], Row> = { readonly [I in keyof Entities]: Row }

/** The features of one entity. A float that JSON cannot express is NaN, with the status INVALID. */
interface EntityFeatures<S extends FeatureService> {
  readonly features: FeatureRow<S>
  readonly statuses: { readonly [F in keyof S['features']]: Status }
  /** Epoch microseconds. */
  readonly eventTimes: { readonly [F in keyof S['features']]: number | null }
}

export interface FeaturesAnswer<S extends FeatureService, Entities extends readonly unknown[] = readonly unknown[]> extends Answer {
  readonly service: S['name']
  readonly version: S['version']
  readonly fingerprint: string
  readonly results: ForEach<Entities, EntityFeatures<S>>
}

/** An array for each member, with its value for each entity, in their order. */
export type Columns<Row> = { readonly [Name in keyof Row]: readonly Row[Name][] }

/** By name and status: the indexes of the entities. PRESENT is left out, so `{}` says that all values are present. */
export type ColumnStatuses<Name extends PropertyKey> = {
  readonly [N in Name]?: { readonly [S in Exclude<Status, 'PRESENT'>]?: readonly number[] }
}

export interface FeatureColumnsAnswer<S extends FeatureService> extends Answer {
  readonly service: S['name']
  readonly version: S['version']
  readonly fingerprint: string
  /** A float that JSON cannot express is NaN, with the status INVALID. */
  readonly features: Columns<FeatureRow<S>>
  readonly statuses: ColumnStatuses<keyof S['features']>
  /** Epoch microseconds; null where `eventTimes` does not ask for them. */
  readonly eventTimes: { readonly [F in keyof S['features']]: readonly (number | null)[] } | null
}

/** The outputs of a model for one entity. */
export type Prediction<M extends Model> = { readonly [O in keyof M['output']]: ValueOf<M['output'][O]> }

/** Which version answered a row, and why. */
export interface ServedRow {
  /** Empty for a prediction of a batch. */
  readonly predictionId: string
  readonly version: number
  /** `name@version` */
  readonly service: string
  /**
   * - `champion`: the version answers requests that name no version
   * - `canary`: a rollout gave it this row
   * - `arm`: it is a variant of an experiment
   * - `requested`: the request named it
   */
  readonly role: 'champion' | 'canary' | 'arm' | 'requested'
  /** null: no experiment. */
  readonly experiment: string | null
  readonly variant: string | null
  /** The version in whose place this one answered, because that one failed; null: none. */
  readonly bypassed: number | null
}

interface ServedAnswer<Entities extends readonly unknown[]> extends Answer {
  readonly model: string
  /** null: several versions answered. */
  readonly version: number | null
  /** `name@version`; null: several versions answered. */
  readonly service: string | null
  readonly servedBy: ForEach<Entities, ServedRow>
}

export interface PredictAnswer<M extends Model, Entities extends readonly unknown[] = readonly unknown[]> extends ServedAnswer<Entities> {
  /** The ids of the predictions, as in the prediction log. */
  readonly predictionIds: ForEach<Entities, string>
  readonly predictions: ForEach<Entities, Prediction<M>>
  /** The inputs of the predictions, where `features` asks for them. */
  readonly features: ForEach<Entities, FeatureRow<M['service']>> | null
}

export interface PredictColumnsAnswer<M extends Model> extends ServedAnswer<readonly unknown[]> {
  /** The ids of the predictions by index of the entities, as in the prediction log. */
  readonly predictionIds: readonly string[]
  /** By output. A float that JSON cannot express is NaN. */
  readonly predictions: Columns<Prediction<M>>
  /** The inputs of the predictions, where `features` asks for them. */
  readonly features: Columns<FeatureRow<M['service']>> | null
}

/** Where a prediction of a batch comes from. */
export interface BatchOfRow {
  /** The id of the batch. */
  readonly id: string
  /** The time of the row in the batch's spine, epoch microseconds. */
  readonly asOf: number
}

export interface BatchAnswer<M extends Model, Entities extends readonly unknown[] = readonly unknown[]> extends ServedAnswer<Entities> {
  /** null: the prediction is of a batch, whose rows are not in the prediction log. */
  readonly predictionIds: ForEach<Entities, string | null>
  readonly predictions: ForEach<Entities, Prediction<M>>
  /** null: there was no fresh prediction, so the model answered. */
  readonly fromBatch: ForEach<Entities, BatchOfRow | null>
}

export interface PushAnswer {
  readonly requestId: string
  readonly accepted: number
  /** Events whose id was stored already. */
  readonly duplicates: number
  /** Whether the online views include them; null: the views were not to be updated. */
  readonly online: boolean | null
  /** For `after`. */
  readonly token: string
}

export interface OutcomesAnswer {
  readonly requestId: string
  readonly accepted: number
  /** How many were stored before, by their ids. */
  readonly duplicates: number
  /** How many happened after "within", so that figures leave them out; null: they are matched by entity. */
  readonly late: number | null
  /** How many predictions are not logged; null: it cannot be known. */
  readonly unknown: number | null
  /** The share of predictions that the server logs, 0 to 1. */
  readonly logShare: number
}
