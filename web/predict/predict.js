import { predict, reportLabel, version } from './service.js'
import { describeFailure, inPercent } from './words.js'

const element = id => document.getElementById(id)
const [notice, drop, photo, preview, progress, problem] = [
  'notice',
  'drop',
  'photo',
  'preview',
  'progress',
  'problem',
].map(element)
const [result, feedback, question, correction, trueLabel, thanks] = [
  'result',
  'feedback',
  'question',
  'correction',
  'true-label',
  'thanks',
].map(element)

const NOTICE_EVERY_MS = 60_000

/** The answer on show, and which photo it belongs to: a slower answer to an earlier photo is not shown. */
let shown
let latest = 0

async function send(file) {
  const turn = ++latest
  showPhoto(file)
  show(problem, '')
  result.hidden = true
  progress.textContent = 'Looking at the photo…'
  const answer = await predict(file)
  showNotice(answer)
  if (turn !== latest) return
  progress.textContent = ''
  if (answer.ok) showPrediction(answer)
  else show(problem, describeFailure(answer))
}

function showPhoto(file) {
  if (preview.src) URL.revokeObjectURL(preview.src)
  preview.src = URL.createObjectURL(file)
  preview.alt = `The photo that you chose: ${file.name}`
  preview.hidden = false
}

/** What a browser cannot draw (TIFF, say) the server may well read. */
preview.addEventListener('error', () => {
  preview.hidden = true
})

function showPrediction({ body, headers }) {
  shown = body
  element('label').textContent = `${body.label}, ${inPercent(body.confidence)}`
  element('ranking').replaceChildren(...(body.top_k ?? []).map(rank))
  element('model').textContent = body.model
  element('version').textContent = body.model_version
  const variant = headers.get('x-weir-variant')
  element('variant').textContent = variant ?? ''
  element('variant-fact').hidden = variant === null
  askWhetherRight(body)
  result.hidden = false
  element('label').focus()
}

function rank({ label, confidence }) {
  const item = document.createElement('li')
  const name = document.createElement('span')
  const share = document.createElement('span')
  const meter = document.createElement('meter')
  name.textContent = label
  share.textContent = inPercent(confidence)
  share.className = 'share'
  meter.value = confidence
  meter.setAttribute('aria-hidden', 'true') // the number beside it says the same
  item.append(name, share, meter)
  return item
}

function askWhetherRight({ prediction_id: id, label, top_k: ranked = [] }) {
  feedback.hidden = id === undefined
  feedback.reset()
  question.disabled = false
  openCorrection(false)
  thanks.textContent = ''
  const others = ranked.filter(one => one.label !== label)
  element('other-labels').replaceChildren(...others.map(one => new Option(one.label, one.label)))
}

function openCorrection(open) {
  correction.hidden = !open
  element('wrong').setAttribute('aria-expanded', String(open))
}

async function report(label) {
  const about = shown
  question.disabled = true
  openCorrection(false)
  const answer = await reportLabel(about.prediction_id, label)
  showNotice(answer)
  if (about !== shown) return
  if (answer.ok) feedback.hidden = true
  else question.disabled = false
  thanks.textContent = answer.ok
    ? 'Thank you. This helps to tell which version is better.'
    : describeFailure(answer)
}

/** Of an interruption to come; every answer says it while it stands. Without an answer it stays as it was. */
function showNotice({ headers, status }) {
  if (status !== 0) show(notice, headers.get('x-weir-notice') ?? '')
}

function show(place, text) {
  if (place.textContent !== text) place.textContent = text
  place.hidden = text === ''
}

photo.addEventListener('change', () => {
  const [file] = photo.files
  photo.value = '' // so that the same photo can be chosen again
  if (file) send(file)
})
// anywhere on the page: a photo that missed the box would otherwise be opened in place of the page
document.addEventListener('dragover', event => {
  event.preventDefault()
  drop.classList.add('over')
})
document.addEventListener('dragleave', () => drop.classList.remove('over'))
document.addEventListener('drop', event => {
  event.preventDefault()
  drop.classList.remove('over')
  const [file] = event.dataTransfer.files
  if (file) send(file)
})
element('form').addEventListener('submit', event => event.preventDefault())
element('right').addEventListener('click', () => report(shown.label))
element('wrong').addEventListener('click', () => {
  openCorrection(true)
  trueLabel.focus()
})
feedback.addEventListener('submit', event => {
  event.preventDefault()
  const label = trueLabel.value.trim()
  if (label !== '') report(label)
})

async function refreshNotice() {
  if (document.visibilityState === 'visible') showNotice(await version())
}
refreshNotice()
setInterval(refreshNotice, NOTICE_EVERY_MS)
document.addEventListener('visibilitychange', refreshNotice)
