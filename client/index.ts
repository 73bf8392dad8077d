// The client of a Lockstep server. It needs only fetch: no package and no module of Node, so it works in browsers too.
export { ClientError } from './client-error.ts'
export type { ClientErrorCode } from './client-error.ts'
export { createClient } from './create-client.ts'
export type { Client, ClientOptions, ReadOptions, RequestOptions } from './create-client.ts'
export type {
  BatchAnswer,
  BatchOfRow,
  Columns,
  ColumnStatuses,
  FeatureColumnsAnswer,
  FeaturesAnswer,
  OutcomesAnswer,
  PredictAnswer,
  PredictColumnsAnswer,
  Prediction,
  PushAnswer,
  ServedRow,
  Status,
} from './answers.ts'
export type { Entity, Moment, SentOutcome, SourceEvent } from './definitions.ts'
