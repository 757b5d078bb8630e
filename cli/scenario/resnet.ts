import { writeOnnx, type OnnxNode, type OnnxWeight } from '../../lib/onnx-writer.ts'

// ResNet-18 (https://arxiv.org/abs/1512.03385) as PyTorch exports it for inference, batch normalisation folded into the
// convolutions. Untrained: what matters is that it takes and answers the same shapes as another network.

const WIDTHS = [64, 128, 256, 512] as const
const BLOCKS_PER_WIDTH = 2
/** Without batch normalisation the sum of both branches would grow from block to block. */
const BRANCH_GAIN = 0.5

export interface ResnetOptions {
  readonly input: string
  readonly output: string
  readonly classes: number
  readonly side: number
}

export function writeResnet({ input, output, classes, side }: ResnetOptions): Buffer {
  const network = createNetwork()
  let from = network.convolution(input, { name: 'conv1', from: 3, to: 64, kernel: 7, stride: 2 })
  from = network.add('Relu', [from])
  from = network.add('MaxPool', [from], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] })
  let width: number = WIDTHS[0]
  for (const [stage, to] of WIDTHS.entries()) {
    for (let block = 0; block < BLOCKS_PER_WIDTH; block++) {
      const stride = stage > 0 && block === 0 ? 2 : 1
      from = basicBlock(network, from, { name: `layer${stage + 1}.${block}`, from: width, to, stride })
      width = to
    }
  }
  from = network.add('GlobalAveragePool', [from])
  from = network.add('Flatten', [from])
  network.classifier(from, { output, from: width, classes })
  return writeOnnx({
    inputs: [{ name: input, shape: ['batch', 3, side, side] }],
    outputs: [{ name: output, shape: ['batch', classes] }],
    ...network.parts,
  })
}

interface Block {
  readonly name: string
  readonly from: number
  readonly to: number
  readonly stride: number
}

function basicBlock(network: Network, input: string, { name, from, to, stride }: Block): string {
  const first = network.convolution(input, { name: `${name}.conv1`, from, to, kernel: 3, stride })
  const relu = network.add('Relu', [first])
  const second = { name: `${name}.conv2`, from: to, to, kernel: 3, stride: 1, gain: BRANCH_GAIN }
  const branch = network.convolution(relu, second)
  const isSame = from === to && stride === 1
  const around = isSame
    ? input
    : network.convolution(input, { name: `${name}.downsample`, from, to, kernel: 1, stride })
  return network.add('Relu', [network.add('Add', [branch, around])])
}

interface Convolution extends Block {
  readonly kernel: number
  readonly gain?: number
}

type Network = ReturnType<typeof createNetwork>

function createNetwork() {
  const nodes: OnnxNode[] = []
  const weights: OnnxWeight[] = []
  const normal = createNormal()
  const random = (count: number, deviation: number) =>
    Float32Array.from({ length: count }, () => normal() * deviation)

  function add(
    op: string,
    inputs: readonly string[],
    attributes: OnnxNode['attributes'] = {},
    output = `/${op}_${nodes.length}`,
  ): string {
    nodes.push({ op, inputs, output, attributes })
    return output
  }
  return {
    parts: { nodes, weights },
    add,
    convolution(input: string, { name, from, to, kernel, stride, gain = 1 }: Convolution): string {
      const fanIn = from * kernel * kernel
      const values = random(to * fanIn, gain * Math.sqrt(2 / fanIn))
      weights.push({ name: `${name}.weight`, shape: [to, from, kernel, kernel], values })
      weights.push({ name: `${name}.bias`, shape: [to], values: new Float32Array(to) })
      const pad = Math.floor(kernel / 2)
      const attributes = {
        kernel_shape: [kernel, kernel],
        strides: [stride, stride],
        pads: [pad, pad, pad, pad],
      }
      return add('Conv', [input, `${name}.weight`, `${name}.bias`], attributes)
    },
    classifier(
      input: string,
      { output, from, classes }: { output: string; from: number; classes: number },
    ): void {
      weights.push({
        name: 'fc.weight',
        shape: [classes, from],
        values: random(classes * from, Math.sqrt(1 / from)),
      })
      weights.push({ name: 'fc.bias', shape: [classes], values: new Float32Array(classes) })
      add('Gemm', [input, 'fc.weight', 'fc.bias'], { transB: 1 }, output)
    },
  }
}

/** Numbers from the normal distribution, the same ones each time: mulberry32 and the Box–Muller transform. */
function createNormal(): () => number {
  let state = 1
  function uniform(): number {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
}
