import type { Receiver } from './config.ts'
import type { Address } from './deliver.ts'
import { addressFor } from './notice.ts'
import type { Target } from './outbox.ts'

/** Where messages go now: receivers as they are configured at present, not as when the message was written. */
export function addressBook(receivers: readonly Receiver[]): (target: Target) => Address | undefined {
  return target => {
    if (target.kind === 'url') return target
    const receiver = receivers.find(({ name }) => name === target.name)
    return receiver && addressFor(receiver)
  }
}
