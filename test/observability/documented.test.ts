import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { rootFolder, sourceFiles } from '../source-files.ts'

it('names each metric of the product in the docs', () => {
  const product = ['runtime', 'online', 'inference', 'materializer', 'monitoring', 'serving'].flatMap((room) => sourceFiles([room]))
  const texts = product.map(({ path }) => readFileSync(join(rootFolder, path), 'utf8'))
  const metrics = new Set(texts.flatMap((text) => [...text.matchAll(/\bname(?:: | = )'(lockstep_[a-z_]+)'/g)].map(([, name = '']) => name)))
  expect(metrics.size).toBeGreaterThan(60)
  const docs = globSync('docs/*.md', { cwd: rootFolder }).map((page) => readFileSync(join(rootFolder, page), 'utf8'))
  expect([...metrics].filter((name) => !docs.some((text) => text.includes(name)))).toEqual([])
})
