import { kafkaProducer } from '../../runtime/streams/producers.ts'
import { consumeContract } from './consume-contract.ts'

// each of its tests waits for a group to form
consumeContract('Kafka', kafkaProducer, { whole: false })
