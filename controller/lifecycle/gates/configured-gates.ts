import type { GateSettings } from '../../../contract/gate.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { Evidence } from '../../evidence/evidence.ts'
import { createCommandGate } from './command.ts'
import type { Gate } from './gate.ts'
import { createIntegrationGate } from './integration.ts'
import { createLoadGate } from './load.ts'
import { createQualityGate } from './quality.ts'
import { createResourcesGate } from './resources.ts'
import { createShadowGate, type Mirroring } from './shadow.ts'
import { createWebhookGate } from './webhook.ts'

export interface GateDependencies {
  readonly clock: Clock
  /** Signs what webhooks are sent. */
  readonly secret: string
  readonly evidence: Evidence
  readonly mirroring: Mirroring
}

/** The gates that settings ask for, in the order in which they run: what is cheap and what others rely on comes first. */
export function configuredGates(settings: GateSettings, dependencies: GateDependencies): readonly Gate[] {
  const { clock, secret, evidence, mirroring } = dependencies
  const { integration, resources, load, quality, shadow, commands, webhooks } = settings
  return [
    ...(integration === false ? [] : [createIntegrationGate(integration, clock)]),
    ...(resources === false ? [] : [createResourcesGate(resources, clock)]),
    ...(load === false ? [] : [createLoadGate(load, clock)]),
    ...(quality === false ? [] : [createQualityGate(quality, clock)]),
    ...(shadow === undefined ? [] : [createShadowGate({ settings: shadow, evidence, mirroring, clock })]),
    ...commands.map(command => createCommandGate(command, clock)),
    ...webhooks.map(webhook => createWebhookGate({ settings: webhook, secret, clock })),
  ]
}
