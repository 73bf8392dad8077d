import type { Node } from 'oxc-parser'
import { regexSteps } from './regex-steps.ts'
import { children, parseModule } from './syntax.ts'

// The scope of guarded code has these names, which clash with no name of a bundle:
//   __lockstepSpend()                   called when the steps are used up; returns the next steps, or throws after the
//                                       time limit
//   __lockstepRegExp, RegExp            a class whose operations end at the time limit
//   __lockstepPattern(pattern, flags)   such a regular expression for a text; any other value unchanged
const tick = 'if(--__lockstepSteps<0)__lockstepSteps=__lockstepSpend();'
const tickExpression = '(--__lockstepSteps<0&&(__lockstepSteps=__lockstepSpend()),'

/**
 * The maximum steps between two checks of the clock. It is low because one step may copy or search much data.
 */
export const stepsAtOnce = 250

/** The number of choices that a pattern may have without a guard. Each choice at most doubles the steps. */
const fewChoices = 8

interface Edit {
  readonly at: number
  /** The end of the replaced text. */
  readonly to: number
  readonly text: string
}

/**
 * Adds a step count to each loop and function of a transform, so that code that does not end can be interrupted from
 * within. JavaScript has no other way that costs almost nothing and leaves the rest of the process unchanged. The
 * meaning of the code stays the same. Regular expressions are created by a class of ours, because they run outside of
 * JavaScript.
 *
 * @param code the text of an expression; the stored code does not change, and each load guards it again
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
  // a separate function, so that each transform has its own count; each call starts a new count
  const call = `(__lockstepInput)=>{__lockstepSteps=${stepsAtOnce};return __lockstepRun(__lockstepInput)}`
  return `(()=>{let __lockstepSteps=0;const __lockstepPatterns=[${patterns.join()}];const __lockstepRun=(${text}${code.slice(at)}\n);return typeof __lockstepRun==='function'?${call}:__lockstepRun})()`
}

/** @param patterns the patterns that are created once, because they keep no state between calls */
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

/** String methods that create a regular expression from a text, and the flags that they give it. */
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
