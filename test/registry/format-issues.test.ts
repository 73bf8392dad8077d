import { expect, it } from 'vitest'
import { routes } from '../../serving/protocols/http/routes.ts'
import { sayIssues } from '../../registry/load/format-issues.ts'
import { parsePlan } from '../../registry/rollouts/plan-schema.ts'

/** The message for a body that a route's schema refuses. */
function said(path: string, body: unknown): string {
  const schema = routes.find((route) => route.path === path && route.body !== undefined)?.body
  const parsed = schema?.safeParse(body)
  if (schema === undefined || parsed?.success !== false) throw new Error(`the body of ${path} is taken`)
  return sayIssues(parsed.error, schema, body).said
}

it.each([
  [
    'no fields',
    '/v1/features',
    {},
    /^"service" is missing: a string \(The feature service: .*\); "entities" is missing: an array \(The entities/,
  ],
  ['no object', '/v1/features', [], /^it is an array of 0; it must be an object$/],
  ['nothing', '/v1/features', null, /^it is null; it must be an object$/],
  [
    'a field that is misspelt',
    '/v1/features',
    { service: 'a', entities: [{}], entitys: [] },
    /^"entitys" is not a field here\. Did you mean "entities"\? The fields are "service", /,
  ],
  ['no entities', '/v1/features', { service: 'a', entities: [] }, /^"entities" is empty; send at least 1$/],
  [
    'too many entities',
    '/v1/features',
    { service: 'a', entities: Array(10_001).fill(null) },
    /^"entities" has 10,001 elements; send at most 10,000$/,
  ],
  [
    'one of several kinds',
    '/v1/features',
    { service: 'a', entities: [{}], asOf: {} },
    /^"asOf" is an object; it must be a string or a number \(The moment/,
  ],
  [
    'a word that is none of a list',
    '/v1/sources/:name/events',
    { events: [{}], to: 'x' },
    /^"to" is "x"; it must be one of "both", "online", "offline"$/,
  ],
  ['a number out of bounds', '/v1/backfills', { view: 'a', chunks: 0 }, /^"chunks" is 0; it must be at least 1$/],
  ['a version', '/v1/models/:name/promote', {}, /^"version" is missing; it must be the number of a version/],
  [
    'a field within an array',
    '/v2/models/:model/infer',
    { inputs: [{ name: 'a', shape: [1.5], datatype: 'X' }] },
    /^"inputs\.0\.shape\.0" is 1\.5; it must be a whole number/,
  ],
  ['a long text', '/v1/features', { service: 'a', entities: 'x'.repeat(1000) }, /^"entities" is "x{59}…"; it must be an array/],
])('describes the problem in sentences: %s', (_, path, body, pattern) => {
  expect(said(path, body)).toMatch(pattern)
})

it('compares a number in a URL with its bounds, not the length of its text', () => {
  const schema = routes.find(({ path }) => path === '/v1/views')?.query
  const { error } = schema?.safeParse({ limit: '0' }) ?? {}
  if (schema === undefined || error === undefined) throw new Error('the limit is taken')
  expect(sayIssues(error, schema, { limit: '0' }).said).toBe('"limit" is "0"; it must be at least 1')
})

it('names at most ten issues, and the number of the rest', () => {
  const inputs = Array.from({ length: 200 }, () => ({ name: 5, shape: [], datatype: 'FP32' }))
  const text = said('/v2/models/:model/infer', { inputs })
  expect(text).toMatch(/^("inputs\.\d\.name" is 5; it must be a string \([^)]*\); ){10}and 190 more$/)
})

it('names an unknown field of many elements once, with their number', () => {
  const outcomes = (sent: (i: number) => object) =>
    said('/v1/outcomes', { model: 'm', outcomes: Array.from({ length: 40 }, (_, i) => sent(i)) })
  const once = /^"outcomes\.0" has the field "valeu", which is not a field here\. Did you mean "value"\? The fields are [^;]*"id"/
  const all = outcomes(() => ({ predictionId: 'p', value: 1, valeu: 1 }))
  expect(all).toMatch(once)
  expect(all).toMatch(/"id" \(also in 39 others, from "outcomes\.1" to "outcomes\.39"\)$/)
  const several = outcomes((i) => ({ value: 1, ...(i === 0 || i === 7 ? { valeu: 1 } : {}), ...(i === 9 ? { idd: 1 } : {}) }))
  expect(several).toMatch(/"id" \(also in "outcomes\.7"\); "outcomes\.9" has the field "idd", .*"id"$/)
})

it.each([
  [
    'a kind of gate that is misspelt',
    { gates: [{ kind: 'split' }, { kind: 'predictons' }] },
    /^The plan is invalid: "gates\.1\.kind" is "predictons"\. Did you mean "predictions"\? It must be one of "errors", .*, "webhook"\. See docs/,
  ],
  ['a gate without its kind', { gates: [{ margin: 1 }] }, /"gates\.0\.kind" is missing: one of "errors", /],
  [
    'a setting of a gate that is misspelt',
    { gates: [{ kind: 'errors', margn: 0.1 }] },
    /"gates\.0" has the field "margn", which is not a field here\. Did you mean "margin"\? The fields are "kind", "margin", /,
  ],
  ['a wrong type', { gates: [{ kind: 'latency', factor: '2' }] }, /"gates\.0\.factor" is "2"; it must be a number \(/],
  ['a share in percent', { steps: [{ share: 20 }] }, /"steps\.0\.share" is 20; it must be at most 1\. See docs/],
  ['no plan', undefined, /^The plan is invalid: it is missing: an object\. See docs/],
])('names the place and the nearest word in a plan of a rollout: %s', (_, given, message) => {
  const plan = given === undefined ? given : { steps: [{ share: 1 }], ...given }
  expect(() => parsePlan(plan, [])).toThrow(
    expect.objectContaining({ code: 'INVALID_REQUEST', message: expect.stringMatching(message) as string }),
  )
})
