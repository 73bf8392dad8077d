import { expect, it } from 'vitest'
import { openConsumer } from '../../../runtime/streams/open-consumer.ts'
import { streamConsumerContract } from './stream-consumer-contract.ts'
import { kafkaProducer } from './producers.ts'

streamConsumerContract(
  'a Kafka topic',
  kafkaProducer,
  ({ producer, consumer }) => {
    it('reports that the topic does not exist', async () => {
      const missing = { code: 'STREAM_UNAVAILABLE', message: expect.stringContaining('the topic does not exist') as string }
      await expect(consumer('nothing').take(1)).rejects.toMatchObject(missing)
      await expect(consumer('nothing').lag()).rejects.toMatchObject(missing)
    })

    it('names the setting that is missing', () => {
      const nowhere = { streamRedisUrl: null, natsUrl: null, kafkaUrl: null }
      expect(() => openConsumer(nowhere, producer().spec('s'), { redeliverMs: 1 })).toThrow('LOCKSTEP_KAFKA_URL')
    })
  },
  { together: true },
)
