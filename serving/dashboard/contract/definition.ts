import { z } from 'zod'
import { link } from './answer.ts'
import { deadReasons } from './pipelines.ts'

/** `GET /ui/api/services/:id`, and what every page of a definition begins with. */
export const definition = z.object({
  kind: z.string(),
  id: z.string().describe('`airport_delays@2`'),
  description: z.string().nullable(),
  owner: z.string().nullable(),
  tags: z.array(z.string()),
  facts: z.array(z.object({ name: z.string(), value: z.string(), link: link.nullable() })),
  /** Of a source its columns, of a view or service its features. */
  parts: z.array(z.object({ name: z.string(), type: z.string(), about: z.string(), link: link.nullable() })),
  readers: z.array(z.object({ link, about: z.string() })).describe('What is made from it'),
  versions: z.array(z.object({ id: z.string(), about: z.string() })).describe('Newest first'),
  code: z.string().nullable().describe('Of its transform'),
  example: z.string().nullable().describe('An entity, as JSON, to read and explain'),
})
export type DefinitionData = z.output<typeof definition>

/** `GET /ui/api/sources/:id`. */
export const source = definition.extend({
  files: z
    .object({
      patterns: z.array(z.string()).describe('Which files feed it'),
      schedule: z.string().nullable().describe('When workers look for new files, five fields of cron; null: they do not'),
      total: z.int().describe('The number of loaded files'),
      rows: z.int().describe('Their rows'),
      bytes: z.int().describe('Their size'),
      newest: z
        .array(
          z.object({
            path: z.string(),
            rows: z.int(),
            bytes: z.int(),
            etag: z.string(),
            syncedAt: z.string().describe('When it was loaded, RFC 3339'),
            stale: z.string().nullable().describe('Why its rows are not what the source declares now; null: they are'),
          }),
        )
        .describe('The files that were loaded last, at most 200'),
      lastSync: z
        .object({
          job: z.int(),
          state: z.string(),
          at: z.string().describe('When it ended, or began if it runs, RFC 3339'),
          error: z.string().nullable(),
        })
        .nullable()
        .describe('null: there was none lately'),
    })
    .nullable()
    .describe('null: no Parquet files feed it'),
  dead: deadReasons.nullable().describe('null: no stream feeds it, and none of its messages is kept'),
})
export type SourceData = z.output<typeof source>
