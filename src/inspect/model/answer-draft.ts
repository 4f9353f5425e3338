// An answer as it grows: texts and calls of tools joined from their pieces, counts, reasons. Bounded: beyond its bound texts
// are cut, counts go on. Deliberately ignorant of any API. Filled by `answer-read-*.ts`, owned by `answer.ts`.

import type { JsonValue } from '../fields.ts'
import { GrowingText } from '../growing-text.ts'
import { textPart, toolCallPart, type MessagePart, type ModelMessage } from './messages.ts'

/** Parts of all choices together. */
const PARTS_MAX = 1024
/** Reasons and names that are listed. */
const LISTED_MAX = 128
/** Characters of an id, a name or a reason. */
const NAME_LENGTH_MAX = 256

interface Part {
  readonly kind: 'text' | 'tool_call' | 'server_tool_call'
  id: string | undefined
  name: string
  /** Texts that are joined; of a call its arguments. */
  readonly text: GrowingText
  /** Arguments that came as a value. */
  value: JsonValue | undefined
}

interface Choice {
  readonly parts: Map<string, Part>
  finish: string | undefined
}

/** What is known of a call of a tool. */
export interface CallPiece {
  readonly kind?: 'tool_call' | 'server_tool_call'
  readonly id?: string | undefined
  readonly name?: string | undefined
  /** The next piece of the arguments' text. */
  readonly text?: string | undefined
  /** The arguments, where they are a value. */
  readonly value?: JsonValue | undefined
}

/** An answer that is being put together. */
export class AnswerDraft {
  id: string | undefined
  model: string | undefined
  inputTokens: number | undefined
  outputTokens: number | undefined
  /** Tokens of the prompt that its count leaves out, since a cache has them. */
  cacheTokens = 0
  errorType: string | undefined
  isCut = false
  readonly #charactersMax: number
  #charactersLeft: number
  #partsLeft = PARTS_MAX
  #slots = 0
  readonly #choices = new Map<number, Choice>()

  /** @param charactersMax of all texts together */
  constructor(charactersMax: number) {
    this.#charactersMax = charactersMax
    this.#charactersLeft = charactersMax
  }

  /** Takes id and model where they are said; the first id stays. */
  name(id: string | undefined, model: string | undefined): void {
    if (id !== undefined) this.id ??= shorten(id)
    if (model !== undefined) this.model = shorten(model)
  }

  /** Takes counts of tokens where they are said: the later one is the sum so far. */
  count(input: number | undefined, output: number | undefined): void {
    if (input !== undefined) this.inputTokens = input
    if (output !== undefined) this.outputTokens = output
  }

  /** Takes the API's word for what went wrong; the last one stays. */
  fail(type: string | undefined): void {
    this.errorType = shorten(type ?? '_OTHER')
  }

  /** Takes why an answer ended. */
  finish(choice: number, reason: string | undefined): void {
    if (reason === undefined) return
    const at = this.#choiceAt(choice)
    if (at) at.finish = shorten(reason)
  }

  /** Takes the next piece of a text. @param slot which of the choice's parts it belongs to */
  addText(choice: number, slot: string, text: string | undefined): void {
    if (text === undefined || text === '') return
    const part = this.#partAt(choice, `text ${slot}`, 'text')
    if (part) this.#append(part, text)
  }

  /** Takes what is new of a call of a tool. @param slot which of the choice's parts it belongs to */
  addCall(choice: number, slot: string, piece: CallPiece): void {
    const part = this.#partAt(choice, `call ${slot}`, piece.kind ?? 'tool_call')
    if (!part) return
    if (piece.id !== undefined && piece.id !== '') part.id = shorten(piece.id)
    if (piece.name !== undefined && part.name === '') part.name = shorten(piece.name)
    if (piece.text !== undefined) this.#append(part, piece.text)
    if (piece.value !== undefined) part.value = piece.value
  }

  /** A slot for a part that comes whole, and that nothing tells from the next. */
  nextSlot(): number {
    this.#slots += 1
    return this.#slots
  }

  /** Forgets the parts: the whole answer comes once more. */
  restart(): void {
    this.#choices.clear()
    this.#charactersLeft = this.#charactersMax
    this.#partsLeft = PARTS_MAX
  }

  /** What was said, in the normal form. */
  messages(): ModelMessage[] {
    return this.#inOrder().map(({ parts, finish }) => ({
      role: 'assistant',
      parts: [...parts.values()].map((part) => showPart(part)),
      ...(finish !== undefined && { finish_reason: finish }),
    }))
  }

  /** Why the choices ended. */
  finishReasons(): string[] {
    const reasons = this.#inOrder().flatMap(({ finish }) => (finish === undefined ? [] : [finish]))
    return reasons.slice(0, LISTED_MAX)
  }

  /** The tools that the client is asked to call, each as often as it is asked for. */
  toolCalls(): string[] {
    const calls = this.#inOrder().flatMap(({ parts }) =>
      [...parts.values()].filter(({ kind }) => kind === 'tool_call'),
    )
    return calls.slice(0, LISTED_MAX).map(({ name }) => name)
  }

  #inOrder(): Choice[] {
    return [...this.#choices].sort(([one], [other]) => one - other).map(([, choice]) => choice)
  }

  #choiceAt(index: number): Choice | undefined {
    const there = this.#choices.get(index)
    if (there) return there
    if (!this.#takesPart()) return undefined
    const choice: Choice = { parts: new Map(), finish: undefined }
    this.#choices.set(index, choice)
    return choice
  }

  #partAt(choice: number, slot: string, kind: Part['kind']): Part | undefined {
    const parts = this.#choiceAt(choice)?.parts
    const there = parts?.get(slot)
    if (there || !parts || !this.#takesPart()) return there
    const part: Part = { kind, id: undefined, name: '', text: new GrowingText(), value: undefined }
    parts.set(slot, part)
    return part
  }

  #takesPart(): boolean {
    if (this.#partsLeft === 0) {
      this.isCut = true
      return false
    }
    this.#partsLeft -= 1
    return true
  }

  #append(part: Part, text: string): void {
    if (text.length > this.#charactersLeft) this.isCut = true
    const kept = text.slice(0, this.#charactersLeft)
    this.#charactersLeft -= kept.length
    if (kept !== '') part.text.add(kept)
  }
}

function shorten(text: string): string {
  return text.slice(0, NAME_LENGTH_MAX)
}

function showPart(part: Part): MessagePart {
  const text = part.text.toString()
  if (part.kind === 'text') return textPart(text)
  const call = toolCallPart(part.id, part.name, text === '' ? (part.value ?? null) : text)
  return { ...call, type: part.kind }
}
