import type { Expression, Program } from 'oxc-parser'
import type { StaticDefinition } from './module-definitions.ts'
import { codeField, moduleVariables } from './module-definitions.ts'
import { boundNames, someOutsideFunctions } from './syntax.ts'

/** Replaces, in a bundle, each reference of live code to a definition or to an awaited value. */
export const definitionMarker = '__lockstep_definition'
export const awaitMarker = '__lockstep_await'
/** The name under which the module exports the transform. */
export const transformExport = '__lockstep_transform'

const pure = '/* @__PURE__ */ '

/**
 * Rewrites a user's module so that a bundler can remove everything that a transform does not reach. Definitions become
 * markers, and functions that are marked pure compute other module-level values. Of the transforms, only the target's
 * is kept, under a separate name. Line numbers do not change.
 */
export function rewriteModule(
  text: string,
  program: Program,
  definitions: readonly StaticDefinition[],
  target: StaticDefinition | null,
): string {
  const edits: Edit[] = []
  for (const definition of definitions) {
    const { init, id } = definition.declarator
    const marker = `${pure}${definitionMarker}(${JSON.stringify(boundNames(id)[0])})`
    const kept = definition === target && definition.transform !== null ? definition.transform : null
    if (kept === null) {
      edits.push({ start: init.start, end: init.end, text: marker + newlines(text, init.start, init.end) })
    } else {
      const [open, close] = kept.method ? ['({', `}).${codeField(definition.call)}`] : ['(', ')']
      edits.push({
        start: init.start,
        end: kept.start,
        text: `${marker}, ${transformExport} = ${newlines(text, init.start, kept.start)}${open}`,
      })
      edits.push({ start: kept.end, end: init.end, text: close + newlines(text, kept.end, init.end) })
    }
  }
  const initialisers = new Set(definitions.map((d) => d.declarator.init))
  for (const { declaration } of moduleVariables(program)) {
    for (const { id, init } of declaration.declarations) {
      if (init === null || initialisers.has(init) || isPlain(init)) continue
      const names = boundNames(id)
      if (someOutsideFunctions(init, (node) => node.type === 'AwaitExpression')) {
        const values = names.map((name) => `${name} = ${pure}${awaitMarker}(${JSON.stringify(name)})`)
        edits.push({ start: id.start, end: init.end, text: values.join(', ') + newlines(text, id.start, init.end) })
      } else if (id.type === 'Identifier') {
        edits.push({ start: init.start, end: init.start, text: `${pure}(() => (` }, { start: init.end, end: init.end, text: '))()' })
      } else {
        const statement = text.slice(id.start, init.end)
        const values = names.map(
          (name, i) => `${name} = ${pure}(() => { const ${i === 0 ? statement : flat(statement)}; return ${name} })()`,
        )
        edits.push({ start: id.start, end: init.end, text: values.join(', ') })
      }
    }
  }
  for (const statement of program.body) {
    if (statement.type !== 'ExportDefaultDeclaration') continue
    const { declaration } = statement
    if (
      declaration.type === 'FunctionDeclaration' ||
      declaration.type === 'ClassDeclaration' ||
      declaration.type === 'TSInterfaceDeclaration'
    )
      continue
    edits.push(
      { start: declaration.start, end: declaration.start, text: `${pure}(() => (` },
      { start: declaration.end, end: declaration.end, text: '))()' },
    )
  }
  const exporting = target !== null && !target.exported ? `\nexport { ${transformExport} }\n` : ''
  return applied(text, edits) + exporting
}

interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

function applied(text: string, edits: readonly Edit[]): string {
  let result = ''
  let at = 0
  for (const edit of edits.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    result += text.slice(at, edit.start) + edit.text
    at = edit.end
  }
  return result + text.slice(at)
}

function newlines(text: string, start: number, end: number): string {
  return '\n'.repeat(text.slice(start, end).split('\n').length - 1)
}

/**
 * Puts a repeated copy on one line, so that it moves no other lines. If joining lines could change its meaning
 * (comments, templates), the lines stay.
 */
function flat(text: string): string {
  return /[`]|\/\//.test(text) ? text : text.replaceAll('\n', ' ')
}

/**
 * Whether an initializer has no effect and needs no wrapper. Functions then keep their names, and constants can still
 * be inlined.
 */
function isPlain(init: Expression): boolean {
  switch (init.type) {
    case 'Literal':
    case 'ArrowFunctionExpression':
    case 'FunctionExpression':
      return true
    case 'TemplateLiteral':
      return init.expressions.length === 0
    case 'UnaryExpression':
      return init.argument.type === 'Literal'
    default:
      return false
  }
}
