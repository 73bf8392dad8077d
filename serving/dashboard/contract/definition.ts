import { z } from 'zod'
import { link } from './answer.ts'

/** `GET /ui/api/sources/:id`, `services/:id`, and what every page of a definition begins with. */
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
