import { createHash } from 'node:crypto'
import type { z } from 'zod'
import type { DashboardScope } from '../../registry/keys/scope.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { UiSettings } from '../../runtime/settings/ui-settings.ts'
import type { ServingContext } from '../context.ts'
import type { RouteAnswer } from '../protocols/http/call.ts'
import type { DashboardSession } from '../../registry/keys/dashboard-sessions.ts'

/** The question of a page. */
export interface Ask<Query = Readonly<Record<string, unknown>>> {
  readonly deps: ServingContext
  readonly db: Database
  readonly settings: UiSettings
  readonly session: DashboardSession
  readonly requestId: string
  /** The parameters of the path. */
  readonly params: Readonly<Record<string, string>>
  readonly query: Query
  /** The moment that is asked for, epoch microseconds. */
  readonly now: number
  /** Whether it is another one than the present. */
  readonly isPast: boolean
}

/** The data of a page, and what qualifies them. */
export interface PageAnswer<Data = unknown> {
  readonly data: Data
  /** Set where figures are of a sample: of which. */
  readonly sampled?: string
  /** Set where some of it can still change: whether it cannot any more. */
  readonly mature?: boolean
  /** Sentences about the answer: what was not recorded, or does not belong to the requested moment. */
  readonly notes?: readonly string[]
}

/** The data of one part of the dashboard. It reads stored figures and computes no statistics; only `/impact` counts. */
export interface ReadModel<Schema extends z.ZodType = z.ZodType, Query extends z.ZodObject = z.ZodObject> {
  /** Under `/ui/api`. */
  readonly path: string
  readonly scope: DashboardScope
  readonly query?: Query
  /** The contract of `data`. */
  readonly data: Schema
  /** Whether an answer is audited or must be the newest: then it is made for each request. */
  readonly isPersonal?: true
  /** Whether it has no history. Then it shows the present state for every `asOf`, and says so. */
  readonly isOfNow?: true
  read(ask: Ask<z.output<Query>>): Promise<PageAnswer<z.input<Schema>>>
}

/** Checks a read model's types, and forgets them. */
export function readModel<Schema extends z.ZodType, Query extends z.ZodObject>(model: ReadModel<Schema, Query>): ReadModel {
  return model
}

/** An answer as it is sent: `{ data, asOf, sampled?, mature?, notes? }`. The same object answers for a while. */
export function encodeAnswer(page: PageAnswer, asOf: string): { readonly etag: string; readonly answer: RouteAnswer } {
  const data = JSON.stringify(page.data)
  const { sampled, mature, notes = [] } = page
  const etag = `"${createHash('sha256').update(data).update(notes.join()).digest('base64url').slice(0, 22)}"`
  const rest = JSON.stringify({ asOf, sampled, mature, ...(notes.length === 0 ? {} : { notes }) }).slice(1)
  const body = new Uint8Array(Buffer.from(`{"data":${data},${rest}`))
  return { etag, answer: { status: 200, body, headers: { etag }, kept: true } }
}
