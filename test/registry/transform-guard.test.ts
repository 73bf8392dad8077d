import { describe, expect, it } from 'vitest'
import { loadTransform, timeoutOfCall } from '../../kernel/transform.ts'
import { regexSteps } from '../../registry/bundle/regex-steps.ts'
import { createTransformGuard } from '../../registry/transform-guard.ts'

const told: [string, boolean][] = []
const guard = createTransformGuard({
  budgetMs: 60,
  strictMs: 5,
  strictForMs: 60_000,
  onTimeout: (view, _, again) => told.push([view, again]),
})
const load = (code: string, view = 'views@1') => guard.load(code, view) as (input: unknown) => unknown

const redos = '"a".repeat(40) + "b"'
const endless: Readonly<Record<string, string>> = {
  'a loop that the input decides': '({ steps }) => { let n = 0; for (let i = 0; i < steps; i++) n += i % 3; return n }',
  'an empty loop': '() => { for (;;); }',
  'a loop without braces': '() => { let i = 0; do i++; while (true) }',
  'a loop within a loop': '() => { for (const k in { a: 1 }) for (const x of [k]) while (true); }',
  recursion: '() => { const f = (n) => n < 2 ? n : f(n - 1) + f(n - 2); return f(90) }',
  'a callback': '() => Array.from({ length: 1e9 }, (_, i) => i % 2).length',
  'a generator': '() => [...(function* () { for (;;) yield 1 })()]',
  'a getter': '() => ({ get a() { for (;;); } }).a',
  'a constructor': '() => { class A { constructor() { for (;;); } } return new A() }',
  'a loop that catches what ends it': '() => { for (;;) { try { for (;;); } catch { continue } finally { continue } } }',
  'a transform that catches what ends it': '() => { try { for (;;); } catch { return { n: 1 } } }',
  'a regular expression': `() => /^(a+)+$/.test(${redos})`,
  'a regular expression that replaces': `() => (${redos}).replace(/^(a+)+$/g, (m) => m)`,
  'a regular expression that splits': `() => (${redos}).split(/(a+)+$/)`,
  'a pattern that is a text': `() => (${redos}).match("^(a+)+$")`,
  'patterns that are texts': `() => [...(${redos}).matchAll("^(a+)+$")]`,
  'a pattern of a method that is named by a text': `() => (${redos})["match"]("^(a+)+$")`,
  'a pattern that is searched': `() => (${redos}).search("(a|a)*$")`,
  'a made regular expression': `() => new RegExp("^(a+)+$").test(${redos})`,
  'a called regular expression': `() => RegExp("^(a+)+$").exec(${redos})`,
  'a step that copies all before it':
    '() => { const o = { list: "abcdefgh".repeat(2000).split("").map((_, i) => i) }; return o.list.reduce((a, k) => ({ ...a, ["k" + k]: 1 }), {}) }',
  'a step that searches much': '() => { const a = new Array(3e5).fill(0); for (let i = 0; i < 19000; i++) a.indexOf(i + 1) }',
  'a regular expression that counts': '() => /(?:a{300}){300}b/.test("a".repeat(1e6))',
  'a long text': '() => /\\s+$/.test(" ".repeat(1e6) + "b")',
}

describe('a guarded transform', () => {
  it.for(Object.entries(endless))('that does not end is broken off: %s', ([name, code]) => {
    const transform = load(code, name)
    const timeout = expect.objectContaining({ code: 'TRANSFORM_TIMEOUT', message: expect.stringContaining(`"${name}"`) })
    expect(() => transform({ steps: 1e15 })).toThrow(timeout)
    const before = process.threadCpuUsage()
    expect(() => transform({ steps: 1e15 })).toThrow(timeout)
    const { user, system } = process.threadCpuUsage(before)
    // by then it has the short budget
    expect((user + system) / 1000).toBeLessThan(2000)
    expect(told.slice(-2)).toEqual([
      [name, false],
      [name, true],
    ])
    expect(guard.strict()).toContain(name)
    // what others wait for goes on
    expect(load('() => 1')({})).toBe(1)
  })

  it('that never ends names its caller, for any view name', () => {
    const thrown = (() => {
      try {
        return load('() => { for (;;); }', 'one did not end')({})
      } catch (error) {
        return error
      }
    })()
    const { message } = timeoutOfCall(thrown, 'on the row at noon') ?? {}
    expect(message).toMatch(/^The transform of "one did not end" did not end on the row at noon within \d+ ms and was stopped\. /)
    expect(timeoutOfCall(new Error('another'), 'on the row at noon')).toBe(null)
  })

  it('that ends gives the same result as without a guard', () => {
    const code = `({ text, n }) => {
      const found = []
      const pattern = /a(b)?/g
      for (let match; (match = pattern.exec(text)) !== null; ) found.push(match[0])
      const sum = (x) => { let s = 0; for (let i = 0; i < x; i++) s += i; return s }
      class Pair { #a; constructor(a) { this.#a = a } get a() { return this.#a } }
      function* up(to) { let i = 0; while (i < to) yield i++ }
      return [
        found, text.split(/b+/), text.split(/(b+)/, 2), text.replace(/(b+)c/g, "<$1>"), text.replace(/b+/g, (m) => m.length), text.match(/b+/g),
        text.match(/(?<bs>b+)c/).groups.bs, [...text.matchAll(/b+/g)].map((m) => m.index), text.search(/b+c/), text.match("b+").index,
        /b+/ instanceof RegExp, RegExp("x+").source, new RegExp(/q+/gi).flags, /b+/y.test(text), sum(n), n / 2 / 5, [...up(n)],
        [3, 1, 2].map((x) => x * 2).sort((a, b) => a - b), new Pair(n).a, (() => ({ z: 1 }))(), text.replaceAll(/b+/g, "-"),
      ]
    }`
    const input = { text: 'abbabbbc ab', n: 12 }
    const plain = loadTransform(code, 'views@1') as (input: unknown) => unknown
    expect(JSON.stringify(load(code)(input))).toBe(JSON.stringify(plain(input)))
  })

  it('knows which regular expressions are slow on which texts', () => {
    const exponents = ['^\\d{4}-\\d\\d$', '@mail\\.com$', '\\s+', '(ab)+', '^[^\\s@]+@[^\\s@]+$', '(\\w+)\\s\\1', '(a+)+', '(a|b)*c'].map(
      (pattern) => regexSteps(pattern, '').exponent,
    )
    expect(exponents).toEqual([0, 1, 2, 2, 2, 3, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY])
  })
})
