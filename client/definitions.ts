import type { FeatureService } from '../registry/define/feature-service.ts'
import type { Model } from '../registry/define/model.ts'
import type { Outcome } from '../registry/define/outcome.ts'
import type { Source } from '../registry/define/source.ts'
import type { Types } from '../registry/define/t.ts'
import type { ColumnType, ValueOf } from '../kernel/values/value-type.ts'

// The types that callers take from a definitions module: types alone, so none of its code is in their programs.

type Of<D, K extends string> = Extract<D[keyof D], { readonly kind: K }>
type ModelOf<D> = Extract<Of<D, 'model'>, Model>

/** The names of the models that a definitions module exports. */
export type ModelName<D> = ModelOf<D>['name']
/** The services that it exports, or that its models take, each with its version: `flight_features@1`. */
export type ServiceName<D> = ServiceId<AnyService<D>>
/** `flight_features@1`: always the version that these types describe. */
export type ServiceId<S extends FeatureService> = S extends FeatureService ? `${S['name']}@${S['version']}` : never
/** The names of the sources that it exports. */
export type SourceName<D> = AnySourceOf<D>['name']

/** The names of the outcomes that it exports. */
export type OutcomeName<D> = OutcomesOf<D>['name']

export type OutcomeNamed<D, N extends string> = Extract<OutcomesOf<D>, { readonly name: N }>
export type ModelNamed<D, N extends string> = Extract<ModelOf<D>, { readonly name: N }>
export type ServiceNamed<D, N extends string> = OfId<AnyService<D>, N>
export type SourceNamed<D, N extends string> = Extract<AnySourceOf<D>, { readonly name: N }>

type OfId<S, N extends string> = S extends FeatureService ? (N extends ServiceId<S> ? S : never) : never
type AnyService<D> = Extract<Of<D, 'featureService'> | ModelOf<D>['service'], FeatureService>
type AnySourceOf<D> = Extract<Of<D, 'source'>, AnySource>
type OutcomesOf<D> = Extract<Of<D, 'outcome'>, Outcome>
type AnySource = Source<string, Readonly<Record<string, string>>, Types, string, string>

/** A moment: RFC 3339, a Date, or epoch microseconds. */
export type Moment = string | number | Date

/** A value in a request: timestamps in any form. */
type Sent<T extends ColumnType> = T extends { readonly kind: 'timestamp' } ? Moment : ValueOf<T>

/** The fields of a request for each entity: keys and request data. */
export type Entity<S extends FeatureService> = { readonly [K in keyof S['needs']]: Sent<S['needs'][K]> }

/** The outcome of one prediction. */
export interface SentOutcome<O extends Outcome> {
  /** The id that the prediction was answered with. */
  readonly predictionId?: string
  /** The key of the outcome's source, for outcomes that are matched by entity. */
  readonly entity?: Readonly<Record<string, KeyValue>>
  /** null: nothing can be said. */
  readonly value: ValueOf<O['type']> | null
  /** When it happened. Default: now. */
  readonly at?: Moment
  /** Identifies the outcome forever. Absent: the client generates one, so that it is stored once. */
  readonly id?: string
}

type KeyColumn<S extends AnySource> = S['key'][keyof S['key']]
type KeyValue = string | number | bigint | boolean | Date

/**
 * An event of a source: every column, including its key and event time. The known time is included where there is one
 * and it is not the receipt. null: the receipt.
 */
export type SourceEvent<S extends AnySource> = {
  readonly [C in keyof S['columns']]: Sent<S['columns'][C]> | null
} & { readonly [C in Exclude<KeyColumn<S>, keyof S['columns']>]: KeyValue | null } & {
  readonly [C in Exclude<S['eventTime'], keyof S['columns']>]: Moment
} & { readonly [C in NonNullable<S['known']>]?: Moment | null } & {
  /**
   * Identifies one event of its source forever. Absent: the client generates one, so that the event counts once however
   * often it is sent.
   */
  readonly _event_id?: string
}
