import type { Expression, Node, Program } from 'oxc-parser'
import type { StaticDefinition } from './module-definitions.ts'
import { codeField, moduleVariables } from './module-definitions.ts'
import { boundNames, children, someOutsideFunctions } from './syntax.ts'

/** Replaces, in a bundle, each reference of live code to a definition or to an awaited value. */
export const definitionMarker = '__lockstep_definition'
export const awaitMarker = '__lockstep_await'
/** The name under which the module exports the transform. */
export const transformExport = '__lockstep_transform'

const pure = '/* @__PURE__ */ '

/**
 * Writes a module for a bundle.
 *
 * @param target the definition whose transform is bundled; null: it stands in another module
 * @param kept the other definitions that the text has; `named`: only those that its remaining code names
 */
export type ModuleRewriter = (target: StaticDefinition | null, kept: 'all' | 'named') => string

/**
 * Rewrites a user's module so that a bundler can remove everything that a transform does not reach. Definitions become
 * markers, and functions that are marked pure compute other module-level values. Of the transforms, only the target's
 * is kept, under a separate name. Line numbers do not change.
 */
export function moduleRewriter(text: string, program: Program, definitions: readonly StaticDefinition[]): ModuleRewriter {
  const shared = valueEdits(text, program, definitions)
  const texts = definitionTexts(text, program, definitions)
  const declarators = new Set<Node>(definitions.map(({ declarator }) => declarator))
  const named = new Set<string>()
  addNames(program, (node) => !declarators.has(node), named)
  return (target, kept) => {
    const names = new Set(named)
    const transform = target?.transform ?? null
    if (target !== null && transform !== null) {
      addNames(target.declarator.init, ({ start, end }) => start < transform.end && end > transform.start, names)
    }
    const own = texts.flatMap(({ definition, name, marked, blank }) => {
      if (definition === target && transform !== null) return transformEdits(text, definition, transform)
      return kept === 'all' || blank === null || names.has(name) ? [marked] : [blank]
    })
    const exporting = target !== null && !target.exported ? `\nexport { ${transformExport} }\n` : ''
    return applied(text, [...own, ...shared]) + exporting
  }
}

/** Adds the names that stand in a node, without the nodes that `enters` refuses. */
function addNames(node: Node, enters: (node: Node) => boolean, names: Set<string>): void {
  if (!enters(node)) return
  if (node.type === 'Identifier') names.add(node.name)
  for (const child of children(node)) addNames(child.node, enters, names)
}

interface DefinitionText {
  readonly definition: StaticDefinition
  readonly name: string
  readonly marked: Edit
  /** Removes the definition's statement; null: the statement declares more. */
  readonly blank: Edit | null
}

function definitionTexts(text: string, program: Program, definitions: readonly StaticDefinition[]): DefinitionText[] {
  const alone = new Map(
    moduleVariables(program).flatMap(({ statement, declaration }) =>
      declaration.declarations.length === 1 ? [[declaration.declarations[0], statement] as const] : [],
    ),
  )
  return definitions.map((definition) => {
    const { init, id } = definition.declarator
    const [name = ''] = boundNames(id)
    const statement = alone.get(definition.declarator)
    // the semicolon ends the statement before it, as the definition does
    const blank = statement === undefined ? null : replaced(text, statement, ';')
    return { definition, name, marked: replaced(text, init, marker(definition.declarator)), blank }
  })
}

function marker({ id }: StaticDefinition['declarator']): string {
  return `${pure}${definitionMarker}(${JSON.stringify(boundNames(id)[0])})`
}

/** The edits of the definition whose transform is kept. */
function transformEdits(text: string, { call, declarator }: StaticDefinition, kept: NonNullable<StaticDefinition['transform']>): Edit[] {
  const { init } = declarator
  const [open, close] = kept.method ? ['({', `}).${codeField(call)}`] : ['(', ')']
  return [
    {
      start: init.start,
      end: kept.start,
      text: `${marker(declarator)}, ${transformExport} = ${newlines(text, init.start, kept.start)}${open}`,
    },
    { start: kept.end, end: init.end, text: close + newlines(text, kept.end, init.end) },
  ]
}

/** The edits of module-level values that are not definitions. */
function valueEdits(text: string, program: Program, definitions: readonly StaticDefinition[]): Edit[] {
  const edits: Edit[] = []
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
  return edits
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

/** Replaces a node. Its line breaks stay. */
function replaced(text: string, { start, end }: Node, by: string): Edit {
  return { start, end, text: by + newlines(text, start, end) }
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
