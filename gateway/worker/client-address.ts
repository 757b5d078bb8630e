import { BlockList, isIP } from 'node:net'
import type { IncomingMessage } from 'node:http'
import { isListed } from './choose.ts'

export interface ClientFacts {
  /** Who connected. */
  readonly peerAddress: string
  /** Who sent the request, as far as trusted proxies say. */
  readonly clientAddress: string
  readonly forwardedFor: string
  readonly forwardedHost: string
  readonly forwardedProto: string
  readonly isFromTrustedProxy: boolean
}

/** Addresses and ranges as one list; throws on what is neither. */
export function createAddressList(ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', bits] = range.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  return list
}

/**
 * X-Forwarded-* are believed from trusted proxies only, by address and never by number of hops (a client can add hops);
 * anyone else's are overwritten.
 */
export function clientFacts(request: IncomingMessage, trusted: BlockList | undefined): ClientFacts {
  const peerAddress = request.socket.remoteAddress ?? ''
  const { headers } = request
  const host = headers.host ?? ''
  if (trusted === undefined || !isListed(trusted, peerAddress)) {
    const forwardedProto = 'http'
    return {
      peerAddress,
      clientAddress: peerAddress,
      forwardedFor: peerAddress,
      forwardedHost: host,
      forwardedProto,
      isFromTrustedProxy: false,
    }
  }
  const before = String(headers['x-forwarded-for'] ?? '')
  return {
    peerAddress,
    clientAddress: furthestUntrusted(before, trusted) ?? peerAddress,
    forwardedFor: before === '' ? peerAddress : `${before}, ${peerAddress}`,
    forwardedHost: String(headers['x-forwarded-host'] ?? host),
    forwardedProto: headers['x-forwarded-proto'] === 'https' ? 'https' : 'http',
    isFromTrustedProxy: true,
  }
}

/** From the right, the first address that is not one of our proxies. */
function furthestUntrusted(forwardedFor: string, trusted: BlockList): string | undefined {
  const hops = forwardedFor.split(',').map(hop => hop.trim())
  return hops.findLast(hop => isIP(hop) !== 0 && !isListed(trusted, hop))
}
