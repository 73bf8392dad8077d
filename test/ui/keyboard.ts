import type { Page } from 'playwright-core'
import { expect } from 'vitest'

/** The acts of a person who has only a keyboard. */
export function keyboardOf(page: () => Page) {
  const focused = () =>
    page().evaluate<string>(`(() => {
      const it = document.activeElement
      return (it?.getAttribute('aria-label') ?? it?.labels?.[0]?.textContent ?? it?.textContent ?? '').trim()
    })()`)

  return {
    /** The name of what has the focus. */
    focused,
    press: (...keys: string[]) => keys.reduce((before, key) => before.then(() => page().keyboard.press(key)), Promise.resolve()),
    type: (text: string) => page().keyboard.type(text),
    async openSearch(): Promise<void> {
      await page().keyboard.press('Control+k')
      // the focus moves after the search is there
      await page().locator('input[placeholder^="A name, a tag"]:focus').waitFor()
    },
    /** Presses Tab until something of this name has the focus, which must be visible. */
    async tabTo(name: RegExp): Promise<void> {
      const seen: string[] = []
      for (let presses = 0; presses < 120; presses++) {
        await page().keyboard.press('Tab')
        const now = await focused()
        if (name.test(now)) {
          expect([now, await page().evaluate('document.activeElement.matches(":focus-visible")')]).toEqual([now, true])
          return
        }
        seen.push(now.slice(0, 30))
      }
      throw new Error(`Tab does not reach ${String(name)}: ${seen.join(' | ')}`)
    },
  }
}
