import { describe, expect, it } from 'vitest'
import { openInlineSession } from '../../inference/inline-session.ts'
import { inspectModel } from '../../inference/inspect-model.ts'
import { withPresentLocale } from '../../inference/text-locale.ts'
import { makeOnnx } from './make-onnx.ts'

/** Writes a text in lower case, as vectorizers do first. It is of one axis. */
function lowerCase(attributes: Readonly<Record<string, string>> = {}): Buffer {
  return makeOnnx({
    graph: {
      inputs: [{ name: 'title', type: 'string', shape: ['N'] }],
      outputs: [{ name: 'lower', type: 'string', shape: ['N'] }],
      nodes: [
        { type: 'StringNormalizer', inputs: ['title'], outputs: ['lower'], attributes: { case_change_action: 'LOWER', ...attributes } },
      ],
    },
  })
}

const feeds = { title: { type: 'string', dims: [2], data: ['Über JFK', 'ÉTÉ'] } }

describe('a model that changes the case of texts', () => {
  it.each([
    ['none', {}],
    ['en_US', { locale: 'en_US.UTF-8' }],
  ])('loads whether the machine has en_US or not, with the locale: %s', async (_, attributes) => {
    const bytes = lowerCase(attributes)
    expect((await inspectModel(bytes)).inputs).toMatchObject([{ name: 'title', type: 'string' }])
    for (const file of [bytes, withPresentLocale(bytes)]) {
      const session = await openInlineSession(file, 'titles')
      expect((await session.run(feeds, ['lower'])).tensors['lower']?.data).toEqual(['über jfk', 'été'])
      await session.release()
    }
    expect(withPresentLocale(bytes)).not.toBe(bytes)
  })

  it('is refused in one sentence if it is damaged', async () => {
    const damaged = Buffer.from(lowerCase().toString('latin1').replace('LOWER', 'LOWUR'), 'latin1')
    await expect(openInlineSession(damaged, 'titles')).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringMatching(/^The model "titles" does not load: .*[^.\s]\. Push it again\.$/s) as string,
    })
    await expect(inspectModel(damaged, { file: 'titles.onnx' })).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringMatching(
        /^The model file "titles\.onnx" is not an ONNX model .*[^.\s]\. Export the model to ONNX and push that file\.$/s,
      ) as string,
    })
  })

  it('keeps another locale, whose letters can differ', () => {
    const bytes = lowerCase({ locale: 'tr_TR.UTF-8' })
    expect(withPresentLocale(bytes)).toBe(bytes)
  })
})
