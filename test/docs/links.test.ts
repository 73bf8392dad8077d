import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { rootFolder } from '../source-files.ts'

const pages = globSync(['*.md', 'docs/**/*.md', 'examples/**/*.md', 'test/**/*.md'], { cwd: rootFolder }).toSorted()

const withoutCode = (page: string): string => readFileSync(join(rootFolder, page), 'utf8').replaceAll(/^```[^]*?^```$/gm, '')

/** As GitHub makes them of headings. */
const anchorsOf = (page: string): string[] =>
  [...withoutCode(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  )

describe('the links of the docs', () => {
  it.each(pages)('lead from %s to pages and headings that exist', (page) => {
    const broken = [...withoutCode(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].filter(([, path = '', anchor]) => {
      const target = path === '' ? page : relative(rootFolder, join(rootFolder, dirname(page), path))
      return !existsSync(join(rootFolder, target)) || (anchor !== undefined && !anchorsOf(target).includes(anchor))
    })
    expect(broken.map(([link]) => link)).toEqual([])
  })

  it('reach every page of docs from the README', () => {
    const readme = readFileSync(join(rootFolder, 'README.md'), 'utf8')
    expect(pages.filter((page) => /^docs\/[^/]+$/.test(page) && !readme.includes(`(${page})`))).toEqual([])
  })
})
