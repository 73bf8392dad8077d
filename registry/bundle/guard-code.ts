import type { Node } from 'oxc-parser'
import { regexSteps } from './regex-steps.ts'
import { children, parseModule } from './syntax.ts'

// Guarded code finds in its scope, under names that clash with none of a bundle:
//   __lockstepSpend()                   called when its steps are used up: how many more it may take; it throws when
// the time is over
//   __lockstepRegExp, RegExp            a class whose operations end when the time is over
//   __lockstepPattern(pattern, flags)   such a regular expression of a text; any other value as it is
const tick = 'if(--__lockstepSteps<0)__lockstepSteps=__lockstepSpend();'
const tickExpression = '(--__lockstepSteps<0&&(__lockstepSteps=__lockstepSpend()),'

/**
 * The maximum steps between two checks of the clock. It is low because one step may copy or search much data.
 */
export const stepsAtOnce = 250

/** Each doubles the steps at most. */
const fewChoices = 8

interface Edit {
  readonly at: number
  /** What is replaced ends here. */
  readonly to: number
  readonly text: string
}

/**
 * The text of a transform with a count of steps in each loop and function, so that one that does not end can be broken
 * off from within: JavaScript has no other way that costs next to nothing and leaves the rest of the process as it was.
 * What it means stays the same. Regular expressions are made by a class of ours, for they run outside of JavaScript.
 *
 * @param code the text of an expression; what was stored does not change, and this is made anew from it where it is
 *   loaded
 */
export function guardCode(code: string): string {
  const edits: Edit[] = []
  const patterns: string[] = []
  const prefix = '('
  visit(parseModule('transform.js', `${prefix}${code}\n)`), edits, patterns)
  let text = ''
  let at = 0
  for (const edit of edits.toSorted((a, b) => a.at - b.at)) {
    text += code.slice(at, edit.at - prefix.length) + edit.text
    at = edit.to - prefix.length
  }
  // a function of its own, so that each transform has a count of its own; each call begins with a new one
  const call = `(__lockstepInput)=>{__lockstepSteps=${stepsAtOnce};return __lockstepRun(__lockstepInput)}`
  return `(()=>{let __lockstepSteps=0;const __lockstepPatterns=[${patterns.join()}];const __lockstepRun=(${text}${code.slice(at)}\n);return typeof __lockstepRun==='function'?${call}:__lockstepRun})()`
}

/** @param patterns those that are made once, as they keep nothing between calls */
function visit(node: Node, edits: Edit[], patterns: string[]): void {
  const insert = (at: number, text: string): void => void edits.push({ at, to: at, text })
  switch (node.type) {
    case 'ForStatement':
    case 'ForInStatement':
    case 'ForOfStatement':
    case 'WhileStatement':
    case 'DoWhileStatement':
      if (node.body.type === 'BlockStatement') insert(node.body.start + 1, tick)
      else {
        insert(node.body.start, `{${tick}`)
        insert(node.body.end, '}')
      }
      break
    case 'FunctionDeclaration':
    case 'FunctionExpression':
    case 'ArrowFunctionExpression':
      if (node.body === null) break
      if (node.body.type === 'BlockStatement') insert(node.body.start + 1, tick)
      else {
        insert(node.body.start, tickExpression)
        insert(node.body.end, ')')
      }
      break
    case 'Literal':
      if ('regex' in node && !isLinear(node.regex)) {
        const { pattern, flags } = node.regex
        const made = `new __lockstepRegExp(${JSON.stringify(pattern)},${JSON.stringify(flags)})`
        const text = /[gy]/.test(flags) ? made : `__lockstepPatterns[${patterns.push(made) - 1}]`
        edits.push({ at: node.start, to: node.end, text })
      }
      break
    case 'CallExpression': {
      const [first] = node.arguments
      const flags = first === undefined || first.type === 'SpreadElement' ? null : patternFlags(node.callee)
      if (first === undefined || flags === null || (first.type === 'Literal' && 'regex' in first)) break
      insert(first.start, '__lockstepPattern(')
      insert(first.end, `,"${flags}")`)
      break
    }
    default:
  }
  for (const child of children(node)) visit(child.node, edits, patterns)
}

function isLinear({ pattern, flags }: { readonly pattern: string; readonly flags: string }): boolean {
  const { exponent, choices } = regexSteps(pattern, flags)
  return exponent <= 1 && choices <= fewChoices
}

/** Methods of texts that make a regular expression of a text, and the flags that they give it. */
function patternFlags(callee: Node): string | null {
  if (callee.type !== 'MemberExpression') return null
  const { property } = callee
  const name = property.type === 'Literal' ? property.value : property.type === 'Identifier' && !callee.computed ? property.name : null
  switch (name) {
    case 'match':
    case 'search':
      return ''
    case 'matchAll':
      return 'g'
    default:
      return null
  }
}
