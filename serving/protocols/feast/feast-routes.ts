import { z } from 'zod'
import { checkedRoute } from '../http/checked-route.ts'
import type { Route } from '../http/route.ts'
import { answerOnlineFeatures, onlineFeaturesAnswer, onlineFeaturesSchema } from './features-route.ts'
import {
  answerMaterialize,
  answerMaterializeIncremental,
  incrementalSchema,
  materializeAnswer,
  materializeQuery,
  materializeSchema,
} from './materialize-route.ts'
import { answerPush, answerWriteOnline, pushSchema, writeOnlineSchema } from './push-route.ts'

const common = { tag: 'Feast', errors: 'feast' } as const

/** The shapes of Feast's own feature server, so that its clients read and write here. */
export const feastRoutes: readonly Route[] = [
  {
    ...common,
    method: 'POST',
    path: '/get-online-features',
    scope: 'read',
    isHot: true,
    rowsIn: 'entities',
    summary: 'Features of a feature service or of a list, column by column',
    body: onlineFeaturesSchema,
    example: { features: ['airport_delays:landed1h'], entities: { airport: ['ATL', 'ORD'] } },
    answer: onlineFeaturesAnswer,
    handle: answerOnlineFeatures,
  },
  checkedRoute({
    ...common,
    method: 'POST',
    path: '/push',
    scope: 'push',
    rowsIn: 'df',
    summary: 'Write the rows of a data frame to a source',
    body: pushSchema,
    example: {
      push_source_name: 'landings',
      df: { airport: ['ATL'], event_timestamp: ['2001-06-30T12:00:00Z'], delay: [12] },
      to: 'online_and_offline',
    },
    answer: z.null(),
    handle: (call, deps, { body }) => answerPush(call, deps, body),
  }),
  checkedRoute({
    ...common,
    method: 'POST',
    path: '/write-to-online-store',
    scope: 'push',
    rowsIn: 'df',
    summary: 'Write the rows of a data frame to the source of a feature view, for the online store only',
    body: writeOnlineSchema,
    example: {
      feature_view_name: 'airport_delays',
      df: { airport: ['ATL'], event_timestamp: ['2001-06-30T12:00:00Z'], lastDelay: [12] },
    },
    answer: z.null(),
    handle: (call, deps, { body }) => answerWriteOnline(call, deps, body),
  }),
  checkedRoute({
    ...common,
    method: 'POST',
    path: '/materialize',
    scope: 'admin',
    summary: 'Backfill feature views over a range of event times',
    query: materializeQuery,
    body: materializeSchema,
    example: { start_ts: '2001-01-01T00:00:00', end_ts: '2001-02-01T00:00:00', feature_views: ['airport_delays'] },
    status: [200, 202, 409],
    answer: materializeAnswer,
    handle: (call, deps, { body, query }) => answerMaterialize(call, deps, body, query),
  }),
  checkedRoute({
    ...common,
    method: 'POST',
    path: '/materialize-incremental',
    scope: 'admin',
    summary: 'Bring feature views up to date',
    query: materializeQuery,
    body: incrementalSchema,
    example: { end_ts: '2001-07-01T00:00:00' },
    status: [200, 202, 409],
    answer: materializeAnswer,
    handle: (call, deps, { body, query }) => answerMaterializeIncremental(call, deps, body, query),
  }),
  {
    ...common,
    method: 'GET',
    path: '/health',
    scope: null,
    summary: 'Whether requests can be answered: 200 or 503, without a body',
    produces: 'text/plain',
    status: [200, 503],
    handle: (_, deps) => ({ status: deps.readiness().ready ? 200 : 503, body: '', contentType: 'text/plain' }),
  },
]
