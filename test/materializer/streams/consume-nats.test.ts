import { natsProducer } from '../../runtime/streams/producers.ts'
import { consumeContract } from './consume-contract.ts'

consumeContract('JetStream', natsProducer)
