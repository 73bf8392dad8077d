import { ActionIcon, Popover, Tabs, Tooltip } from '@mantine/core'
import { type ReactElement, useState } from 'react'
import { Icon } from '../shell/icon.tsx'
import { Command } from './command.tsx'
import { usePastMoment } from './moment.tsx'
import type { Ways } from './ways.ts'

const names = { command: 'Command', curl: 'curl', typescript: 'TypeScript', sql: 'SQL' } as const

/** A button that shows how to get a panel's figures elsewhere. */
export function Teacher({ title, ways }: { readonly title: string; readonly ways: Ways }): ReactElement {
  const [opened, setOpened] = useState(false)
  const past = usePastMoment()
  const [offer, present] = [ways(past), ways()]
  const given = (Object.keys(names) as (keyof typeof names)[]).filter((way) => offer[way] !== undefined)
  const label = `${title}: as a command, curl, TypeScript or SQL`
  return (
    <Popover
      opened={opened}
      onChange={setOpened}
      width="min(460px, 92vw)"
      position="bottom-end"
      shadow="md"
      trapFocus
      returnFocus
      transitionProps={{ duration: 0 }}
    >
      <Popover.Target>
        <Tooltip label="As a command, curl, TypeScript, SQL" openDelay={400} disabled={opened}>
          <ActionIcon variant="subtle" size={30} aria-label={label} onClick={() => setOpened(!opened)}>
            <Icon name="code" size={16} />
          </ActionIcon>
        </Tooltip>
      </Popover.Target>
      <Popover.Dropdown aria-label={label}>
        {opened && (
          <Tabs defaultValue={given[0] ?? null} keepMounted={false}>
            <Tabs.List aria-label="Ways">
              {given.map((way) => (
                <Tabs.Tab key={way} value={way}>
                  {names[way]}
                </Tabs.Tab>
              ))}
            </Tabs.List>
            {given.map((way) => (
              <Tabs.Panel key={way} value={way} pt="sm">
                <Command text={offer[way] ?? ''} label={names[way]} />
                {past !== undefined && offer.isFixed !== true && offer[way] === present[way] && (
                  <p className="dim small">This takes no moment: it shows now.</p>
                )}
              </Tabs.Panel>
            ))}
          </Tabs>
        )}
      </Popover.Dropdown>
    </Popover>
  )
}
