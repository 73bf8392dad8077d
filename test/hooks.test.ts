import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Visitor, parseSync } from 'oxc-parser'
import { expect, it } from 'vitest'
import { rootFolder } from './source-files.ts'

/**
 * The uses, in hooks that run at the end, of variables that only a hook at the beginning sets, where they are taken for
 * set.
 */
function unguarded(path: string, text: string): string[] {
  const { program } = parseSync(path, text)
  const unset = new Set<string>()
  const hooks: { readonly start: number; readonly end: number }[] = []
  const uses: { readonly name: string; readonly start: number }[] = []
  new Visitor({
    VariableDeclaration: ({ kind, declarations }) => {
      for (const { id, init } of kind === 'let' ? declarations : []) if (id.type === 'Identifier' && init === null) unset.add(id.name)
    },
    CallExpression: ({ callee, start, end, optional }) => {
      if (callee.type !== 'Identifier') return
      if (callee.name === 'afterAll' || callee.name === 'afterEach') hooks.push({ start, end })
      if (!optional) uses.push({ name: callee.name, start })
    },
    MemberExpression: ({ object, start, optional }) =>
      void (object.type === 'Identifier' && !optional && uses.push({ name: object.name, start })),
  }).visit(program)
  return uses
    .filter(({ name, start }) => unset.has(name) && hooks.some((hook) => hook.start < start && start < hook.end))
    .map(({ name, start }) => `${path}:${text.slice(0, start).split('\n').length} takes "${name}" for set`)
}

it('a hook that ends a test file hides no failure of the hook that began it', () => {
  expect(unguarded('a.test.ts', 'let world: World\nlet n = 1\nafterAll(() => world.close(n.x))')).toEqual([
    'a.test.ts:3 takes "world" for set',
  ])
  expect(unguarded('a.test.ts', 'let drop: () => void\nafterAll(async () => {\n  drop()\n})')).toEqual(['a.test.ts:3 takes "drop" for set'])
  const files = globSync('test/**/*.ts', { cwd: rootFolder })
  expect(files.flatMap((path) => unguarded(path, readFileSync(join(rootFolder, path), 'utf8')))).toEqual([])
})
