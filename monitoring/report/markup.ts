/** HTML or SVG that is safe to put into a page: made by `element`, or escaped text. */
export interface Markup {
  readonly markup: string
}

export type Attributes = Readonly<Record<string, string | number | undefined>>

const named: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => named[character] ?? character)
}

/** An element with its children; text is escaped. Attributes that are undefined are left out. */
export function element(name: string, attributes: Attributes, ...children: readonly (Markup | string)[]): Markup {
  const listed = Object.entries(attributes).map(([key, value]) => {
    if (value === undefined) return ''
    // positions need no more than tenths of a pixel
    return ` ${key}="${escaped(typeof value === 'number' ? String(Math.round(value * 10) / 10) : value)}"`
  })
  return { markup: `<${name}${listed.join('')}>${children.map(markupOf).join('')}</${name}>` }
}

function markupOf(child: Markup | string): string {
  return typeof child === 'string' ? escaped(child) : child.markup
}
