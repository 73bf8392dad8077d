import { redisProducer } from '../../runtime/streams/producers.ts'
import { consumeContract } from './consume-contract.ts'

consumeContract('Redis', redisProducer)
