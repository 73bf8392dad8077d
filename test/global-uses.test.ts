import { expect, it } from 'vitest'
import { isPure, reachesConsole, reachesEnvironment, reachesRequire } from './global-uses.ts'
import { parse } from './source-files.ts'

const uses = (text: string): string[] => [...parse('kernel/x.ts', text).globals]

it('finds uses of the environment in any form', () => {
  const ways = [
    `process.env['A']`,
    `process['env']`,
    'process[`env`]',
    `const { env } = process`,
    `const { ...all } = process`,
    `({ env } = process)`,
    `({ env } = process) => env`,
    `process[name]`,
    `const p = process; p.env`,
    `read(process)`,
    `globalThis.process.env`,
    `globalThis['process'].env`,
    `const { process } = globalThis`,
    `const p = globalThis`,
    `process!.env`,
    `(process as Other).env`,
  ]
  expect(ways.filter((text) => !uses(text).some(reachesEnvironment))).toEqual([])
  const others = [
    `process.pid`,
    `const { argv } = process`,
    `const process = 1; f(process)`,
    `x.process.env`,
    `type E = typeof process.env`,
  ]
  expect(others.filter((text) => uses(text).some(reachesEnvironment))).toEqual([])
})

it('finds uses of the console and standard streams in any form', () => {
  const ways = [
    `console.log(1)`,
    `const { log } = console`,
    `const c = console`,
    `list.forEach(console.log)`,
    `log(console)`,
    `globalThis.console.log(1)`,
    `const { stdout } = process`,
    `process.stderr.write('')`,
  ]
  expect(ways.filter((text) => !uses(text).some(reachesConsole))).toEqual([])
  expect([`x.console.log(1)`, `const { console } = page; console.log(1)`].filter((text) => uses(text).some(reachesConsole))).toEqual([])
})

it('finds uses of the clock and of randomness', () => {
  const ways = [
    `new Date()`,
    `Date()`,
    `Date.now()`,
    `const now = Date.now`,
    `const { now } = Date`,
    `const D = Date`,
    `performance.now()`,
    `const { now } = performance`,
    `Math.random()`,
    `const { random } = Math`,
    `crypto.randomUUID()`,
    `process.hrtime()`,
    `globalThis.Date.now()`,
    `Intl.DateTimeFormat()`,
    `setTimeout(f, 1)`,
  ]
  expect(ways.filter((text) => uses(text).every((use) => isPure(use)))).toEqual([])
  const pure = [
    `new Date(0)`,
    `Date.UTC(2000)`,
    `[] instanceof Date`,
    `let date: Date`,
    `Math.max(1, 2)`,
    `new Map()`,
    `Number('1')`,
    `undefined`,
  ]
  expect(pure.filter((text) => !uses(text).every((use) => isPure(use)))).toEqual([])
})

it('finds a required package', () => {
  const ways = [
    `import { createRequire } from 'node:module'; createRequire(import.meta.url)('pg')`,
    `import { createRequire as load } from 'node:module'; load(import.meta.url)('pg')`,
    `import module from 'node:module'`,
    `import * as module from 'node:module'`,
    `import { Module } from 'node:module'`,
    `require('pg')`,
    `process.getBuiltinModule('node:module')`,
  ]
  const requires = (text: string): boolean => {
    const { requires: given, globals } = parse('registry/x.ts', text)
    return given || [...globals].some(reachesRequire)
  }
  expect(ways.filter((text) => !requires(text))).toEqual([])
  expect(requires(`import { isBuiltin } from 'node:module'; isBuiltin('fs')`)).toBe(false)
})
