import { durationText } from '../../kernel/values/duration.ts'
import type { GreatestBytes } from '../../kernel/states/greatest-bytes.ts'
import type { StateSize } from '../../registry/changes/change-plan.ts'
import { bytes, counted } from './human.ts'

/** The greatest size of a view's state of one entity and of its parts. Above its cap, also the consequence. */
export function stateSizeText({ view, tiles, pending, maxStateBytes, latest, lifetime, ...all }: StateSize): string {
  const levels = tiles.filter((level) => level.tiles > 0)
  const parts = [
    ...levels.map((level) => `${counted(level.tiles, 'tile')} of ${durationText(level.hopMicros)} (${amount(level.each)} each)`),
    ...(lifetime.bytes > 0 ? [`${amount(lifetime)} of all time`] : []),
    ...(pending.kind === 'rows' ? [`${counted(pending.most, 'row')} that are not visible yet (${amount(pending.each)} each)`] : []),
    `${amount(latest)} besides`,
  ]
  const visible = { bytes: all.bytes - pending.most * pending.each.bytes, texts: all.texts - pending.most * pending.each.texts }
  const waiting =
    pending.kind === 'rows'
      ? `${amount(all)} with rows that are not visible yet`
      : `the same again for each moment of its schedule that rows wait for (at most ${counted(pending.most, 'moment')})`
  const most = `state of ${view}: at most ${amount(visible)} for each entity, and ${waiting}: ${parts.join(', ')}${all.texts === 0 ? '' : ' (a string adds its bytes, which have no limit)'}`
  if (maxStateBytes === null) return most
  const within = all.texts === 0 && all.bytes <= maxStateBytes
  return `${most}; its cap of ${bytes(maxStateBytes)} ${within ? 'is never reached' : 'keeps larger states out of the online store'}`
}

function amount(size: GreatestBytes): string {
  return size.texts === 0 ? bytes(size.bytes) : `${bytes(size.bytes)} + ${counted(size.texts, 'text')}`
}
