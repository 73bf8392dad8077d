import { z } from 'zod'

/**
 * `GET /ui/api/catalog/index`: all names, for lists and search in the browser. Compact: a row is an array.
 */
export const catalogIndex = z.object({
  /** `[kind, name, version, about, owner, tags, description]` */
  entries: z.array(
    z.tuple([
      z.string().describe('entity, source, view, onDemand, service, model, outcome, monitor, channel, experiment, batch or dataset'),
      z.string().describe('Name'),
      z.number().nullable().describe('The newest version; of a model, the champion if it has one'),
      z.string().describe('What it is, in a few words'),
      z.string().nullable().describe('Owner'),
      z.array(z.string()).describe('Tags'),
      z.string().nullable().describe('Description'),
    ]),
  ),
  /** `[name, type, index of its view in entries, how it is computed]` */
  features: z.array(z.tuple([z.string(), z.string(), z.number(), z.string()])),
  total: z.number().describe('Of features'),
  rollouts: z.array(z.string()).describe('The models that have had a rollout'),
  isCut: z.boolean().describe('Whether there are more than the index has: then search on the server'),
})
export type CatalogIndex = z.output<typeof catalogIndex>

/** `GET /ui/api/search?q=` */
export const searchResults = z.object({
  results: z.array(
    z.object({
      kind: z.string(),
      name: z.string(),
      view: z.string().nullable().describe('Of a feature: its view, `airport_delays@2`'),
      matched: z.string().describe('Which text was found: name, tag, owner, column, description or code'),
      text: z.string(),
      about: z.string(),
      owner: z.string().nullable(),
    }),
  ),
  /** What the text says in the grammar of the command line: `airport:ATL @ 2001-03-04T10:00`. */
  explain: z.object({ entity: z.string(), key: z.record(z.string(), z.string()), asOf: z.string().nullable() }).nullable(),
})
export type SearchResults = z.output<typeof searchResults>
